"""Images of ten classes, checked as they come from a file."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from vanishgrad.data.dataset import Examples
from vanishgrad.errors import require

CLASSES = 10


def images(pixels: NDArray[np.uint8], labels: NDArray[np.integer], source: str) -> Examples:
    """Images `(n, channels, height, width)` and labels `(n,)` as tensors; `source` is what an error names."""
    require(len(pixels) > 0, f"{source}: there are no images")
    require(len(pixels) == len(labels), f"{source}: there are {len(pixels)} images, but {len(labels)} labels")
    low, high = int(labels.min()), int(labels.max())
    require(low >= 0 and high < CLASSES, f"{source}: labels are from {low} to {high}, must be from 0 to 9")
    return Examples(torch.from_numpy(pixels), torch.from_numpy(labels.astype(np.int64)), (0.0, 255.0))
