"""Mean-field theory of wide networks at initialization: pure functions of a plain activation."""

from vanishgrad.theory.critical import CriticalPoint, SaturatedCriticalPoint, critical_point
from vanishgrad.theory.mean_field import chi_1, length_map, q_star, second_moment, slope_moment

__all__ = [
    "CriticalPoint",
    "SaturatedCriticalPoint",
    "chi_1",
    "critical_point",
    "length_map",
    "q_star",
    "second_moment",
    "slope_moment",
]
