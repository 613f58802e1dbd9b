"""The size of the weights by layer and step."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from vanishgrad.report.figures.canvas import name_axes, note, share_limits
from vanishgrad.report.figures.layer_lines import draw_layers, draw_legend
from vanishgrad.report.figures.multiples import first_settings, multiples, multiples_notes
from vanishgrad.report.figures.of_runs import of_runs
from vanishgrad.report.figures.palette import Palette, palette
from vanishgrad.report.figures.view import divergence_mark, spans_decades


@of_runs
def weight_norm(gradients: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """||W|| relative to the initial one over steps: a panel per setting, a line per layer, dark near the
    input.

    Relative, because layers differ in size: 1 is a layer whose weights are as large as they were.
    """
    rows = relative(gradients)
    settings = first_settings(rows, colours or palette(rows["setting"]))
    figure, axes = multiples("Weight norm by layer and step", len(settings))
    log = spans_decades(rows.loc[rows["status"] != "diverged", "relative"])
    for each, setting in zip(axes, settings, strict=True):
        mine = rows[rows["setting"] == setting]
        name_axes(each, setting + divergence_mark(mine), "optimizer step", "||W|| / ||W|| at the start")
        draw_layers(each, mine, "step", "relative", log=log)
    share_limits([axes])
    draw_legend(figure, axes)
    note(figure, "; ".join(multiples_notes(rows)))
    return figure


def relative(gradients: pd.DataFrame) -> pd.DataFrame:
    """With `relative`: the weight norm over that of the same layer at the run's first logged step."""
    keys = ["run", "layer"]
    first = gradients.sort_values("step").drop_duplicates(keys).set_index(keys)["weight_norm"]
    before = first.reindex(pd.MultiIndex.from_frame(gradients[keys])).to_numpy()
    return gradients.assign(relative=gradients["weight_norm"] / before)
