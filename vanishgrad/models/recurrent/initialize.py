"""Initial values that only recurrent networks have."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vanishgrad.choices.initialization import Default
from vanishgrad.choices.model import GRU, LSTM, RNN
from vanishgrad.modules.weights import WeightMatrix
from vanishgrad.run import Run
from vanishgrad.streams import stream


@torch.no_grad()
def start_recurrent_(matrices: list[WeightMatrix], run: Run) -> None:
    """Change the drawn weights and biases of a recurrent network where its model asks for others.

    Does nothing to another network. What is drawn here comes from the streams of the general draw.
    """
    if not isinstance(run.model, RNN | LSTM | GRU):
        return
    for matrix in matrices:
        key = matrix.name.rsplit(".", 1)[-1]
        if isinstance(run.init, Default) and key != "output":
            _default_(matrix, key, run)
        if key.startswith("h") and run.model.recurrent_init is not None:
            _recurrent_(matrix.weight, run.model.recurrent_init, stream(run.seed, "weight", key))
    if isinstance(run.model, LSTM):
        _gate_biases_({matrix.name.rsplit(".", 1)[-1]: matrix.bias for matrix in matrices}, run.model, run)


def _default_(matrix: WeightMatrix, key: str, run: Run) -> None:
    """PyTorch's own for recurrent layers: everything uniform in +-1/sqrt(width), whatever it reads."""
    bound = 1 / math.sqrt(run.width)
    matrix.weight.uniform_(-bound, bound, generator=stream(run.seed, "weight", key))
    if matrix.bias is not None:
        matrix.bias.uniform_(-bound, bound, generator=stream(run.seed, "bias", key))


def _recurrent_(weight: Tensor, kind: str, generator: torch.Generator) -> None:
    if kind == "identity":
        nn.init.eye_(weight)
    else:
        nn.init.orthogonal_(weight, generator=generator)


def _gate_biases_(biases: dict[str, Tensor | None], model: LSTM, run: Run) -> None:
    """The forget gate's bias; with chrono the input gate's as well (Tallec and Ollivier 2018)."""
    for layer in range(1, run.depth + 1):
        forget, into = biases[f"xf_{layer}"], biases[f"xi_{layer}"]
        assert forget is not None
        assert into is not None
        if model.chrono is None:
            forget.fill_(model.forget_bias)
        else:
            forget.uniform_(1, model.chrono - 1, generator=stream(run.seed, "bias", f"xf_{layer}")).log_()
            into.copy_(-forget)
