"""The matrices of several gates, one linear module each, computed together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, layer_norm, linear

from vanishgrad.modules.observer import Gate
from vanishgrad.modules.weights import Linear

Linears = tuple[Linear, ...]


def add_linears(
    owner: nn.Module, names: Sequence[str], layer: int, inputs: int, width: int, bias: bool = True
) -> Linears:
    """New linear modules of `owner`, `inputs -> width`: `xi_3`, `xf_3`, ... for layer 3."""
    linears = tuple(Linear(inputs, width, bias=bias) for _ in names)
    for name, module in zip(names, linears, strict=True):
        owner.add_module(f"{name}_{layer}", module)
    return linears


def joined_weight(linears: Linears) -> Tensor:
    """Their weights one under the other, `(gates * width, inputs)`."""
    return torch.cat([module.weight for module in linears])


def joined_bias(linears: Linears) -> Tensor:
    """Their biases one after the other, `(gates * width,)`."""
    return torch.cat([module.bias for module in linears])


def project(x: Tensor, linears: Linears, norm: nn.LayerNorm | None) -> tuple[Tensor, Tensor]:
    """(linear outputs z, what goes on from there): W x + b both, or W x and LN(W x) + b.

    Arguments:
        x: `(time, batch, inputs)`, or symbol numbers `(time, batch)`.
        linears: the modules, all with a bias; their outputs lie side by side.
        norm: layer normalization of all their outputs together.
    """
    weight, bias = joined_weight(linears), joined_bias(linears)
    if norm is None:
        z = product(x, weight, bias)
        return z, z
    z = product(x, weight)
    return z, normalize(norm, z, bias)


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """W x + b, `(time, batch, outputs)`.

    A symbol number stands for a one-hot vector: selecting a column of W gives the same number as the product.
    """
    if x.is_floating_point():
        return linear(x, weight, bias)
    columns = weight.t() if bias is None else weight.t() + bias
    return embedding(x, columns.contiguous())


def normalize(norm: nn.LayerNorm, z: Tensor, bias: Tensor) -> Tensor:
    """LN(z) + b, `(..., units)`; the bias is not the norm's own but that of the linear modules."""
    return layer_norm(z, norm.normalized_shape, norm.weight, bias, norm.eps)


def zero_state(x: Tensor, weight: Tensor, parts: int) -> tuple[Tensor, ...]:
    """The state that a sequence `x`, `(time, batch, ...)`, starts from: h (and c), `(batch, width)`."""
    zeros = weight.new_zeros(x.shape[1], weight.shape[1])
    return (zeros,) * parts


def gates_over_time(
    names: Sequence[str],
    from_x: Linears,
    from_h: Linears,
    functions: Sequence[nn.Module],
    values: Iterable[tuple[Tensor, ...]],
    into_candidate: list[Tensor],
) -> list[Gate]:
    """What an observer sees of the gates, of which the candidate is the last.

    `values` are theirs, time step by time step; `into_candidate` is what entered the candidate's activation.
    """
    rows = zip(names, from_x, from_h, functions, zip(*values, strict=True), strict=True)
    gates = [Gate(name, (x, h), function, list(outputs)) for name, x, h, function, outputs in rows]
    return [*gates[:-1], replace(gates[-1], inputs=into_candidate)]
