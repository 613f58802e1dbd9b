"""Per-layer measurements of any `nn.Module`, taken without changing its training."""

from vanishgrad.monitor.gradient_monitor import GradientMonitor
from vanishgrad.monitor.measurement import Measurement

__all__ = ["GradientMonitor", "Measurement"]
