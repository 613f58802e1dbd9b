"""Gradients, and what else each layer shows, by layer, time step, residual block or distance of inputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from vanishgrad.diagnosis.layers import at_end, at_start
from vanishgrad.report.figures.canvas import (
    MOST_MULTIPLES,
    as_runs,
    first_settings,
    multiples,
    name_axes,
    note,
    say_empty,
    whole_ticks,
)
from vanishgrad.report.figures.palette import Palette, palette
from vanishgrad.report.figures.series import colour_bar, draw_mesh, draw_views, scale_of
from vanishgrad.report.figures.view import Reference, View


def gradient_by_layer(gradients: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Draw ||dLoss/dW|| of every layer, in the initial network and at the end.

    Two panels of lines on a log axis, a colour per setting, a band over its seeds; more than 24 settings
    become rows of a heat map.

    Arguments:
        gradients: `load_runs(...).gradients`, or a run's own table; reads `step, layer, grad_norm`.
        colours: of the settings, see `palette`; None: their own.

    Example:
        >>> import pandas as pd
        >>> rows = pd.DataFrame({"step": 0, "layer": [1, 2, 3], "grad_norm": [0.01, 0.1, 1.0]})
        >>> figure = gradient_by_layer(rows)
        >>> [axes.get_title() for axes in figure.axes]
        ['at the start', 'at the end']
    """
    gradients = as_runs(gradients)
    return _start_and_end("Gradient norm by layer", gradients, "grad_norm", "||dLoss/dW|| (L2)", colours)


