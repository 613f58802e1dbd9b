"""Encoder and forecaster of convolutional LSTM layers (Shi et al. 2015)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vanishgrad.choices.data import MovingDigits
from vanishgrad.choices.model import ConvLSTM
from vanishgrad.choices.regularization import Dropout
from vanishgrad.models.conv_lstm_layer import ConvLSTMLayer, State
from vanishgrad.modules.dropout import SeededDropout
from vanishgrad.modules.observer import Observer, Unrolled
from vanishgrad.modules.weights import Conv2d
from vanishgrad.run import Run


class ConvLSTMNetwork(nn.Module):
    """Logits of frames from frames, `(batch, given, 1, side, side) -> (batch, predicted, 1, side, side)`.

    The encoder's layers read the given frames. Each hands its state to the forecaster's layer at the same
    height; those go on without frames, and a 1x1 convolution of all their hidden maps predicts.

    Arguments:
        encoder, forecaster: layers from the bottom up, numbered on from one to the other.
        dropout: what the hidden maps go through before the output layer.
        output: from all hidden maps of a time to the pixels of a patch.
        patch: side of the squares of pixels that are read, and predicted, as the channels of one place.
        predicted: how many frames.
    """

    observer: Observer | None = None
    recompute_every = 0
    output_name = "output"

    def __init__(
        self, encoder: Iterable[ConvLSTMLayer], forecaster: Iterable[ConvLSTMLayer],
        dropout: nn.Module, output: Conv2d, patch: int, predicted: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.encoder = nn.ModuleDict({f"layer_{layer.number}": layer for layer in encoder})
        self.forecaster = nn.ModuleDict({f"layer_{layer.number}": layer for layer in forecaster})
        self.dropout, self.output = dropout, output
        self.patch, self.predicted = patch, predicted
        self.layer_of = _numbered(self)

    def forward(self, x: Tensor) -> Tensor:
        maps = F.pixel_unshuffle(x, self.patch).transpose(0, 1)  # (time, batch, patch^2, rows, columns)
        given, total = len(maps), len(maps) + self.predicted
        encoded = self._unroll(self.encoder, maps, [None] * len(self.encoder), range(1, given + 1))
        states = [(layer.hidden[-1], layer.cell[-1]) for layer in encoded]
        return self._predict(self._unroll(self.forecaster, None, states, range(given + 1, total + 1)))

    def shown(self) -> set[nn.Module]:
        """The modules that an observer sees: all, most of them as parts of a layer."""
        return set(self.modules())

    def _unroll(
        self, layers: nn.ModuleDict, x: Tensor | None, states: Sequence[State | None], times: range
    ) -> list[Unrolled]:
        """Stacked layers over `times`, each reading the hidden maps of the one below, the first reading x."""
        done: list[Unrolled] = []
        for layer, state in zip(layers.values(), states, strict=True):
            done.append(layer(torch.stack(done[-1].hidden) if done else x, state, times))
            if self.observer is not None:
                self.observer.unrolled(done[-1])
        return done

    def _predict(self, layers: list[Unrolled]) -> Tensor:
        """Frames from the hidden maps of all layers, the times one after the other along the batch."""
        hidden = torch.cat([torch.cat(layer.hidden) for layer in layers], dim=1)
        maps = self.dropout(hidden)
        patches = self.output(maps)  # (predicted * batch, patch^2, rows, columns)
        if self.observer is not None:
            self.observer.module(self.output, maps, patches)
        frames = F.pixel_shuffle(patches, self.patch)
        return frames.unflatten(0, (self.predicted, -1)).transpose(0, 1)


def conv_lstm(run: Run) -> ConvLSTMNetwork:
    """The encoder-forecaster of `run`, its parameters not yet initialized.

    Encoder layers have the numbers 1 to depth, forecaster layers depth + 1 to 2 depth, then the output.
    """
    model, data = run.model, run.data
    assert isinstance(model, ConvLSTM)
    assert isinstance(data, MovingDigits)
    pixels = model.patch**2
    encoder = [_layer(run, model, k, pixels if k == 1 else run.width) for k in range(1, run.depth + 1)]
    forecaster = [
        _layer(run, model, run.depth + k, 0 if k == 1 else run.width) for k in range(1, run.depth + 1)
    ]
    dropout = _dropout(run, 2 * run.depth + 1)
    output = Conv2d(run.depth * run.width, pixels, kernel_size=1)
    return ConvLSTMNetwork(encoder, forecaster, dropout, output, model.patch, data.predicted)


def _layer(run: Run, model: ConvLSTM, number: int, inputs: int) -> ConvLSTMLayer:
    reads_hidden = number not in (1, run.depth + 1)
    dropout = _dropout(run, number) if reads_hidden else nn.Identity()
    return ConvLSTMLayer(number, inputs, run.width, model, run.act.module(), dropout)


def _dropout(run: Run, reader: int) -> nn.Module:
    """For the hidden maps that layer number `reader` reads from below."""
    return SeededDropout(run.reg.rate, run.seed, reader) if isinstance(run.reg, Dropout) else nn.Identity()


def _numbered(network: ConvLSTMNetwork) -> dict[str, int]:
    """The layer of every convolution by its path."""
    numbers = {}
    layers = [(path, part) for path, part in network.named_modules() if isinstance(part, ConvLSTMLayer)]
    for path, layer in layers:
        for name, part in layer.named_children():
            if isinstance(part, Conv2d):
                numbers[f"{path}.{name}"] = layer.number
    return numbers | {network.output_name: len(layers) + 1}
