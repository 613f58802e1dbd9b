"""What the units of a network do: dead ones, gates, the inputs and the curves of activations."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.typing import LineStyleType
from numpy.typing import NDArray

from vanishgrad.diagnosis.layers import at_end
from vanishgrad.report.figures.canvas import (
    QUIET,
    as_runs,
    first_runs_notes,
    first_settings,
    literal,
    multiples,
    multiples_notes,
    name_axes,
    note,
    panels,
    say_empty,
    whole_ticks,
)
from vanishgrad.report.figures.palette import COLOURS, Palette, palette
from vanishgrad.report.figures.series import draw_views
from vanishgrad.report.figures.view import FRACTION_LIMITS, View, divergence_mark, over_seeds

TAGS = ["run", "setting", "seed", "status"]


def dead_units(units: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Draw the fraction of dead units over steps, all layers together, and by layer at the end.

    A dead unit is flat on every training example, not only on one batch.

    Arguments:
        units: `load_runs(...).extra("dead_units")`; reads `step, layer, units, dead_fraction`.
        colours: of the settings, see `palette`; None: their own.

    Example:
        >>> import pandas as pd
        >>> rows = pd.DataFrame({"step": 10, "layer": [1, 2], "units": [10, 30], "dead_fraction": [0.0, 0.4]})
        >>> [float(part) for part in dead_units(rows).axes[0].lines[0].get_ydata()]
        [0.3]
    """
    units = as_runs(units)
    label = "fraction of units"
    views = [
        View(all_layers(units), "step", "dead_fraction", "all layers", label, False),
        View(at_end(units, "dead_fraction"), "layer", "dead_fraction", "by layer, at the end", label, False),
    ]
    return draw_views("Dead units on the whole training set", views, colours or palette(units["setting"]))


def all_layers(units: pd.DataFrame) -> pd.DataFrame:
    """One row per run and step: `dead_fraction` of the units of all layers."""
    dead = units.assign(dead=units["units"] * units["dead_fraction"])
    pooled = dead.groupby([*TAGS, "step"], sort=False, dropna=False)[["dead", "units"]].sum().reset_index()
    return pooled.assign(dead_fraction=pooled["dead"] / pooled["units"])


# Tol (2021), high contrast, grey and teal: none of them the colour of a setting.
GATE_COLOURS = ("#004488", "#BB5566", "#DDAA33", "#777777", "#44AA99")
ENDS: tuple[tuple[str, str, LineStyleType], ...] = (
    ("near_one", "near 1 (open)", "-"),
    ("near_zero", "near 0 (closed)", (0.0, (1.0, 1.2))),
)


def gate_activity(gates: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Draw the fractions of gate values near 0 and near 1 over steps: a panel per setting, a colour per gate.

    Arguments:
        gates: `load_runs(...).extra("gates")`; reads `step, gate, near_zero, near_one`.
        colours: of the settings, for their order; None: as they come.

    Example:
        >>> import pandas as pd
        >>> rows = pd.DataFrame({"step": [0, 10], "gate": "forget", "near_zero": 0.1, "near_one": [0.2, 0.6]})
        >>> gate_activity(rows).axes[0].get_ylabel()
        'fraction of gates'
    """
    gates = as_runs(gates)
    settings = first_settings(gates, colours or palette(gates["setting"]))
    figure, axes = multiples("Gate activity over training", len(settings))
    shades = {
        gate: GATE_COLOURS[place % len(GATE_COLOURS)]
        for place, gate in enumerate(dict.fromkeys(gates["gate"]))
    }
    for each, setting in zip(axes, settings, strict=True):
        rows = gates[gates["setting"] == setting]
        name_axes(each, setting + divergence_mark(rows), "optimizer step", "fraction of gates")
        _draw_gate(each, rows, shades)
        each.set_ylim(*FRACTION_LIMITS)
    figure.legend(handles=_key(shades), loc="outside right upper", fontsize=9, frameon=False)
    note(figure, "; ".join(["mean over time steps and layers", *multiples_notes(gates)]))
    return figure


def _draw_gate(axes: Axes, rows: pd.DataFrame, shades: dict[str, str]) -> None:
    drawn = False
    for gate, of_gate in rows.groupby("gate", sort=False):
        for end, _, dashes in ENDS:
            band = over_seeds(of_gate, "step", end, log=False)
            marker = "o" if len(band) == 1 else None
            axes.plot(band.index, band["middle"], linestyle=dashes, marker=marker, color=shades[str(gate)])
            drawn = drawn or not band.empty
    if not drawn:
        say_empty(axes)


def _key(shades: dict[str, str]) -> list[Line2D]:
    colours = [Line2D([], [], color=colour, label=literal(gate)) for gate, colour in shades.items()]
    return colours + [Line2D([], [], color=QUIET, linestyle=dashes, label=text) for _, text, dashes in ENDS]


MOST_SETTINGS = 4
MOST_LAYERS = 12
HIGHEST = 0.9  # of the distance between two layers
FLAT_COLOUR = "#f3d3c1"
FLAT_NOTE = "shaded: slope under 5 % of the largest, where units are saturated or off"
TITLES = {"start": "at the start", "end": "at the end"}


def activation_inputs(histograms: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Draw the distribution of z by layer, a ridge each: a row per setting, its first run.

    The first layer is at the bottom; shaded is where the activation is flat and passes no gradient on.

    Arguments:
        histograms: `load_runs(...).extra("activation_inputs")`; reads `moment` (start or end), `edges` of the
            bins `(bins + 1,)`, `fractions` `(layers, bins)` and `flat` `(bins,)`.
        colours: of the settings, see `palette`; None: their own.

    Example:
        >>> import numpy as np
        >>> import pandas as pd
        >>> bins = {"edges": np.array([-2.0, 0.0, 2.0]), "flat": np.array([True, False])}
        >>> layers = {"fractions": np.full((3, 2), 0.5)}
        >>> rows = pd.DataFrame([{"moment": moment, **bins, **layers} for moment in ("start", "end")])
        >>> figure = activation_inputs(rows)
        >>> [axes.get_title() for axes in figure.axes]
        ['this run: at the start', 'this run: at the end']
    """
    histograms = as_runs(histograms)
    colours = colours or palette(histograms["setting"])
    settings = first_settings(histograms, colours)[:MOST_SETTINGS]
    most = max(min(len(each), MOST_LAYERS) for each in histograms["fractions"])
    figure, axes = panels(
        "Activations by layer: what enters them", len(settings), 2, (4.6, 1.6 + 0.22 * most)
    )
    for row, setting in zip(axes, settings, strict=True):
        mine = histograms[histograms["setting"] == setting]
        one_run = mine[mine["run"] == mine["run"].iloc[0]].set_index("moment")
        for each, moment in zip(row, TITLES, strict=True):
            name_axes(each, f"{setting}: {TITLES[moment]}", "z, what enters the activation", "layer")
            drawn = one_run.loc[moment]
            _draw_inputs(each, drawn["edges"], drawn["fractions"], drawn["flat"], colours.colours[setting])
    note(figure, "; ".join([FLAT_NOTE, *first_runs_notes(histograms, len(settings))]))
    return figure


def _draw_inputs(
    axes: Axes,
    edges: NDArray[np.float64],
    fractions: NDArray[np.float64],
    flat: NDArray[np.bool_],
    colour: str,
) -> None:
    """The first layer at the bottom; every ridge is as high as its own largest fraction."""
    middle = (edges[1:] + edges[:-1]) / 2
    for low, high, is_flat in zip(edges[:-1], edges[1:], flat, strict=True):
        if is_flat:
            axes.axvspan(low, high, color=FLAT_COLOUR, linewidth=0, zorder=0.5)
    count = len(fractions)
    apart = ceil(count / MOST_LAYERS)
    for layer in range(0, count, apart):
        height = HIGHEST * apart * fractions[layer] / max(float(fractions[layer].max()), 1e-12)
        base = float(layer + 1)
        axes.fill_between(middle, base, base + height, color=colour, alpha=0.75, linewidth=0, zorder=2)
        axes.plot(middle, base + height, color="white", linewidth=0.8, zorder=2)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0.7, count + 1.2 * apart)
    whole_ticks(axes.yaxis, pd.Series(np.arange(1, count + 1)))


