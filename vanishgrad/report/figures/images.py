"""Figures made of many small pictures: predicted frames and the filters of the first layer."""

from __future__ import annotations

from math import ceil, sqrt
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vanishgrad.report.figures.canvas import (
    QUIET,
    as_runs,
    first_runs_notes,
    first_settings,
    note,
    panels,
    say_empty,
    wrapped,
)
from vanishgrad.report.figures.palette import Palette, palette
from vanishgrad.report.figures.series import draw_views
from vanishgrad.report.figures.view import Reference, View

GAP = 1  # pixels between pictures

Picture = NDArray[np.floating[Any]]


def in_a_row(pictures: Picture) -> Picture:
    """`(pictures, height, width)` side by side, half a gap on each side of each; NaN between them."""
    padded = np.pad(pictures.astype(float), ((0, 0), (GAP, GAP), (GAP, GAP)), constant_values=np.nan)
    return np.concatenate(list(padded), axis=1)


def in_a_square(pictures: Picture) -> Picture:
    """`(pictures, height, width)` in rows and columns of about equal number; NaN around them."""
    columns = ceil(sqrt(len(pictures)))
    rows = ceil(len(pictures) / columns)
    empty = np.full((rows * columns - len(pictures), *pictures.shape[1:]), np.nan)
    filled = np.concatenate([pictures, empty])
    lines = [in_a_row(filled[start : start + columns]) for start in range(0, len(filled), columns)]
    return np.concatenate(lines, axis=0)


MOST_SETTINGS = 4
MOST_FRAMES = 10  # shown to the network, and again predicted
FRAME = 0.6  # inches
ALIKE = 1e-3
REFERENCES = {
    "mean_frame_cross_entropy": "answering with the mean image",
    "floor_cross_entropy": "the true frame itself: nothing can be lower",
}


class Strip(NamedTuple):
    """A row of frames `(time, height, width)` and the time step of each."""

    name: str
    frames: NDArray[np.float32]
    t: NDArray[np.int64]
    is_true: bool = False


