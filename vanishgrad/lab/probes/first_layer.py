"""What the first layer looks for, before and after its own pretraining."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vanishgrad.choices.activation import Sigmoid
from vanishgrad.choices.data import Digits, load
from vanishgrad.choices.initialization import Xavier
from vanishgrad.choices.model.build import build
from vanishgrad.choices.model.feedforward import Network
from vanishgrad.choices.pretraining import RBM, Autoencoder, DenoisingAutoencoder
from vanishgrad.choices.protocol import Pretraining
from vanishgrad.engine.pretrain import LayerEpoch, first_layer_filters, pretrain_
from vanishgrad.run import Run

METHODS: tuple[Pretraining, ...] = (RBM(), Autoencoder(), DenoisingAutoencoder())
SHOWN = 36


def first_layers(seed: int) -> pd.DataFrame:
    """`pretrain, setting, run, status, moment, filters, units, alike`: layer 1 as images, twice a method."""
    return pd.concat([pretrained(method, seed) for method in METHODS], ignore_index=True)


def pretrained(method: Pretraining, seed: int) -> pd.DataFrame:
    """The first layer at the start and after pretraining with one method."""
    run = Run(depth=1, act=Sigmoid(), init=Xavier(), data=Digits(scale="unit"), pretrain=method, seed=seed)
    model = build(run)
    assert isinstance(model, Network)
    before = images(model, run)
    pretrain_(model, run, load(run.data).train_x, unheard)
    rows = [
        {"moment": moment, "filters": each[:SHOWN], "units": len(each), "alike": neighbours(each)}
        for moment, each in (("start", before), ("pretrained", images(model, run)))
    ]
    setting = f"pretrain={method.name}"
    return pd.DataFrame(rows).assign(
        pretrain=method.name, setting=setting, run=f"{setting} {seed}", status="completed"
    )


def images(model: Network, run: Run) -> NDArray[np.float32]:
    """A copy of the weights of layer 1, `(units, height, width)`."""
    weights: NDArray[np.float32] = first_layer_filters(model, run).mean(dim=1).numpy().copy()
    return weights


def neighbours(filters: NDArray[np.float32]) -> float:
    """The correlation between the weights of pixels side by side, over all filters."""
    left, right = filters[:, :, :-1].ravel(), filters[:, :, 1:].ravel()
    return float(np.corrcoef(left, right)[0, 1])


def unheard(_: LayerEpoch) -> None:
    """Nobody watches the epochs of a probe."""
