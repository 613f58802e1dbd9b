"""The stream of a residual network at the start: how long it is at every block, and how long its gradient."""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from vanishgrad.choices.activation import ReLU
from vanishgrad.choices.data import load
from vanishgrad.choices.initialization import He
from vanishgrad.choices.model.build import build
from vanishgrad.choices.normalization import BatchNorm, NoNorm
from vanishgrad.choices.protocol import Normalization, Residual
from vanishgrad.choices.residual import Fixup, Fork, HighwayShortcut, IdentityShortcut, Rezero, ScaledShortcut
from vanishgrad.run import Run

DEPTH, WIDTH, EXAMPLES = 100, 256, 64
SETTINGS: tuple[tuple[Residual, Normalization], ...] = (
    (IdentityShortcut(), NoNorm()), (IdentityShortcut(), BatchNorm()), (ScaledShortcut(), NoNorm()),
    (Rezero(), NoNorm()), (Fixup(), NoNorm()), (HighwayShortcut(), NoNorm()),
)  # fmt: skip


def measure_streams(seed: int) -> pd.DataFrame:
    """`residual, norm, block, stream, gradient` of digits in a hundred layers of relu and He's weights."""
    tables = []
    for residual, norm in SETTINGS:
        run = Run(depth=DEPTH, width=WIDTH, seed=seed, act=ReLU(), init=He(), residual=residual, norm=norm)
        tables.append(measure_stream(run).assign(residual=residual.name, norm=norm.name))
    return pd.concat(tables, ignore_index=True)


def measure_stream(run: Run, examples: int = EXAMPLES) -> pd.DataFrame:
    """`block, stream, gradient` before each block of the initial network of `run`, of training examples.

    `stream` is the squared length of x, `gradient` that of dLoss/dx, both means over the examples.
    """
    data = load(run.data)
    model, seen = build(run), list[Tensor]()
    forks = [module for module in model.modules() if isinstance(module, Fork)]
    hooks = [fork.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])) for fork in forks]
    loss = functional.cross_entropy(model(data.train_x[:examples]), data.train_y[:examples])
    gradients = torch.autograd.grad(loss, seen)
    for hook in hooks:
        hook.remove()
    rows = [
        (block, mean_square(x), mean_square(g))
        for block, (x, g) in enumerate(zip(seen, gradients, strict=True), 1)
    ]
    return pd.DataFrame(rows, columns=["block", "stream", "gradient"])


def mean_square(x: Tensor) -> float:
    """The squared length of the rows of `(batch, units)`, mean over the batch."""
    return float(x.detach().double().pow(2).sum(1).mean())