def gradient_profile(gradients: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Draw ||dLoss/dz|| of every layer: the gradient that backpropagation hands from layer to layer.

    As `gradient_by_layer`, and at the start also the profile that theory predicts, as dashes. The slope of
    the lines is `gradient_slope`.

    Arguments:
        gradients: `load_runs(...).gradients`, or a run's own table; reads `step, layer, delta_norm` and,
            where theory predicts it, `predicted_delta_norm`.
        colours: of the settings, see `palette`; None: their own.

    Example:
        >>> import pandas as pd
        >>> rows = pd.DataFrame({"step": 0, "layer": [1, 2, 3], "delta_norm": [0.01, 0.1, 1.0]})
        >>> figure = gradient_profile(rows)
        >>> [float(norm) for norm in figure.axes[0].lines[0].get_ydata()]
        [0.01, 0.1, 1.0]
    """
    gradients = as_runs(gradients)
    return _start_and_end(
        "Gradient profile: the signal by layer", gradients, "delta_norm", "||dLoss/dz|| (L2)", colours,
        theory="predicted_delta_norm",
    )  # fmt: skip


def update_ratio_by_layer(gradients: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Draw the relative change of every layer's weights in one step, at the first step and at the last.

    As `gradient_by_layer`; about 1e-3 is usual, a layer far below the others stands still.

    Arguments:
        gradients: `load_runs(...).gradients`, or a run's own table; reads `step, layer, update_ratio`.
        colours: of the settings, see `palette`; None: their own.

    Example:
        >>> import pandas as pd
        >>> rows = pd.DataFrame({"step": 0, "layer": [1, 2], "update_ratio": [1e-6, 1e-3]})
        >>> update_ratio_by_layer(rows).axes[0].get_yscale()
        'log'
    """
    gradients = as_runs(gradients)
    label = "||change of W|| / ||W|| in one step"
    return _start_and_end("Update ratio by layer", gradients, "update_ratio", label, colours)


def saturation_by_layer(gradients: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Draw the fractions of saturated activations and of dead units by layer, at the end.

    Two panels of lines, from 0 to 1: a saturated output has a slope under 5 % of the largest, a dead unit is
    flat on the whole batch.

    Arguments:
        gradients: `load_runs(...).gradients`, or a run's own table; reads
            `step, layer, saturation, dead_fraction`.
        colours: of the settings, see `palette`; None: their own.

    Example:
        >>> import pandas as pd
        >>> rows = pd.DataFrame({"step": 0, "layer": [1, 2], "saturation": [0.9, 0.1], "dead_fraction": 0.0})
        >>> [axes.get_title() for axes in saturation_by_layer(rows).axes]
        ['saturated, at the end', 'dead, at the end']
    """
    gradients = as_runs(gradients)
    views = [
        View(
            at_end(gradients, "saturation"),
            "layer",
            "saturation",
            "saturated, at the end",
            "fraction of outputs",
            False,
        ),
        View(
            at_end(gradients, "dead_fraction"),
            "layer",
            "dead_fraction",
            "dead, at the end",
            "fraction of units",
            False,
        ),
    ]
    return draw_views(
        "Saturated activations and dead units by layer", views, colours or palette(gradients["setting"])
    )


def weight_drift_by_layer(gradients: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Draw how far the weights of each layer have moved from where they started, ||W - W_0|| / ||W_0||.

    One panel of lines on a log axis, at the last logged step.

    Arguments:
        gradients: `load_runs(...).gradients`, or a run's own table; reads `step, layer, weight_drift`.
        colours: of the settings, see `palette`; None: their own.

    Example:
        >>> import pandas as pd
        >>> rows = pd.DataFrame({"step": 100, "layer": [1, 2], "weight_drift": [0.001, 0.2]})
        >>> weight_drift_by_layer(rows).axes[0].get_ylabel()
        '||W - W_0|| / ||W_0||'
    """
    gradients = as_runs(gradients)
    moved = at_end(gradients, "weight_drift")
    view = View(moved, "layer", "weight_drift", "at the end", "||W - W_0|| / ||W_0||")
    return draw_views("Weight drift by layer", [view], colours or palette(gradients["setting"]))


def _start_and_end(
    title: str, gradients: pd.DataFrame, y: str, label: str, colours: Palette | None,
    theory: str | None = None,
) -> Figure:  # fmt: skip
    views = [
        View(at_start(gradients, y), "layer", y, "at the start", label, theory=theory),
        View(at_end(gradients, y), "layer", y, "at the end", label),
    ]
    return draw_views(title, views, colours or palette(gradients["setting"]))


def gradient_heatmap(gradients: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Draw ||dLoss/dW|| as colour over step and layer, a panel per run.

    Of more than twelve runs: a panel per setting, its first seed. A run that diverged has its own scale of
    colours.

    Arguments:
        gradients: `load_runs(...).gradients`, or a run's own table; reads `step, layer, grad_norm`.
        colours: of the settings, for their order; None: as they come.

    Example:
        >>> import pandas as pd
        >>> cells = [(step, layer, 10.0**-layer) for step in (0, 10, 20) for layer in (1, 2, 3)]
        >>> rows = pd.DataFrame(cells, columns=["step", "layer", "grad_norm"])
        >>> gradient_heatmap(rows).axes[0].get_xlabel()
        'optimizer step'
    """
    gradients = as_runs(gradients)
    chosen = chosen_runs(gradients, colours or palette(gradients["setting"]))
    figure, axes = multiples("Gradient norm by layer and step", len(chosen))
    shown = gradients[gradients["run"].isin(chosen)]
    shared = _draw_runs(figure, axes, shown[shown["status"] != "diverged"], chosen)
    alone = [_draw_runs(figure, axes, shown[_is_diverged(shown, run)], chosen) for run in chosen]
    note(figure, _notes(gradients, shown, alone=any(alone) and bool(shared)))
    return figure


def _draw_runs(figure: Figure, axes: Sequence[Axes], rows: pd.DataFrame, chosen: Sequence[str]) -> list[Axes]:
    """Draw the runs of `rows` in their places with one scale of colours, and its key next to them."""
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
    remarks = []
    if panels < min(settings, runs):
        remarks.append(f"the first {panels} of {settings} settings")
    if panels < runs:
        remarks.append("one seed each")
    if alone:
        remarks.append("a run that diverged has its own colours")
    values = shown["grad_norm"]
    if (~np.isfinite(values) | (values == 0)).any():
        remarks.append("grey: exactly zero or not finite")
    return "; ".join(remarks)


def gradient_through_time(gradients: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Draw ||dLoss/dh_t|| of a recurrent state over time steps, in the initial network and at the end.

    Two panels of lines on a log axis; runs of different lengths are aligned at their last step.

    Arguments:
        gradients: `load_runs(...).extra("time_gradients")`; reads `moment, t, t_to_end, grad_norm`, with
            `moment` start or end.
        colours: of the settings, see `palette`; None: their own.

    Example:
        >>> import pandas as pd
        >>> rows = pd.DataFrame({"moment": "start", "t": [1, 2, 3], "t_to_end": [-2, -1, 0]})
        >>> figure = gradient_through_time(rows.assign(grad_norm=[0.01, 0.1, 1.0]))
        >>> figure.axes[0].get_xlabel()
        'time step t (1 = the first)'
    """
    gradients = as_runs(gradients)
    return _ends_in_time("Gradient through time", gradients, "grad_norm", "||dLoss/dh_t|| (L2)", colours)


def cell_gradient_through_time(gradients: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Draw ||dLoss/dc_t|| of an LSTM's cell over time steps, in the initial network and at the end.

    As `gradient_through_time`; settings without cells are left out.

    Arguments:
        gradients: `load_runs(...).extra("time_gradients")`; reads `moment, t, t_to_end, cell_grad_norm`.
        colours: of the settings, see `palette`; None: their own.

    Example:
        >>> import pandas as pd
        >>> rows = pd.DataFrame({"moment": "start", "t": [1, 2, 3], "t_to_end": [-2, -1, 0]})
        >>> figure = cell_gradient_through_time(rows.assign(cell_grad_norm=[0.9, 0.95, 1.0]))
        >>> figure.axes[0].get_ylabel()
        '||dLoss/dc_t|| (L2)'
    """
    gradients = as_runs(gradients)
    measured = gradients[np.isfinite(gradients["cell_grad_norm"])]
    title, label = "Gradient of the cells through time", "||dLoss/dc_t|| (L2)"
    shown = (colours or palette(gradients["setting"])).only(measured["setting"])
    return _ends_in_time(title, gradients if measured.empty else measured, "cell_grad_norm", label, shown)


def _ends_in_time(title: str, gradients: pd.DataFrame, y: str, label: str, colours: Palette | None) -> Figure:
    x = "t" if gradients.groupby("run")["t"].max().nunique() <= 1 else "t_to_end"
    moments = [(gradients[gradients["moment"] == name], f"at the {name}") for name in ("start", "end")]
    views = [View(rows, x, y, title, label) for rows, title in moments]
    return draw_views(title, views, colours or palette(gradients["setting"]))


def gradient_terms(terms: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Draw the two terms of each residual block's gradient: through its shortcut and through its branch.

    Three panels of lines by block, in the initial network: both norms, and the cosine between the terms,
    which would be -1 if the branch undid the shortcut.

    Arguments:
        terms: `load_runs(...).extra("residual_terms")`; reads `block, shortcut_norm, branch_norm, cosine`.
        colours: of the settings, see `palette`; None: their own.

    Example:
        >>> import pandas as pd
        >>> norms = {"shortcut_norm": 1.0, "branch_norm": 0.3, "cosine": [0.1, 0.0]}
        >>> rows = pd.DataFrame({"block": [1, 2], **norms})
        >>> [axes.get_title() for axes in gradient_terms(rows).axes]
        ['through the shortcut', 'through the branch', 'cosine between them']
    """
    terms = as_runs(terms)
    label = "norm of the term (L2)"
    shortcut, branch = (terms.assign(norm=terms[f"{name}_norm"]) for name in ("shortcut", "branch"))
    never = Reference(-1.0, "-1: the branch would undo the shortcut")
    views = [
        View(shortcut, "block", "norm", "through the shortcut", label),
        View(branch, "block", "norm", "through the branch", label),
        View(terms, "block", "cosine", "cosine between them", "cosine", False, (never,), (-1.12, 1.12)),
    ]
    title = "The two terms of a residual block's gradient, at the start"
    return draw_views(title, views, colours or palette(terms["setting"]))


def shattered_gradients(correlations: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Draw the correlation of the gradients at inputs along a line over their distance.

    One panel, with a logarithmic x: near 0 from the first points on is white noise, a slow fall is brown
    noise (Balduzzi et al. 2017).

    Arguments:
        correlations: `load_runs(...).extra("input_gradients")`; reads `lag, correlation`.
        colours: of the settings, see `palette`; None: their own.

    Example:
        >>> import pandas as pd
        >>> rows = pd.DataFrame({"lag": [0, 1, 2, 4], "correlation": [1.0, 0.5, 0.25, 0.06]})
        >>> shattered_gradients(rows).axes[0].get_xscale()
        'log'
    """
    correlations = as_runs(correlations)
    noise = Reference(0.0, "0: white noise")
    apart = correlations[correlations["lag"] > 0]  # a gradient has correlation 1 with itself
    view = View(apart, "lag", "correlation", "at the start", "correlation", False, (noise,))
    return draw_views("Correlation of input gradients", [view], colours or palette(correlations["setting"]))
