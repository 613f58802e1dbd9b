"""How bad, and how certain, from how far the evidence is beyond a rule's threshold."""

from __future__ import annotations

SLOWS, PREVENTS = 0.5, 1.0  # severities: training is slower; there is none
UNKNOWN = 0.8  # of the severity, where it is not known what came of it


def sure(value: float, threshold: float, full: float | None = None) -> float:
    """From 0.5 at the threshold to 1 at `full`, by default twice the threshold."""
    far = 2 * threshold if full is None else full
    return round(0.5 + 0.5 * _between((value - threshold) / (far - threshold)), 3)


def severe(value: float, threshold: float, *, certain: bool, full: float | None = None) -> float:
    """From SLOWS at the threshold to PREVENTS at `full`; less where it is not certain to have done harm."""
    far = 3 * threshold if full is None else full
    part = SLOWS + (PREVENTS - SLOWS) * _between((value - threshold) / (far - threshold))
    return round(part if certain else UNKNOWN * part, 3)


def _between(part: float) -> float:
    return min(1.0, max(0.0, part))
