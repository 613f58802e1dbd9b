"""How far the gates of recurrent layers are open, over training."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.typing import LineStyleType

from vanishgrad.report.figures.canvas import QUIET, name_axes, note, plain, say_empty
from vanishgrad.report.figures.multiples import first_settings, multiples, multiples_notes
from vanishgrad.report.figures.of_runs import of_runs
from vanishgrad.report.figures.palette import Palette, palette
from vanishgrad.report.figures.view import FRACTION_LIMITS, divergence_mark, over_seeds

# Tol (2021), high contrast, grey and teal: none of them the colour of a setting.
GATE_COLOURS = ("#004488", "#BB5566", "#DDAA33", "#777777", "#44AA99")
ENDS: tuple[tuple[str, str, LineStyleType], ...] = (
    ("near_one", "near 1 (open)", "-"),
    ("near_zero", "near 0 (closed)", (0.0, (1.0, 1.2))),
)


@of_runs
def gate_activity(gates: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Fractions of gate values near 0 and near 1 over steps: a panel per setting, a colour per gate."""
    settings = first_settings(gates, colours or palette(gates["setting"]))
    figure, axes = multiples("Gate activity over training", len(settings))
    shades = {
        gate: GATE_COLOURS[place % len(GATE_COLOURS)]
        for place, gate in enumerate(dict.fromkeys(gates["gate"]))
    }
    for each, setting in zip(axes, settings, strict=True):
        rows = gates[gates["setting"] == setting]
        name_axes(each, setting + divergence_mark(rows), "optimizer step", "fraction of gates")
        _draw(each, rows, shades)
        each.set_ylim(*FRACTION_LIMITS)
    figure.legend(handles=_key(shades), loc="outside right upper", fontsize=9, frameon=False)
    note(figure, "; ".join(["mean over time steps and layers", *multiples_notes(gates)]))
    return figure


def _draw(axes: Axes, rows: pd.DataFrame, shades: dict[str, str]) -> None:
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
    colours = [Line2D([], [], color=colour, label=plain(gate)) for gate, colour in shades.items()]
    return colours + [Line2D([], [], color=QUIET, linestyle=dashes, label=text) for _, text, dashes in ENDS]
