"""The sizes of weights after training with a penalty."""

from __future__ import annotations

import pandas as pd

from vanishgrad.choices.regularization import L1, L2, NoReg, Regularization
from vanishgrad.engine import train
from vanishgrad.lab.probes.clipped_gradient import flat
from vanishgrad.modules.weights import weight_matrices
from vanishgrad.run import Run

SIZES = tuple(10 ** (exponent / 4) for exponent in range(-20, 2))
PENALTIES: tuple[Regularization, ...] = (NoReg(), L1(3e-3), L2(1e-2))


def sizes(seed: int) -> pd.DataFrame:
    """`reg, size, under, zero`: the share of the weights under a size after training, and of exact zeros."""
    tables = []
    for reg in PENALTIES:
        run = Run(depth=2, width=32, reg=reg, seed=seed, epochs=40, measure="gradients", log_every=1000)
        weights = flat([one.weight.detach().abs() for one in weight_matrices(train(run).model)])
        under = [float((weights < size).double().mean()) for size in SIZES]
        zero = float((weights == 0).double().mean())
        tables.append(pd.DataFrame({"size": SIZES, "under": under}).assign(reg=reg.name, zero=zero))
    return pd.concat(tables)
