"""The model factory."""

from __future__ import annotations

import torch
from torch import Tensor

from vanishgrad.choices.data.loading import load
from vanishgrad.choices.initialization import LSUV
from vanishgrad.choices.model import CNN, GRU, LSTM, MLP, RNN, ConvLSTM
from vanishgrad.errors import instance_of
from vanishgrad.models.cnn import cnn
from vanishgrad.models.conv_lstm import ConvLSTMNetwork, conv_lstm
from vanishgrad.models.initialize import initialize_
from vanishgrad.models.lsuv import unit_variance_
from vanishgrad.models.mlp import mlp
from vanishgrad.models.network import Network
from vanishgrad.models.recurrent.network import Recurrent, recurrent
from vanishgrad.modules.packed import side_by_side_
from vanishgrad.run import Run
from vanishgrad.streams import stream

AnyNetwork = Network | Recurrent | ConvLSTMNetwork


def build(run: Run) -> AnyNetwork:
    """The network of `run` with its initial weights, on the CPU, in training mode.

    `(batch, *run.data.shape) -> (batch, run.data.outputs)`; `(batch, time, run.data.outputs)` where there is
    a target at every time step, and predicted frames `(batch, time, channels, height, width)`. Only
    `init=lsuv` reads the data, and data=text its vocabulary.
    """
    instance_of("build", run, Run, "a Run, such as Run(depth=20, act='sigmoid')")
    model = blank(run)
    side_by_side_(model.parameters())
    initialize_(model, run)
    if isinstance(run.init, LSUV):
        unit_variance_(model, _sample(run, run.init.batch_size).to(getattr(torch, run.dtype)), run.init)
    return model


def blank(run: Run) -> AnyNetwork:
    """The network of `run` with undefined values. Under `torch.device("meta")` it takes no memory."""
    return _family(run).to(getattr(torch, run.dtype))


def _family(run: Run) -> AnyNetwork:
    match run.model:
        case MLP():
            return mlp(run)
        case CNN():
            return cnn(run)
        case RNN() | LSTM() | GRU():
            return recurrent(run, run.data.symbols, run.data.outputs)
        case ConvLSTM():
            return conv_lstm(run)
        case unknown:
            raise TypeError(f"no builder for {unknown}")


def _sample(run: Run, size: int) -> Tensor:
    """The first training examples in an order of their own, `(size, *shape)`."""
    inputs = load(run.data).train_x
    chosen = torch.randperm(len(inputs), generator=stream(run.seed, "lsuv"))[:size]
    return inputs[chosen]
