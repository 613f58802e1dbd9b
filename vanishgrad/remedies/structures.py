"""Another structure: normalization, shortcuts, recurrent cells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from vanishgrad.choices.model.recurrent import GRU, LSTM, RNN
from vanishgrad.choices.normalization import BatchNorm, LayerNorm
from vanishgrad.choices.residual import IdentityShortcut, Rezero
from vanishgrad.errors import SettingError
from vanishgrad.remedies.remedy import Remedy
from vanishgrad.run import Run


@dataclass(frozen=True)
class UseBatchNorm(Remedy):
    """norm=batch (Ioffe and Szegedy 2015).

    Arguments:
        position: pre or post of the activation.
    """

    position: str = "pre"
    name: ClassVar[str] = "batchnorm"

    def __call__(self, run: Run) -> Run:
        return replace(run, norm=BatchNorm(self.position))


@dataclass(frozen=True)
class UseLayerNorm(Remedy):
    """norm=layer (Ba et al. 2016).

    Arguments:
        position: pre or post of the activation.
    """

    position: str = "pre"
    name: ClassVar[str] = "layernorm"

    def __call__(self, run: Run) -> Run:
        return replace(run, norm=LayerNorm(self.position))


@dataclass(frozen=True)
class UseResidual(Remedy):
    """residual=identity (He et al. 2016).

    Arguments:
        every: hidden layers per block.
    """

    every: int = 2
    name: ClassVar[str] = "residual"

    def __call__(self, run: Run) -> Run:
        return replace(run, residual=IdentityShortcut(self.every))


@dataclass(frozen=True)
class UseRezero(Remedy):
    """residual=rezero (Bachlechner et al. 2021).

    Arguments:
        every: hidden layers per block.
    """

    every: int = 2
    name: ClassVar[str] = "rezero"

    def __call__(self, run: Run) -> Run:
        return replace(run, residual=Rezero(self.every))


@dataclass(frozen=True)
class UseGRU(Remedy):
    """model=gru in place of another recurrent cell, with its own act=tanh (Cho et al. 2014).

    An orthogonal start of the recurrent matrices is kept, and a gru as it is.
    """

    name: ClassVar[str] = "gru"

    def __call__(self, run: Run) -> Run:
        if isinstance(run.model, GRU):
            return run
        return replace(run, model=GRU(_recurrent_init(run, "gru")), act=GRU.default_act)


@dataclass(frozen=True)
class UseLSTM(Remedy):
    """model=lstm in place of another recurrent cell, with its own act=tanh (Hochreiter and Schmidhuber 1997).

    An orthogonal start of the recurrent matrices is kept, and of an lstm all but its forget_bias.

    Arguments:
        forget_bias: the forget gate's bias at the start.
    """

    forget_bias: float = 1.0
    name: ClassVar[str] = "lstm"

    def __call__(self, run: Run) -> Run:
        if isinstance(run.model, LSTM):
            return replace(run, model=replace(run.model, forget_bias=self.forget_bias))
        start = _recurrent_init(run, "lstm")
        return replace(run, model=LSTM(self.forget_bias, recurrent_init=start), act=LSTM.default_act)


def _recurrent_init(run: Run, cell: str) -> str | None:
    """The start of the recurrent matrices that a gated cell can share with the cell before."""
    if not isinstance(run.model, RNN | LSTM | GRU):
        raise SettingError(
            f"model={run.model.name}: {cell} takes the place of a recurrent cell; use model=rnn"
        )
    return "orthogonal" if run.model.recurrent_init == "orthogonal" else None
