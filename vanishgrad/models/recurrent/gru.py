"""The gated recurrent layer."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from vanishgrad.choices.activation import Activation
from vanishgrad.models.recurrent.gates import (
    add_linears,
    gates_over_time,
    joined_weight,
    normalize,
    project,
    zero_state,
)
from vanishgrad.modules.observer import LinearOutput, Observer, Unrolled

GATES = ("reset", "update", "candidate")


class GRUStep(NamedTuple):
    """What one time step gave, each `(batch, width)`; z_h, the recurrent sums, `(batch, 3 width)`.

    `z_n` is what entered the candidate's activation.
    """

    h: Tensor
    gates: tuple[Tensor, ...]  # in the order of GATES
    z_h: Tensor
    z_n: Tensor


class Norms(nn.Module):
    """Layer normalization of what x_t (or h_(t-1)) gives to both gates, and to the candidate."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gates = nn.LayerNorm(2 * width, bias=False)
        self.candidate = nn.LayerNorm(width, bias=False)


class GRULayer(nn.Module):
    """Gated recurrent units (Cho et al. 2014), the reset gate after the recurrent product, as cuDNN has it.

        r, z = sigmoid(W_x x_t + W_h h_(t-1) + b), each gate with matrices and a bias of its own
        n = act(W_xn x_t + b_xn + r * (W_hn h_(t-1) + b_hn))
        h_t = (1 - z) * n + z * h_(t-1)

    With `normalized`, every product is replaced by its LN, and what the two gates get from x_t (or h_(t-1))
    is normalized together (Ba et al. 2016, supplement). LN has a gain, 1 at the start; the biases are b.

    Arguments:
        layer: its number.
        inputs: features of x_t.
        width: units.
        act: the function of the candidate.
        normalized: whether with layer normalization.
    """

    def __init__(self, layer: int, inputs: int, width: int, act: Activation, normalized: bool) -> None:
        super().__init__()
        self.layer, self.width = layer, width
        self.from_x = add_linears(self, ("xr", "xz", "xn"), layer, inputs, width)
        self.from_h = add_linears(self, ("hr", "hz"), layer, width, width, bias=False)
        self.from_h += add_linears(self, ("hn",), layer, width, width)
        self.gate, self.candidate = nn.Sigmoid(), act.module()
        self.norms_x = Norms(width) if normalized else None
        self.norms_h = Norms(width) if normalized else None

    def shown(self) -> set[nn.Module]:
        """The modules that an observer sees."""
        return {*self.from_x, *self.from_h, self.gate, self.candidate}

    def forward(
        self, x: Tensor, state: tuple[Tensor, ...] | None, observer: Observer | None
    ) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        """h_1 ... h_T, and the state after them.

        Arguments:
            x: `(time, batch, inputs)`, or symbol numbers `(time, batch)`.
            state: (h_0,), `(batch, width)`; None for zeros.
            observer: who watches.
        """
        weight, norms = joined_weight(self.from_h), self.norms_x
        z_x, into_gates = project(x, self.from_x[:2], norms.gates if norms else None)
        n_x, into_candidate = project(x, self.from_x[2:], norms.candidate if norms else None)
        (h,), transposed = state or zero_state(x, weight, 1), weight.t()
        bias = pad(self.from_h[2].bias, (2 * self.width, 0))  # of the candidate alone
        hidden, steps = [], []
        for z_t, n_t in zip(into_gates.unbind(0), into_candidate.unbind(0), strict=True):
            step = self._step(z_t, n_t, h, transposed, bias)
            h = step.h
            hidden.append(h)
            if observer is not None:
                steps.append(step)
        if observer is not None:
            observer.unrolled(self._unrolled(z_x, n_x, hidden, steps))
        return hidden, (h,)

    def _step(self, z_x: Tensor, n_x: Tensor, h: Tensor, transposed: Tensor, bias: Tensor) -> GRUStep:
        sums = h @ transposed if self.norms_h else torch.addmm(bias, h, transposed)
        z_h, n_h = sums.split((2 * self.width, self.width), 1)
        if self.norms_h is not None:
            z_h = self.norms_h.gates(z_h)
            n_h = normalize(self.norms_h.candidate, n_h, self.from_h[2].bias)
        r, z = self.gate(z_x + z_h).chunk(2, 1)
        z_n = torch.addcmul(n_x, r, n_h)
        n = self.candidate(z_n)
        return GRUStep(torch.lerp(n, h, z), (r, z, n), sums, z_n)

    def _unrolled(self, z_x: Tensor, n_x: Tensor, hidden: list[Tensor], steps: list[GRUStep]) -> Unrolled:
        linear = [
            LinearOutput(self.from_x[:2], [z_x], axis=-1),
            LinearOutput(self.from_x[2:], [n_x], axis=-1),
            LinearOutput(self.from_h, [step.z_h for step in steps], axis=-1),
        ]
        functions = (self.gate, self.gate, self.candidate)
        gates = gates_over_time(
            GATES, self.from_x, self.from_h, functions, (step.gates for step in steps),
            [step.z_n for step in steps],
        )  # fmt: skip
        return Unrolled(self.layer, hidden, [], gates, linear)
