"""Deep sigmoid networks that stay at chance, and learn once their layers were pretrained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vanishgrad import train
from vanishgrad.choices.activation import Sigmoid
from vanishgrad.choices.data import MNIST, Data, Digits
from vanishgrad.choices.initialization import Xavier
from vanishgrad.choices.pretraining import RBM, Autoencoder, DenoisingAutoencoder, NoPretraining
from vanishgrad.choices.protocol import Pretraining
from vanishgrad.run import Run

PRETRAINED = [RBM(), Autoencoder(), Autoencoder(tied=False), DenoisingAutoencoder()]


def sigmoid_run(data: Data, width: int, pretrain: Pretraining) -> Run:
    return Run(
        depth=5, width=width, act=Sigmoid(), init=Xavier(), lr=0.1, batch_size=64, epochs=20, data=data,
        pretrain=pretrain, device="cpu", log_every=1000,
    )  # fmt: skip


def final_accuracy(run: Run) -> float:
    """On the held-out split, after pretraining and plain gradient descent."""
    accuracy = train(run).final["val_accuracy"]
    assert accuracy is not None
    return accuracy


@pytest.mark.parametrize("pretrain", PRETRAINED, ids=str)
def test_pretrained_layers_learn_the_digits_where_fresh_ones_do_not(pretrain: Pretraining) -> None:
    run = sigmoid_run(Digits(scale="unit"), 64, pretrain)
    assert final_accuracy(replace(run, pretrain=NoPretraining())) < 0.2
    assert final_accuracy(run) > 0.6


@pytest.mark.slow
def test_fresh_layers_stay_at_chance_on_mnist(data_root: Path) -> None:
    mnist = MNIST(root=str(data_root / "mnist"), scale="unit")
    assert final_accuracy(sigmoid_run(mnist, 100, NoPretraining())) <= 0.2


@pytest.mark.slow
@pytest.mark.parametrize("pretrain", [RBM(), Autoencoder(), DenoisingAutoencoder()], ids=str)
def test_pretrained_layers_pass_ninety_percent_on_mnist(data_root: Path, pretrain: Pretraining) -> None:
    mnist = MNIST(root=str(data_root / "mnist"), scale="unit")
    assert final_accuracy(sigmoid_run(mnist, 100, pretrain)) > 0.9
