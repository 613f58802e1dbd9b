"""Per-layer measurements of any `nn.Module`, taken without changing its training."""


from vanishgrad.monitor.measurement import Measurement

__all__ = ["Measurement"]
