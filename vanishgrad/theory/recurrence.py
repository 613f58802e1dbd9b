"""Gradients of a simple recurrent network through time (Pascanu et al. 2013; Chen et al. 2018).

h_t = f(W_h h_(t-1) + W_x x_t + b). Its one matrix W_h is taken to be independent at each time step, as it is
in the limit of wide layers and for times that are short beside the width.
"""

from __future__ import annotations

from vanishgrad.theory.mean_field import chi_1, length_map, q_star
from vanishgrad.theory.quadrature import Function


def state_length(f: Function, sigma_h: float, drive: float) -> float:
    """The length q of a state's pre-activations after many steps: q = sigma_h^2 E[f^2] + drive.

    Arguments:
        f: the activation.
        sigma_h: of the recurrent weights, N(0, sigma_h^2 / width).
        drive: what input and biases add at each step, sigma_x^2 E[x^2] + sigma_b^2.
    """
    return q_star(f, sigma_h, drive**0.5, start=drive or 1.0)


def state_lengths(f: Function, sigma_h: float, drive: float, steps: int) -> list[float]:
    """The length at each of the first `steps` times, from h_0 = 0."""
    lengths = [drive]
    for _ in range(steps - 1):
        lengths.append(length_map(f, lengths[-1], sigma_h, drive**0.5))
    return lengths[:steps]


def time_factor(f: Function, sigma_h: float, drive: float) -> float:
    """The factor on a state's squared gradient per time step, sigma_h^2 E[f'^2]: chi_1 of a deep network."""
    return chi_1(f, sigma_h, state_length(f, sigma_h, drive))
