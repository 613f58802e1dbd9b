"""The stream of residual networks and its gradient, block by block, beside the line that doubles."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from vanishgrad.lab.colours import colours_of
from vanishgrad.report.figures.series import draw_views
from vanishgrad.report.figures.view import Reference, View

TITLES = {"stream": "the stream x", "gradient": "its gradient dLoss/dx"}


def streams(rows: pd.DataFrame, unscaled: str) -> Figure:
    """Squared lengths by block: a line per `setting`.

    Arguments:
        rows: `setting, run, status, block, stream, gradient`.
        unscaled: the setting from whose start the dashed line doubles.
    """
    own = rows[rows["setting"] == unscaled].groupby("block")
    views = [
        View(rows, "block", column, title, "squared length", references=(_doubling(own[column].median()),))
        for column, title in TITLES.items()
    ]
    title = "What a hundred layers make of the stream, at the start"
    return draw_views(title, views, colours_of(rows["setting"]))


def _doubling(lengths: pd.Series[float]) -> Reference:
    """From the smaller end of a series, which is where its way through the network begins."""
    rises = lengths.iloc[0] < lengths.iloc[-1]
    steps = np.arange(len(lengths))
    powers = 2.0 ** (steps if rises else steps[::-1])
    return Reference(pd.Series(lengths.min() * powers, lengths.index), "")
