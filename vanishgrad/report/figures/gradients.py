"""What each layer looks like, layer by layer: gradients, saturation, update ratio, weight drift."""

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
    first_settings,
    multiples,
    name_axes,
    note,
    of_runs,
    say_empty,
    whole_ticks,
)
from vanishgrad.report.figures.palette import Palette, palette
from vanishgrad.report.figures.series import colour_bar, draw_mesh, draw_views, scale_of
from vanishgrad.report.figures.view import Reference, View


@of_runs
def gradient_by_layer(gradients: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """||dLoss/dW|| of every layer, in the initial network and at the end."""
    return _start_and_end("Gradient norm by layer", gradients, "grad_norm", "||dLoss/dW|| (L2)", colours)


@of_runs
def gradient_profile(gradients: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """||dLoss/dz|| of every layer, what backpropagation hands from layer to layer; see `gradient_slope`.

    At the start also what theory says of it, where `predicted_delta_norm` has that.
    """
    return _start_and_end(
        "Gradient profile: the signal by layer", gradients, "delta_norm", "||dLoss/dz|| (L2)", colours,
        theory="predicted_delta_norm",
    )  # fmt: skip


@of_runs
def update_ratio_by_layer(gradients: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Relative change of the weights in one step, at the first step and at the last."""
    label = "||change of W|| / ||W|| in one step"
    return _start_and_end("Update ratio by layer", gradients, "update_ratio", label, colours)


@of_runs
def saturation_by_layer(gradients: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Saturated activations and dead units at the end."""
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


@of_runs
def weight_drift_by_layer(gradients: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """How far the weights of each layer have moved from where they started."""
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


@of_runs
def gradient_through_time(gradients: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """||dLoss/dh_t|| over time steps, in the initial network and at the end."""
    return _ends_in_time("Gradient through time", gradients, "grad_norm", "||dLoss/dh_t|| (L2)", colours)


@of_runs
def cell_gradient_through_time(gradients: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """||dLoss/dc_t|| of the cells over time steps, in the initial network and at the end."""
    known = gradients[np.isfinite(gradients["cell_grad_norm"])]
    title, label = "Gradient of the cells through time", "||dLoss/dc_t|| (L2)"
    shown = (colours or palette(gradients["setting"])).only(known["setting"])
    return _ends_in_time(title, gradients if known.empty else known, "cell_grad_norm", label, shown)


def _ends_in_time(title: str, gradients: pd.DataFrame, y: str, label: str, colours: Palette | None) -> Figure:
    x = "t" if gradients.groupby("run")["t"].max().nunique() <= 1 else "t_to_end"
    moments = [(gradients[gradients["moment"] == name], f"at the {name}") for name in ("start", "end")]
    views = [View(rows, x, y, title, label) for rows, title in moments]
    return draw_views(title, views, colours or palette(gradients["setting"]))


@of_runs
def gradient_terms(terms: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """The gradient of a block's input as a sum: what the shortcut passes on, and what the branch adds."""
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


@of_runs
def shattered_gradients(correlations: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Correlation of the gradients at inputs along a line, over their distance (Balduzzi et al. 2017)."""
    noise = Reference(0.0, "0: white noise")
    apart = correlations[correlations["lag"] > 0]  # a gradient has correlation 1 with itself
    view = View(apart, "lag", "correlation", "at the start", "correlation", False, (noise,))
    return draw_views("Correlation of input gradients", [view], colours or palette(correlations["setting"]))
