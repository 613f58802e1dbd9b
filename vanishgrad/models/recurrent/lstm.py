"""The long short-term memory layer."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from vanishgrad.choices.activation import Activation
from vanishgrad.models.recurrent.gates import add_linears, gates_over_time, joined_weight, project, zero_state
from vanishgrad.modules.observer import LinearOutput, Observer, Unrolled

GATES = ("input", "forget", "output", "candidate")


class LSTMStep(NamedTuple):
    """What one time step gave, each `(batch, width)`; z_h, the recurrent sums, `(batch, 4 width)`.

    `z_c` is what entered the candidate's activation.
    """

    h: Tensor
    c: Tensor
    gates: tuple[Tensor, ...]  # in the order of GATES
    z_h: Tensor
    z_c: Tensor


class Peepholes(nn.Module):
    """One weight per unit from the cell to each gate (Gers et al. 2002).

    They start at 0, so that a network with peepholes starts equal to its twin without.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        # vectors: matrices would count among the weights that are drawn, penalized and measured
        self.input = nn.Parameter(torch.empty(width))
        self.forget = nn.Parameter(torch.empty(width))
        self.output = nn.Parameter(torch.empty(width))

    def reset_parameters(self) -> None:
        for weight in self.parameters():
            nn.init.zeros_(weight)


class LSTMLayer(nn.Module):
    """Long short-term memory with a forget gate (Hochreiter and Schmidhuber 1997; Gers et al. 2000).

        i, f, o = sigmoid(W_x x_t + W_h h_(t-1) + b), each gate with matrices and a bias of its own
        c_t = f * c_(t-1) + i * act(W_xc x_t + W_hc h_(t-1) + b_c)
        h_t = o * act(c_t)

    With `peepholes`, p_i * c_(t-1), p_f * c_(t-1) and p_o * c_t are added to what enters the gates. With
    `normalized`, gates and candidate read LN(W_x x_t) + LN(W_h h_(t-1)) + b, either LN over the sums of all
    four together, and h_t = o * act(LN(c_t)) (Ba et al. 2016, supplement). All LN have gains, 1 at the start;
    only that of c_t has an additive parameter, since b is the others'.

    Arguments:
        layer: its number.
        inputs: features of x_t.
        width: units.
        act: the function of the candidate and of the cell on its way out.
        normalized: whether with layer normalization.
        peepholes: whether the gates see the cell.
    """

    def __init__(
        self, layer: int, inputs: int, width: int, act: Activation, normalized: bool, peepholes: bool
    ) -> None:
        super().__init__()
        self.layer = layer
        self.from_x = add_linears(self, ("xi", "xf", "xo", "xc"), layer, inputs, width)
        self.from_h = add_linears(self, ("hi", "hf", "ho", "hc"), layer, width, width, bias=False)
        self.gate, self.candidate, self.cell_act = nn.Sigmoid(), act.module(), act.module()
        self.peepholes = Peepholes(width) if peepholes else None
        self.norm_x = nn.LayerNorm(4 * width, bias=False) if normalized else None
        self.norm_h = nn.LayerNorm(4 * width, bias=False) if normalized else None
        self.norm_cell = nn.LayerNorm(width) if normalized else None

    def shown(self) -> set[nn.Module]:
        """The modules that an observer sees."""
        return {*self.from_x, *self.from_h, self.gate, self.candidate, self.cell_act}

    def forward(
        self, x: Tensor, state: tuple[Tensor, ...] | None, observer: Observer | None
    ) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        """h_1 ... h_T, and the state after them.

        Arguments:
            x: `(time, batch, inputs)`, or symbol numbers `(time, batch)`.
            state: (h_0, c_0), each `(batch, width)`; None for zeros.
            observer: who watches.
        """
        weight = joined_weight(self.from_h)
        z_x, into = project(x, self.from_x, self.norm_x)
        (h, c), transposed = state or zero_state(x, weight, 2), weight.t()
        hidden, steps = [], []
        for x_t in into.unbind(0):
            step = self._step(x_t, h, c, transposed)
            h, c = step.h, step.c
            hidden.append(h)
            if observer is not None:
                steps.append(step)
        if observer is not None:
            observer.unrolled(self._unrolled(z_x, hidden, steps))
        return hidden, (h, c)

    def _step(self, x_t: Tensor, h: Tensor, c: Tensor, transposed: Tensor) -> LSTMStep:
        if self.norm_h is None:
            z = z_h = torch.addmm(x_t, h, transposed)
        else:
            z_h = h @ transposed
            z = x_t + self.norm_h(z_h)
        z_i, z_f, z_o, z_c = z.chunk(4, 1)
        if self.peepholes is not None:
            z_i, z_f = z_i + self.peepholes.input * c, z_f + self.peepholes.forget * c
        i, f, g = self.gate(z_i), self.gate(z_f), self.candidate(z_c)
        c = f * c + i * g
        o = self.gate(z_o if self.peepholes is None else z_o + self.peepholes.output * c)
        h = o * self.cell_act(c if self.norm_cell is None else self.norm_cell(c))
        return LSTMStep(h, c, (i, f, o, g), z_h, z_c)

    def _unrolled(self, z_x: Tensor, hidden: list[Tensor], steps: list[LSTMStep]) -> Unrolled:
        # without normalization z_x is added to z_h: its gradient is dLoss/dz of the sum, the z of both
        z_h = [z_x] if self.norm_h is None else [step.z_h for step in steps]
        linear = [LinearOutput(self.from_x, [z_x], axis=-1), LinearOutput(self.from_h, z_h, axis=-1)]
        functions = (self.gate, self.gate, self.gate, self.candidate)
        gates = gates_over_time(
            GATES, self.from_x, self.from_h, functions, (step.gates for step in steps),
            [step.z_c for step in steps],
        )  # fmt: skip
        return Unrolled(self.layer, hidden, [step.c for step in steps], gates, linear)
