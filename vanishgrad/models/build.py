"""The model factory."""

from __future__ import annotations

import torch
from torch import Tensor

from vanishgrad.choices.initialization import LSUV
from vanishgrad.choices.model import MLP
from vanishgrad.data import load
from vanishgrad.models.initialize import initialize_
from vanishgrad.models.layout import side_by_side_
from vanishgrad.models.lsuv import unit_variance_
from vanishgrad.models.mlp import mlp
from vanishgrad.models.network import Network
from vanishgrad.run import Run
from vanishgrad.streams import stream


def build(run: Run) -> Network:
    """The network of `run` with its initial weights, on the CPU, in training mode.

    `(batch, *run.data.shape) -> (batch, run.data.outputs)`. Only `init=lsuv` reads the data.
    """
    model = blank(run)
    side_by_side_(model.parameters())
    initialize_(model, run)
    if isinstance(run.init, LSUV):
        unit_variance_(model, _sample(run, run.init.batch_size).to(getattr(torch, run.dtype)), run.init)
    return model


def blank(run: Run) -> Network:
    """The network of `run` with undefined values. Under `torch.device("meta")` it takes no memory."""
    match run.model:
        case MLP():
            return mlp(run).to(getattr(torch, run.dtype))
        case unknown:
            raise TypeError(f"no builder for {unknown}")


def _sample(run: Run, size: int) -> Tensor:
    """The first training examples in an order of their own, `(size, *shape)`."""
    inputs = load(run.data).train_x
    chosen = torch.randperm(len(inputs), generator=stream(run.seed, "lsuv"))[:size]
    return inputs[chosen]
