"""Units that are off on every training example."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from vanishgrad.diagnosis.layers import at_end
from vanishgrad.report.figures.of_runs import of_runs
from vanishgrad.report.figures.palette import Palette, palette
from vanishgrad.report.figures.series import draw_views
from vanishgrad.report.figures.view import View

TAGS = ["run", "setting", "seed", "status"]


@of_runs
def dead_units(units: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """The fraction of dead units over steps, all layers together, and by layer at the end."""
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
