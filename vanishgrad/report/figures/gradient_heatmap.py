"""Gradient norm by layer and step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from vanishgrad.report.figures.canvas import name_axes, note, say_empty, whole_ticks
from vanishgrad.report.figures.mesh import colour_bar, draw_mesh, scale_of
from vanishgrad.report.figures.multiples import MOST_MULTIPLES, first_settings, multiples
from vanishgrad.report.figures.of_runs import of_runs
from vanishgrad.report.figures.palette import Palette, palette


@of_runs
def gradient_heatmap(gradients: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """||dLoss/dW|| as colour over step and layer, one panel per run.

    More than twelve runs: one panel per setting, its first seed. A run that diverged has its own scale of
    colours.
    """
    chosen = chosen_runs(gradients, colours or palette(gradients["setting"]))
    figure, axes = multiples("Gradient norm by layer and step", len(chosen))
    shown = gradients[gradients["run"].isin(chosen)]
    shared = _draw_runs(figure, axes, shown[shown["status"] != "diverged"], chosen)
    alone = [_draw_runs(figure, axes, shown[_is_diverged(shown, run)], chosen) for run in chosen]
    note(figure, _notes(gradients, shown, alone=any(alone) and bool(shared)))
    return figure


def _draw_runs(figure: Figure, axes: Sequence[Axes], rows: pd.DataFrame, chosen: Sequence[str]) -> list[Axes]:
    """Draw the runs of `rows` in their places with one scale of colours, and its key beside them."""
    scale = scale_of(rows, "grad_norm", log=True)
    present = set(rows["run"].unique())
    used = [each for each, run in zip(axes, chosen, strict=True) if run in present]
    mesh = None
    for each, run in zip(used, [run for run in chosen if run in present], strict=True):
        mesh = _draw_run(each, rows[rows["run"] == run], scale)
    if mesh is not None:
        colour_bar(figure, mesh, used, "||dLoss/dW|| (L2)", below=False)
    return used


def _draw_run(axes: Axes, rows: pd.DataFrame, scale: Normalize | None) -> QuadMesh | None:
    name_axes(axes, _title(rows), "optimizer step", "layer")
    whole_ticks(axes.yaxis, rows["layer"])
    if scale is None:
        say_empty(axes, "no value above zero")
        return None
    return draw_mesh(axes, rows.pivot(index="layer", columns="step", values="grad_norm"), scale)


def _is_diverged(rows: pd.DataFrame, run: str) -> pd.Series[bool]:
    return (rows["run"] == run) & (rows["status"] == "diverged")


def chosen_runs(gradients: pd.DataFrame, colours: Palette) -> list[str]:
    """At most twelve runs in the order of their settings."""
    runs = gradients[["setting", "run"]].drop_duplicates()
    if len(runs) > MOST_MULTIPLES:
        runs = runs.drop_duplicates("setting")
    settings = first_settings(gradients, colours)
    return [run for setting in settings for run in runs.loc[runs["setting"] == setting, "run"]]


def _title(rows: pd.DataFrame) -> str:
    first = rows.iloc[0]
    seed = "" if pd.isna(first["seed"]) else f", seed\N{NO-BREAK SPACE}{int(first['seed'])}"
    diverged = ", diverged" if first["status"] == "diverged" else ""
    return f"{first['setting']}{seed}{diverged}"


def _notes(gradients: pd.DataFrame, shown: pd.DataFrame, *, alone: bool) -> str:
    settings, runs, panels = (
        gradients["setting"].nunique(),
        gradients["run"].nunique(),
        shown["run"].nunique(),
    )
    said = []
    if panels < min(settings, runs):
        said.append(f"the first {panels} of {settings} settings")
    if panels < runs:
        said.append("one seed each")
    if alone:
        said.append("a run that diverged has its own colours")
    values = shown["grad_norm"]
    if (~np.isfinite(values) | (values == 0)).any():
        said.append("grey: exactly zero or not finite")
    return "; ".join(said)
