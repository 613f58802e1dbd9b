"""Networks out of choices."""

from vanishgrad.models.build import build

__all__ = ["build"]
