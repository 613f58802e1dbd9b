"""Importing matplotlib, whatever the environment says about its backend.

Figures are drawn into files, which takes none. A name in MPLBACKEND that there is not, or not here, would
keep matplotlib from being imported at all; one that there is counts, for those who show figures.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

NAME = "MPLBACKEND"


def import_matplotlib() -> None:
    """Import it; nothing where it has been."""
    if "matplotlib" in sys.modules:
        return
    wanted = os.environ.pop(NAME, None)
    try:
        import matplotlib
    finally:
        if wanted is not None:
            os.environ[NAME] = wanted
    if wanted:
        with suppress(ValueError):  # there is no such backend
            matplotlib.rcParams["backend"] = wanted


import_matplotlib()
