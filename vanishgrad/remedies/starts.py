"""Another start: initial weights, or pretraining."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from vanishgrad.choices.initialization import Critical, He, Xavier
from vanishgrad.choices.pretraining import Autoencoder
from vanishgrad.remedies.remedy import Remedy
from vanishgrad.run import Run


@dataclass(frozen=True)
class UseXavier(Remedy):
    """init=xavier (Glorot and Bengio 2010).

    Arguments:
        distribution: normal or uniform.
    """

    distribution: str = "normal"
    name: ClassVar[str] = "xavier"

    def __call__(self, run: Run) -> Run:
        return replace(run, init=Xavier(self.distribution))


@dataclass(frozen=True)
class UseHe(Remedy):
    """init=he (He et al. 2015).

    Arguments:
        distribution: normal or uniform.
    """

    distribution: str = "normal"
    name: ClassVar[str] = "he"

    def __call__(self, run: Run) -> Run:
        return replace(run, init=He(self.distribution))


@dataclass(frozen=True)
class UseCritical(Remedy):
    """init=critical: the activation's edge of chaos (Schoenholz et al. 2017)."""

    name: ClassVar[str] = "critical"

    def __call__(self, run: Run) -> Run:
        return replace(run, init=Critical())


@dataclass(frozen=True)
class UsePretraining(Remedy):
    """pretrain=autoencoder: greedy and layer by layer, then the whole as usual (Bengio et al. 2007).

    Arguments:
        epochs: passes over the training inputs per layer.
        lr: learning rate of every layer.
    """

    epochs: int = Autoencoder.epochs
    lr: float = Autoencoder.lr
    name: ClassVar[str] = "pretraining"

    def __call__(self, run: Run) -> Run:
        return replace(run, pretrain=Autoencoder(self.epochs, self.lr))
