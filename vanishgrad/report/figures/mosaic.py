"""Many small pictures in one."""

from __future__ import annotations

from math import ceil, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
