"""The simple recurrent layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vanishgrad.choices.activation import Activation
from vanishgrad.models.recurrent.gates import add_linears, normalize, product, zero_state
from vanishgrad.modules.observer import Gate, LinearOutput, Observer, Unrolled


class RNNLayer(nn.Module):
    """h_t = act(W_xh x_t + W_hh h_(t-1) + b) (Elman 1990).

    With `normalized`, h_t = act(LN(W_xh x_t + W_hh h_(t-1)) + b), where LN has a gain, 1 at the start
    (Ba et al. 2016, eq. 4).

    Arguments:
        layer: its number.
        inputs: features of x_t.
        width: units.
        act: the activation.
        normalized: whether with layer normalization.
    """

    def __init__(self, layer: int, inputs: int, width: int, act: Activation, normalized: bool) -> None:
        super().__init__()
        self.layer = layer
        self.from_x = add_linears(self, ["xh"], layer, inputs, width)
        self.from_h = add_linears(self, ["hh"], layer, width, width, bias=False)
        self.norm = nn.LayerNorm(width, bias=False) if normalized else None
        self.act = act.module()

    def shown(self) -> set[nn.Module]:
        """The modules that an observer sees."""
        return {*self.from_x, *self.from_h, self.act}

    def forward(
        self, x: Tensor, state: tuple[Tensor, ...] | None, observer: Observer | None
    ) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        """h_1 ... h_T, and the state after them.

        Arguments:
            x: `(time, batch, inputs)`, or symbol numbers `(time, batch)`.
            state: (h_0,), `(batch, width)`; None for zeros.
            observer: who watches.
        """
        (xh,), (hh,) = self.from_x, self.from_h
        z_x = product(x, xh.weight, xh.bias if self.norm is None else None)
        (h,), transposed = state or zero_state(x, hh.weight, 1), hh.weight.t()
        hidden, entered = [], []
        for z_t in z_x.unbind(0):
            z = torch.addmm(z_t, h, transposed)
            z = z if self.norm is None else normalize(self.norm, z, xh.bias)
            h = self.act(z)
            hidden.append(h)
            if observer is not None:
                entered.append(z)
        if observer is not None:
            observer.unrolled(self._unrolled(z_x, hidden, entered))
        return hidden, (h,)

    def _unrolled(self, z_x: Tensor, hidden: list[Tensor], entered: list[Tensor]) -> Unrolled:
        # z_x is added to W_hh h: dLoss/dz of the sum, the z of both matrices, is its gradient
        linear = [LinearOutput(matrices, [z_x], axis=-1) for matrices in (self.from_x, self.from_h)]
        gate = Gate("hidden", (*self.from_x, *self.from_h), self.act, hidden, entered)
        return Unrolled(self.layer, hidden, [], [gate], linear)
