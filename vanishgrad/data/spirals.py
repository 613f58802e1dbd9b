"""Interleaved spiral arms."""

from __future__ import annotations

import math

import torch

from vanishgrad.data.dataset import Examples
from vanishgrad.streams import stream


def draw_spirals(classes: int, points: int, noise: float, seed: int) -> Examples:
    """`points` points in the plane, `(points, 2)`, labelled with the arm they lie on.

    A point at t, uniform in [0, 1), of arm k has radius t and angle 2 pi (t + k / classes); every
    coordinate then receives Gaussian noise of standard deviation `noise`.
    """
    generator = stream(seed, "spirals")
    arm = torch.arange(points) % classes
    t = torch.rand(points, generator=generator, dtype=torch.float32)
    angle = 2 * math.pi * (t + arm / classes)
    centres = t[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)
    shifts = noise * torch.randn(points, 2, generator=generator, dtype=torch.float32)
    return Examples(centres + shifts, arm, bounds=None)
