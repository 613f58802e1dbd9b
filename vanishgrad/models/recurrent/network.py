"""Stacked recurrent layers under one output layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vanishgrad.choices.data import CopyMemory, Text
from vanishgrad.choices.model import GRU, LSTM
from vanishgrad.choices.regularization import Dropout
from vanishgrad.models.recurrent.gru import GRULayer
from vanishgrad.models.recurrent.lstm import LSTMLayer
from vanishgrad.models.recurrent.rnn import RNNLayer
from vanishgrad.modules.dropout import SeededDropout
from vanishgrad.modules.observer import Observer
from vanishgrad.modules.weights import Linear
from vanishgrad.run import Run

State = list[tuple[Tensor, ...]]  # of each layer: h, or h and c, each (batch, width)


AnyLayer = RNNLayer | LSTMLayer | GRULayer


class Recurrent(nn.Module):
    """A recurrent network: each layer reads the hidden states of the one below.

    It reads `(batch, time, features)`, symbol numbers `(batch, time)`, or images
    `(batch, channels, height, width)`: one row of all channels per time step.

    Arguments:
        layers: from the input up; layer k is the submodule `layer_k`.
        dropouts: one for each layer's h on its way up, not on its way through time (Zaremba et al. 2014); or
            none.
        output: reads the last layer's h.
        every_step: whether at every time step, else after the last.
    """

    observer: Observer | None = None
    output_name = "output"
    recompute_every = 0

    def __init__(
        self,
        layers: Sequence[AnyLayer],
        dropouts: Sequence[SeededDropout],
        output: Linear,
        every_step: bool,
    ) -> None:
        super().__init__()
        for number, layer in enumerate(layers, 1):
            self.add_module(f"layer_{number}", layer)
        for number, dropout in enumerate(dropouts, 1):
            self.add_module(f"dropout_{number}", dropout)
        self.output = output
        self.layers, self.dropouts, self.every_step = tuple(layers), tuple(dropouts), every_step
        self.layer_of = {
            f"layer_{number}.{name}": number
            for number, layer in enumerate(layers, 1)
            for name, module in layer.named_children()
            if isinstance(module, Linear)
        } | {self.output_name: len(layers) + 1}

    def shown(self) -> set[nn.Module]:
        """The modules that an observer sees."""
        return {self.output}.union(*(layer.shown() for layer in self.layers))

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, outputs)`, or `(batch, time, outputs)` from a network that answers at every step."""
        return self.unroll(x)[0]

    def unroll(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Outputs, as `forward` has them, and the state after the last time step, which is in the graph.

        Arguments:
            x: the input.
            state: that the layers start from; None for zeros.
        """
        x, states = _over_time(x), []
        for index, layer in enumerate(self.layers):
            hidden, last = layer(x, state and state[index], self.observer)
            states.append(last)
            answers_once = index + 1 == len(self.layers) and not self.every_step
            x = hidden[-1] if answers_once else torch.stack(hidden)
            x = self.dropouts[index](x) if self.dropouts else x
        outputs = self.output(x)
        if self.observer is not None:
            self.observer.module(self.output, x, outputs)
        return outputs.transpose(0, 1) if self.every_step else outputs, states


def _over_time(x: Tensor) -> Tensor:
    """`(time, batch, features)` of sequences or images, `(time, batch)` of symbol numbers."""
    if not x.is_floating_point():
        return x.t().long()
    if x.dim() == 4:
        x = x.transpose(1, 2).flatten(2)  # (batch, height, channels * width)
    return x.transpose(0, 1).contiguous()


def recurrent(run: Run, symbols: int | None, outputs: int) -> Recurrent:
    """The recurrent network of `run`, its parameters not yet initialized.

    Arguments:
        run: the setting.
        symbols: how many different inputs there are, where inputs are symbol numbers.
        outputs: of the network, at each of its answers.
    """
    inputs = [_features(run) if symbols is None else symbols] + [run.width] * (run.depth - 1)
    layers = [_layer(run, number, features) for number, features in enumerate(inputs, 1)]
    dropouts = []
    if isinstance(run.reg, Dropout):
        dropouts = [SeededDropout(run.reg.rate, run.seed, number) for number in range(1, run.depth + 1)]
    every_step = isinstance(run.data, CopyMemory | Text)
    return Recurrent(layers, dropouts, Linear(run.width, outputs), every_step)


def _features(run: Run) -> int:
    """Real inputs per time step."""
    if len(run.data.shape) == 3:
        channels, _, width = run.data.shape
        return channels * width
    return run.data.shape[-1]


def _layer(run: Run, number: int, inputs: int) -> AnyLayer:
    normalized = run.norm.module(run.width) is not None  # refuses a width that has nothing to normalize
    match run.model:
        case LSTM(peepholes=peepholes):
            return LSTMLayer(number, inputs, run.width, run.act, normalized, peepholes)
        case GRU():
            return GRULayer(number, inputs, run.width, run.act, normalized)
        case _:
            return RNNLayer(number, inputs, run.width, run.act, normalized)
