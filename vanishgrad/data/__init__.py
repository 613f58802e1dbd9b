"""Data sets as tensors: reading, splitting, scaling. All loading is here."""

from vanishgrad.data.dataset import Dataset
from vanishgrad.data.loading import load

__all__ = ["Dataset", "load"]
