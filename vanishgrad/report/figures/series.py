"""Views of many settings side by side: lines while they can be told apart, else a heat map."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from vanishgrad.report.figures.canvas import log_notes, note
from vanishgrad.report.figures.lines import draw_lines
from vanishgrad.report.figures.mesh import draw_setting_maps
from vanishgrad.report.figures.palette import Palette
from vanishgrad.report.figures.view import View, band_note


def draw_views(title: str, views: Sequence[View], colours: Palette) -> Figure:
    """Lines for up to 24 settings, at most eight a panel; beyond that a heat map of setting and x."""
    if colours.panels:
        figure = draw_lines(title, views, colours)
        note(figure, _line_notes(views))
    else:
        figure = draw_setting_maps(title, views, colours)
        note(figure, "median over seeds; grey: no finite value above zero, or not reached")
    return figure


def _line_notes(views: Sequence[View]) -> str:
    band = band_note(pd.concat([view.frame[["run", "setting"]] for view in views]))
    said = [band] if band else []
    logs = [view.frame[view.y] for view in views if view.is_log]
    said += log_notes(pd.concat(logs)) if logs else []
    if any(view.has_theory for view in views):
        said.append("dashed: mean-field theory, from the last hidden layer down")
    if any(view.x == "step" and (view.frame["status"] == "diverged").any() for view in views):
        said.append("x: the last finite value of a run that diverged")
    return "; ".join(said)