MOST_CURVES = 8
DASHES = ("-", (0, (5, 2)), (0, (1, 1)), (0, (5, 1, 1, 1)))


def activation_curves(curves: pd.DataFrame, colours: object = None) -> Figure:
    """Draw activations and their derivatives, the largest slope of each marked with its value.

    Arguments:
        curves: rows of `act`, what it is called, and `x, value, slope`.
        colours: not used; each activation has its own, for settings may share one.

    Example:
        >>> import numpy as np
        >>> import pandas as pd
        >>> x = np.linspace(-3, 3, 61)
        >>> rows = pd.DataFrame({"act": "tanh", "x": x, "value": np.tanh(x), "slope": 1 - np.tanh(x) ** 2})
        >>> [text.get_text() for text in activation_curves(rows).axes[1].get_legend().get_texts()]
        ['tanh: at most 1']
    """
    names = list(dict.fromkeys(curves["act"]))[:MOST_CURVES]
    figure, axes = panels("Activation functions and their slopes", 1, 2, (4.6, 3.6), names)
    values, slopes = axes[0]
    for place, name in enumerate(names):
        _draw_curve(values, slopes, curves[curves["act"] == name], place)
    name_axes(values, "activation", "z, the layer's linear output", "output")
    name_axes(slopes, "slope", "z, the layer's linear output", "slope: what the gradient is multiplied by")
    slopes.axhline(1.0, color=QUIET, linewidth=1.0, linestyle=(0, (1, 2)))
    slopes.set_ylim(bottom=min(-0.05, float(curves["slope"].min()) - 0.05))
    slopes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9, frameon=False)
    count = curves["act"].nunique()
    left_out = f"the first {len(names)} of {count} activations" if count > len(names) else ""
    note(figure, left_out or "dot: the largest slope; dotted: 1, nothing lost")
    return figure


def _draw_curve(values: Axes, slopes: Axes, rows: pd.DataFrame, place: int) -> None:
    """An activation and its slope in the style of its `place`, a dot where the slope is largest."""
    colour, dashes = COLOURS[place % len(COLOURS)], DASHES[place % len(DASHES)]
    style: dict[str, Any] = {"color": colour, "linestyle": dashes, "linewidth": 1.8}
    steepest = rows.iloc[int(np.nanargmax(rows["slope"].to_numpy(float)))]
    label = f"{literal(str(steepest['act']))}: at most {steepest['slope']:.3g}"
    values.plot(rows["x"], rows["value"], **style)
    slopes.plot(rows["x"], rows["slope"], label=label, **style)
    slopes.plot(
        [steepest["x"]], [steepest["slope"]], "o", color=colour, markersize=6, markeredgecolor="white"
    )
