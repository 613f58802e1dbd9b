"""Own colours for the settings of one figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from vanishgrad.report.figures import Palette, palette


def coloured(colours: Mapping[str, str]) -> Palette:
    """The palette of these settings in these colours."""
    return replace(palette(list(colours)), colours=dict(colours))
