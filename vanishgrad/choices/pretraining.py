"""Greedy layer-wise pretraining: one hidden layer at a time, without labels, before the whole is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from vanishgrad.errors import at_least, require

LARGEST_RATE = 1e30  # a float32 can hold it


class Pretraining(Protocol):
    """How each hidden layer learns from the output of the layer below; `training.pretraining` does it."""

    name: ClassVar[str]

    @property
    def epochs(self) -> int:
        """Passes over the training inputs per layer."""
        ...

    @property
    def lr(self) -> float:
        """Learning rate of every layer."""
        ...


@dataclass(frozen=True)
class NoPretraining:
    """None. The parameters are there so that a sweep may set them beside other choices; no effect.

    Arguments:
        epochs: passes over the training inputs per layer.
        lr: learning rate of every layer.
    """

    epochs: int = 20
    lr: float = 0.1
    name: ClassVar[str] = "none"

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True)
class RBM:
    """Stacked restricted Boltzmann machines (Hinton et al. 2006), each trained by contrastive divergence.

    All units are binary. Inputs in [0, 1], and the activities of the layer below, are probabilities; binary
    data are drawn from them at every pass. Needs act=sigmoid and data.scale=unit.

    Arguments:
        epochs: passes over the training inputs per layer.
        lr: learning rate of every layer.
        k: Gibbs steps of CD-k.
        freeze: true trains only the output layer afterwards, the start that fine-tuning has.
    """

    epochs: int = 20
    lr: float = 0.1
    k: int = 1
    freeze: bool = False
    name: ClassVar[str] = "rbm"

    def __post_init__(self) -> None:
        _check(self)
        at_least("pretrain.k", self.k, 1)


@dataclass(frozen=True)
class Autoencoder:
    """Each hidden layer learns to encode its input so that a decoder restores it (Bengio et al. 2007).

    The decoder is logistic with cross-entropy, summed over units, where what it restores lies in [0, 1]
    (data.scale=unit, act=sigmoid); else it is linear with the squared error as a fraction of the variance. It
    starts as the encoder transposed and is thrown away.

    Arguments:
        epochs: passes over the training inputs per layer.
        lr: learning rate of every layer.
        tied: whether the decoder's weights stay the encoder's, transposed; else they go their own way.
        freeze: true trains only the output layer afterwards, the start that fine-tuning has.
    """

    epochs: int = 20
    lr: float = 0.1
    tied: bool = True
    freeze: bool = False
    name: ClassVar[str] = "autoencoder"

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True)
class DenoisingAutoencoder:
    """An autoencoder that restores what masking noise took away (Vincent et al. 2010).

    Arguments:
        epochs: passes over the training inputs per layer.
        lr: learning rate of every layer.
        corruption: probability that an element of the input is set to 0.
        tied: whether the decoder's weights stay the encoder's, transposed; else they go their own way.
        freeze: true trains only the output layer afterwards, the start that fine-tuning has.
    """

    epochs: int = 20
    lr: float = 0.1
    corruption: float = 0.25
    tied: bool = True
    freeze: bool = False
    name: ClassVar[str] = "denoising_autoencoder"

    def __post_init__(self) -> None:
        _check(self)
        require(
            0 <= self.corruption < 1,
            f"pretrain.corruption={self.corruption}: must be at least 0 and below 1",
        )


def frozen(pretrain: Pretraining) -> bool:
    """Whether only the output layer is trained afterwards."""
    return bool(getattr(pretrain, "freeze", False))


def _check(choice: Pretraining) -> None:
    at_least("pretrain.epochs", choice.epochs, 0)
    require(
        0 < choice.lr <= LARGEST_RATE,
        f"pretrain.lr={choice.lr}: must be above 0 and at most {LARGEST_RATE:g}",
    )
