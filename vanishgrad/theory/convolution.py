"""Plain convolutional networks with many channels: lengths and gradients at every place (Xiao et al. 2018).

Pre-activations at a place are Gaussian over the channels; their length is sigma_w^2 times the mean of E[f^2]
over the kernel's window. Zeros around the map make it shorter at the border, which theory of the bulk leaves
out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d

from vanishgrad.theory.gaussian import (
    Function,
    Rectified,
    closed_form,
    derivative,
    gaussian_nodes,
    in_float64,
)
from vanishgrad.theory.stack import LARGEST, SAME

KERNEL = 3
CHUNK = 256  # places at a time, to bound the memory


class Convolution(NamedTuple):
    """A layer of 3x3 kernels with one place of zeros around the map.

    Arguments:
        variance_w: sigma_w^2, fan_in times the weights' variance.
        variance_b: of the biases.
        stride: between the windows.
    """

    variance_w: float
    variance_b: float
    stride: int = 1


class Map(NamedTuple):
    """A layer's maps, each `(height, width)`: lengths q, and E[f^2] and E[f'^2] there."""

    q: Tensor
    square: Tensor
    slope: Tensor


def maps(y: Tensor, layers: Sequence[Convolution], f: Function, noise: float = 1) -> list[Map]:
    """The maps of every layer, upwards from an image with the mean squares `y`, `(height, width)`.

    >>> from torch import nn
    >>> (first,) = maps(torch.ones(4, 4, dtype=torch.float64), [Convolution(2.0, 0.0)], nn.ReLU())
    >>> round(float(first.q[1, 1]), 12), round(float(first.square[1, 1]), 12)  # zeros dim the border only
    (2.0, 1.0)
    """
    layer_maps: list[Map] = []
    for layer in layers:
        q = layer.variance_w * _window(y, layer.stride) + layer.variance_b
        q = q.clamp(max=LARGEST)
        last = layer_maps[-1] if layer_maps else None
        if last is None or q.shape != last.q.shape or not bool(((q - last.q).abs() <= SAME * q).all()):
            last = Map(q, *(noise * moment for moment in map_moments(f, q)))
        layer_maps.append(last)
        y = last.square
    return layer_maps


def map_gradients(layers: Sequence[Convolution], layer_maps: Sequence[Map]) -> list[float]:
    """log E||dLoss/dz||^2 of every layer, relative to the last one's, under global average pooling.

    Pooling sends the same gradient to every place of the last map.
    """
    at, scale, logs = layer_maps[-1].slope, 0.0, list[float]()
    for number in range(len(layer_maps) - 1, -1, -1):
        total = float(at.sum())
        scale += math.log(total) if total > 0 else -math.inf
        logs.append(scale)
        if number == 0 or total <= 0:
            break
        at = _spread(at / total, layers[number], layer_maps[number - 1].slope)
    logs += [-math.inf] * (len(layer_maps) - len(logs))
    return [log - logs[0] for log in logs[::-1]] if math.isfinite(logs[0]) else logs[::-1]


def map_moments(f: Function, q: Tensor) -> tuple[Tensor, Tensor]:
    """E[f^2] and E[f'^2] for x ~ N(0, q), of the shape of `q`."""
    closed = closed_form(f)
    if isinstance(closed, Rectified):
        return q * (1 + closed.a**2) / 2, torch.full_like(q, (1 + closed.a**2) / 2)
    plain, slope = in_float64(f), derivative(f)
    z, w = gaussian_nodes()
    with torch.no_grad():
        parts = [(plain(x) ** 2 @ w, slope(x) ** 2 @ w) for x in _points(q, z)]
    square, slopes = (torch.cat(part).reshape(q.shape) for part in zip(*parts, strict=True))
    return square, slopes


def _points(q: Tensor, z: Tensor) -> list[Tensor]:
    return [part.sqrt()[:, None] * z for part in q.flatten().clamp(min=1e-40).split(CHUNK)]


def _kernel() -> Tensor:
    return torch.full((1, 1, KERNEL, KERNEL), 1 / KERNEL**2, dtype=torch.float64)


def _window(y: Tensor, stride: int) -> Tensor:
    """The mean over each window, zeros counted."""
    return conv2d(y[None, None], _kernel(), stride=stride, padding=1)[0, 0]


def _spread(above: Tensor, layer: Convolution, slope: Tensor) -> Tensor:
    """The squared gradients `above` at the places below that they come from, through the activation there."""
    height, width = slope.shape
    extra = [
        size - ((other - 1) * layer.stride + 1)
        for size, other in zip((height, width), above.shape, strict=True)
    ]
    below = conv_transpose2d(
        above[None, None], _kernel(), stride=layer.stride, padding=1, output_padding=tuple(extra)
    )
    return layer.variance_w * below[0, 0] * slope
