"""Per-layer measurements of any `nn.Module`, taken without changing its training."""

from __future__ import annotations

from vanishgrad.measure.gradient_monitor import GradientMonitor
from vanishgrad.measure.measurement import Measurement

__all__ = ["GradientMonitor", "Measurement"]
