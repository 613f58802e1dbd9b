"""Data sets as tensors: reading, drawing, splitting, scaling."""

from vanishgrad.data.dataset import Dataset
from vanishgrad.data.loading import load

__all__ = ["Dataset", "load"]
