"""Remedies: pure functions from one `Run` to another, usually with one field replaced."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

from vanishgrad.choices.activation import ELU, SELU, LeakyReLU, PReLU, ReLU, Tanh
from vanishgrad.choices.clipping import ByNorm
from vanishgrad.choices.initialization import Critical, He, Xavier
from vanishgrad.choices.model import GRU, LSTM, RNN
from vanishgrad.choices.normalization import Batch, Layer
from vanishgrad.choices.optimizer import Adagrad, Adam, RMSprop
from vanishgrad.choices.pretraining import Autoencoder
from vanishgrad.choices.regularization import L1, L2
from vanishgrad.choices.residual import IdentityShortcut, Rezero
from vanishgrad.errors import SettingError, positive
from vanishgrad.run import Run


class Remedy(Protocol):
    """A treatment of a setting."""

    name: ClassVar[str]

    def __call__(self, run: Run) -> Run:
        """The treated twin of `run`."""
        ...


@dataclass(frozen=True)
class Untreated:
    """The setting as it is."""

    name: ClassVar[str] = "none"

    def __call__(self, run: Run) -> Run:
        return run


@dataclass(frozen=True)
class UseReLU:
    """act=relu (Nair and Hinton 2010)."""

    name: ClassVar[str] = "relu"

    def __call__(self, run: Run) -> Run:
        return replace(run, act=ReLU())


@dataclass(frozen=True)
class UseLeakyReLU:
    """act=leaky_relu (Maas et al. 2013).

    Arguments:
        slope: the fixed slope for negative inputs.
    """

    slope: float = 0.01
    name: ClassVar[str] = "leaky_relu"

    def __call__(self, run: Run) -> Run:
        return replace(run, act=LeakyReLU(self.slope))


@dataclass(frozen=True)
class UsePReLU:
    """act=prelu (He et al. 2015).

    Arguments:
        slope: the slope for negative inputs at the start.
    """

    slope: float = 0.25
    name: ClassVar[str] = "prelu"

    def __call__(self, run: Run) -> Run:
        return replace(run, act=PReLU(self.slope))


@dataclass(frozen=True)
class UseELU:
    """act=elu (Clevert et al. 2016).

    Arguments:
        alpha: minus the limit at minus infinity.
    """

    alpha: float = 1.0
    name: ClassVar[str] = "elu"

    def __call__(self, run: Run) -> Run:
        return replace(run, act=ELU(self.alpha))


@dataclass(frozen=True)
class UseSELU:
    """act=selu (Klambauer et al. 2017); its own initialization is init=lecun."""

    name: ClassVar[str] = "selu"

    def __call__(self, run: Run) -> Run:
        return replace(run, act=SELU())


@dataclass(frozen=True)
class UseTanh:
    """act=tanh: slope 1 at zero (LeCun et al. 1998)."""

    name: ClassVar[str] = "tanh"

    def __call__(self, run: Run) -> Run:
        return replace(run, act=Tanh())


@dataclass(frozen=True)
class UseXavier:
    """init=xavier (Glorot and Bengio 2010).

    Arguments:
        distribution: normal or uniform.
    """

    distribution: str = "normal"
    name: ClassVar[str] = "xavier"

    def __call__(self, run: Run) -> Run:
        return replace(run, init=Xavier(self.distribution))


@dataclass(frozen=True)
class UseHe:
    """init=he (He et al. 2015).

    Arguments:
        distribution: normal or uniform.
    """

    distribution: str = "normal"
    name: ClassVar[str] = "he"

    def __call__(self, run: Run) -> Run:
        return replace(run, init=He(self.distribution))


@dataclass(frozen=True)
class UseCritical:
    """init=critical: the activation's edge of chaos (Schoenholz et al. 2017)."""

    name: ClassVar[str] = "critical"

    def __call__(self, run: Run) -> Run:
        return replace(run, init=Critical())


@dataclass(frozen=True)
class UseBatchNorm:
    """norm=batch (Ioffe and Szegedy 2015).

    Arguments:
        position: pre or post of the activation.
    """

    position: str = "pre"
    name: ClassVar[str] = "batchnorm"

    def __call__(self, run: Run) -> Run:
        return replace(run, norm=Batch(self.position))


