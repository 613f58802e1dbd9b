"""The figures of a report in their order: what each needs and what to look at in it."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from vanishgrad.report import figures
from vanishgrad.report.figures import Palette
from vanishgrad.report.runs import Runs


@dataclass(frozen=True)
class Exhibit:
    """A figure, the table it is drawn from and the columns of which it needs at least one."""

    name: str
    draw: Callable[[pd.DataFrame, Palette], Figure]
    table: str
    needs: tuple[str, ...]
    caption: str

    @property
    def title(self) -> str:
        return self.name.replace("_", " ").capitalize()


class Picture(NamedTuple):
    """A drawn figure; `png` is None when the runs lack what it needs."""

    exhibit: Exhibit
    png: bytes | None


EXHIBITS = (
    Exhibit(
        "gradient_by_layer",
        figures.gradient_by_layer,
        "gradients",
        ("grad_norm",),
        "A line that falls steeply to the left is a vanishing gradient: the layers near the input get "
        "next to nothing; a flat line lets the gradient through.",
    ),
    Exhibit(
        "signal_by_layer",
        figures.signal_by_layer,
        "gradients",
        ("delta_norm",),
        "The signal on its way back, without the activations that multiply it in the weights' gradient; the "
        "slope of these lines is the slope in the table.",
    ),
    Exhibit(
        "final_accuracy",
        figures.final_accuracy,
        "summary",
        ("final_val_accuracy", "final_val_loss"),
        "Whether the setting learns, and whether its seeds agree.",
    ),
    Exhibit(
        "training_curves",
        figures.training_curves,
        "metrics",
        ("train_loss",),
        "A curve that stays level from the start is a network that does not learn.",
    ),
    Exhibit(
        "gradient_heatmap",
        figures.gradient_heatmap,
        "gradients",
        ("grad_norm",),
        "Dark layers get little gradient: dark at the bottom is vanishing, and a change of colour from "
        "left to right shows training repairing or breaking the flow.",
    ),
    Exhibit(
        "learning_speed",
        figures.learning_speed,
        "gradients",
        ("grad_norm",),
        "Lines far apart mean that layers learn at very different speeds; dark lines are the layers near the "
        "input.",
    ),
    Exhibit(
        "saturation_by_layer",
        figures.saturation_by_layer,
        "gradients",
        ("saturation", "dead_fraction"),
        "Saturated and dead units pass no gradient on: a layer near 1 is a wall.",
    ),
    Exhibit(
        "update_ratio_by_layer",
        figures.update_ratio_by_layer,
        "gradients",
        ("update_ratio",),
        "How much one step changes a layer, relative to its weights: one far below the others stands still.",
    ),
    Exhibit(
        "weight_drift_by_layer",
        figures.weight_drift_by_layer,
        "gradients",
        ("weight_drift",),
        "Layers that hardly moved have kept their random weights.",
    ),
)


def draw_gallery(runs: Runs, summary: pd.DataFrame, folder: Path) -> Iterator[Picture]:
    """Draw every exhibit to `folder` as PNG and SVG; one that cannot be drawn leaves no file behind."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = {"gradients": runs.gradients, "metrics": runs.metrics, "summary": summary}
    colours = figures.palette(runs.labels)
    for exhibit in EXHIBITS:
        table = tables[exhibit.table]
        if _has_any(table, exhibit.needs):
            yield Picture(exhibit, save_figure(exhibit.draw(table, colours), folder / exhibit.name))
        else:
            _remove(folder / exhibit.name)
            yield Picture(exhibit, None)


def save_figure(figure: Figure, path: Path) -> bytes:
    """Write `path`.png and `path`.svg, the same bytes for the same figure; gives the PNG."""
    canvas, buffer = FigureCanvasAgg(figure), io.BytesIO()
    with warnings.catch_warnings(), rc_context({"svg.hashsalt": "vanishgrad"}):
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a name may be in any script
        canvas.print_png(buffer)  # type: ignore[no-untyped-call]
        figure.set_layout_engine("none")  # drawing the PNG solved the layout
        svg = FigureCanvasSVG(figure)
        svg.print_svg(path.with_suffix(".svg"), metadata={"Date": None})  # type: ignore[no-untyped-call]
    path.with_suffix(".png").write_bytes(buffer.getvalue())
    return buffer.getvalue()


def _has_any(table: pd.DataFrame, columns: tuple[str, ...]) -> bool:
    return any(column in table and bool(np.isfinite(table[column]).any()) for column in columns)


def _remove(path: Path) -> None:
    """Take away the figure of an earlier report."""
    for suffix in (".png", ".svg"):
        path.with_suffix(suffix).unlink(missing_ok=True)