def frame_cross_entropy(frames: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Draw the cross-entropy of each predicted frame at the end.

    Dashed: of answering with the mean image, and of the true frame itself, below which nothing can be.

    Arguments:
        frames: `load_runs(...).extra("frame_losses")`; reads
            `frame, cross_entropy, mean_frame_cross_entropy, floor_cross_entropy`.
        colours: of the settings, see `palette`; None: their own.

    Example:
        >>> import pandas as pd
        >>> rows = pd.DataFrame({"frame": [1, 2], "cross_entropy": [90.0, 120.0]})
        >>> rows = rows.assign(mean_frame_cross_entropy=300.0, floor_cross_entropy=20.0)
        >>> frame_cross_entropy(rows).axes[0].get_xlabel()
        'predicted frame (1 = the next)'
    """
    frames = as_runs(frames)
    label = "cross-entropy (nats per frame)"
    view = View(frames, "frame", "cross_entropy", "at the end", label, None, _references(frames))
    return draw_views("Cross-entropy by predicted frame", [view], colours or palette(frames["setting"]))


def predicted_frames(examples: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Draw the first held-out example: the true frames, and below them what each setting's network predicts.

    Arguments:
        examples: `load_runs(...).extra("predicted_frames")`; reads `given, true, predicted`, each with frames
            `(time, height, width)`.
        colours: of the settings, for their order; None: as they come.

    Example:
        >>> import numpy as np
        >>> import pandas as pd
        >>> frames = np.random.default_rng(0).random((3, 8, 8))
        >>> figure = predicted_frames(pd.DataFrame([{"given": frames, "true": frames, "predicted": frames}]))
        >>> [axes.get_ylabel() for axes in figure.axes]
        ['true', 'this run']
    """
    examples = as_runs(examples)
    settings = first_settings(examples, colours or palette(examples["setting"]))[:MOST_SETTINGS]
    shown = examples[examples["setting"].isin(settings)].drop_duplicates("setting").set_index("setting")
    strips = _strips(shown.loc[settings])
    last = max(strip.t.size for strip in strips)
    names = [wrapped(strip.name) for strip in strips]
    figure, axes = panels("Predicted frames", len(strips), 1, (FRAME * last + 0.9, FRAME + 0.14), names)
    above = strips[0]
    for each, strip, name in zip(axes[:, 0], strips, names, strict=True):
        above = strip if strip.is_true else above
        _draw_frames(each, strip, above)
        each.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    note(figure, "; ".join(first_runs_notes(examples, len(settings))))
    return figure


def _strips(shown: pd.DataFrame) -> list[Strip]:
    """The true frames of a setting only where they are not those of the setting before it."""
    strips: list[Strip] = []
    before: NDArray[np.float32] | None = None
    for setting, row in shown.iterrows():
        shown_frames, later = _chosen(len(row["given"])), _chosen(len(row["true"]))
        true = np.concatenate([row["given"][shown_frames], row["true"][later]])
        t = np.concatenate([shown_frames, len(row["given"]) + later]) + 1
        if before is None or not np.array_equal(true, before):
            strips.append(Strip("true", true, t, is_true=True))
        strips.append(Strip(str(setting), row["predicted"][later], t[shown_frames.size :]))
        before = true
    return strips


def _chosen(count: int) -> NDArray[np.int64]:
    """Places of at most ten of `count` frames, evenly spaced."""
    return np.linspace(0, count - 1, min(count, MOST_FRAMES)).round().astype(np.int64)


def _draw_frames(axes: Axes, strip: Strip, whole: Strip) -> None:
    """A strip under the frames of the same time steps of `whole`, which names them."""
    axes.grid(False)
    axes.spines[:].set_visible(False)
    start = whole.t.size - strip.t.size
    frame_map = colormaps["gray"].with_extremes(bad="white")
    extent = (start - 0.5, whole.t.size - 0.5, 1.0, 0.0)
    picture = np.ma.masked_invalid(in_a_row(strip.frames))
    axes.imshow(picture, cmap=frame_map, vmin=0, vmax=1, extent=extent, aspect="equal", rasterized=True)
    axes.set_xlim(-0.5, whole.t.size - 0.5)
    axes.set_xticks([])
    axes.set_yticks([])
    if strip.is_true:
        axes.set_xticks(range(strip.t.size), [str(t) for t in strip.t], fontsize=8)
        axes.tick_params(length=0, labelcolor=QUIET)
        axes.xaxis.tick_top()
        axes.xaxis.set_label_position("top")
        axes.set_xlabel("time step", fontsize=9)


def _references(frames: pd.DataFrame) -> tuple[Reference, ...]:
    """What the mean image costs, and the least that any answer can cost, where all runs agree on it."""
    references = []
    for column, text in REFERENCES.items():
        costs = frames.groupby("frame")[column].agg(["min", "max"]).dropna()
        if len(costs) and np.allclose(costs["min"], costs["max"], rtol=ALIKE):
            references.append(Reference(costs["max"], text))
    return tuple(references)


MOMENTS = {"start": "at the start", "pretrained": "after pretraining", "trained": "after training"}
SMALL = 2.4  # inches


def filters(pictures: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Draw the weights of the first layer's units: a row per setting, a column per moment of training.

    Arguments:
        pictures: `load_runs(...).extra("filters")`; reads `moment` (start, pretrained or trained), `filters`
            `(filters, height, width)` and `units`, how many the layer has.
        colours: of the settings, for their order; None: as they come.

    Example:
        >>> import numpy as np
        >>> import pandas as pd
        >>> noise = np.random.default_rng(0).normal(size=(9, 8, 8))
        >>> rows = pd.DataFrame({"moment": ["start", "trained"], "filters": [noise, noise], "units": 64})
        >>> [axes.get_title() for axes in filters(rows).axes]
        ['at the start', 'after training']
    """
    pictures = as_runs(pictures)
    settings = first_settings(pictures, colours or palette(pictures["setting"]))[:MOST_SETTINGS]
    moments = [moment for moment in MOMENTS if moment in set(pictures["moment"])]
    figure, axes = panels("Filters of the first layer", len(settings), len(moments), (SMALL, SMALL))
    for row, setting in enumerate(settings):
        mine = pictures[pictures["setting"] == setting]
        one_run = mine[mine["run"] == mine["run"].iloc[0]].set_index("moment")["filters"]
        for column, moment in enumerate(moments):
            _draw_filters(axes[row, column], one_run.get(moment))
            axes[row, column].set_title(MOMENTS[moment] if row == 0 else "", fontsize=10.5)
        axes[row, 0].set_ylabel(wrapped(setting), fontsize=9.5)
    note(figure, _filter_notes(pictures, len(settings)))
    return figure


def _draw_filters(axes: Axes, pictures: NDArray[np.float32] | None) -> None:
    """Blue is negative, red positive; each filter on its own scale, for their sizes differ by far."""
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_box_aspect(1)
    if pictures is None:
        say_empty(axes, "none")
        return
    largest = np.nanmax(np.abs(np.where(np.isfinite(pictures), pictures, 0.0)), axis=(1, 2), keepdims=True)
    scaled = pictures / np.where(largest > 0, largest, 1.0)
    colours = colormaps["RdBu_r"].with_extremes(bad="white")
    axes.imshow(np.ma.masked_invalid(in_a_square(scaled)), cmap=colours, vmin=-1, vmax=1, rasterized=True)


def _filter_notes(pictures: pd.DataFrame, rows: int) -> str:
    most, drawn = int(pictures["units"].max()), max(len(one) for one in pictures["filters"])
    remarks = ["blue: negative, red: positive, each filter on its own scale"]
    remarks += [f"the first {drawn} of {most} units"] * (drawn < most)
    return "; ".join([*remarks, *first_runs_notes(pictures, rows)])