@dataclass(frozen=True)
class UseLayerNorm:
    """norm=layer (Ba et al. 2016).

    Arguments:
        position: pre or post of the activation.
    """

    position: str = "pre"
    name: ClassVar[str] = "layernorm"

    def __call__(self, run: Run) -> Run:
        return replace(run, norm=Layer(self.position))


@dataclass(frozen=True)
class UseResidual:
    """residual=identity (He et al. 2016).

    Arguments:
        every: hidden layers per block.
    """

    every: int = 2
    name: ClassVar[str] = "residual"

    def __call__(self, run: Run) -> Run:
        return replace(run, residual=IdentityShortcut(self.every))


@dataclass(frozen=True)
class UseRezero:
    """residual=rezero (Bachlechner et al. 2021).

    Arguments:
        every: hidden layers per block.
    """

    every: int = 2
    name: ClassVar[str] = "rezero"

    def __call__(self, run: Run) -> Run:
        return replace(run, residual=Rezero(self.every))


@dataclass(frozen=True)
class UseClipping:
    """clip=norm (Pascanu et al. 2013).

    Arguments:
        max_norm: the largest global gradient norm.
    """

    max_norm: float = 1.0
    name: ClassVar[str] = "clipping"

    def __call__(self, run: Run) -> Run:
        return replace(run, clip=ByNorm(self.max_norm))


@dataclass(frozen=True)
class UseL1:
    """reg=l1 (Tibshirani 1996).

    Arguments:
        strength: factor of the sum over all weights.
    """

    strength: float = 1e-4
    name: ClassVar[str] = "l1"

    def __call__(self, run: Run) -> Run:
        return replace(run, reg=L1(self.strength))


@dataclass(frozen=True)
class UseL2:
    """reg=l2 (Hoerl and Kennard 1970).

    Arguments:
        strength: factor of the sum over all weights.
    """

    strength: float = 1e-4
    name: ClassVar[str] = "l2"

    def __call__(self, run: Run) -> Run:
        return replace(run, reg=L2(self.strength))


@dataclass(frozen=True)
class UseAdam:
    """optim=adam (Kingma and Ba 2015).

    Arguments:
        lr: learning rate; null is Adam's default, since the rate of another optimizer means nothing to it.
    """

    lr: float | None = None
    name: ClassVar[str] = "adam"

    def __call__(self, run: Run) -> Run:
        return replace(run, optim=Adam(), lr=self.lr)


@dataclass(frozen=True)
class UseAdagrad:
    """optim=adagrad (Duchi et al. 2011).

    Arguments:
        lr: learning rate; null is Adagrad's default, since the rate of another optimizer means nothing to it.
    """

    lr: float | None = None
    name: ClassVar[str] = "adagrad"

    def __call__(self, run: Run) -> Run:
        return replace(run, optim=Adagrad(), lr=self.lr)


@dataclass(frozen=True)
class UseRMSprop:
    """optim=rmsprop (Tieleman and Hinton 2012).

    Arguments:
        lr: learning rate; null is RMSprop's default, since the rate of another optimizer means nothing to it.
    """

    lr: float | None = None
    name: ClassVar[str] = "rmsprop"

    def __call__(self, run: Run) -> Run:
        return replace(run, optim=RMSprop(), lr=self.lr)


@dataclass(frozen=True)
class SmallRate:
    """The learning rate times a factor below 1.

    Arguments:
        factor: what the rate is multiplied by.
    """

    factor: float = 0.1
    name: ClassVar[str] = "small_rate"

    def __post_init__(self) -> None:
        positive("remedy.factor", self.factor)

    def __call__(self, run: Run) -> Run:
        return replace(run, lr=run.rate * self.factor)


@dataclass(frozen=True)
class UsePretraining:
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


@dataclass(frozen=True)
class UseGRU:
    """model=gru in place of another recurrent cell, with its own act=tanh (Cho et al. 2014).

    An orthogonal start of the recurrent matrices is kept, and a gru as it is.
    """

    name: ClassVar[str] = "gru"

    def __call__(self, run: Run) -> Run:
        if isinstance(run.model, GRU):
            return run
        return replace(run, model=GRU(_recurrent_init(run, "gru")), act=GRU.default_act)


@dataclass(frozen=True)
class UseLSTM:
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
