"""Network families. `depth` hidden layers of `width` units, the output layer on top."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from vanishgrad.choices.activation import Activation, ReLU, Tanh
from vanishgrad.errors import at_least, one_of, require

LARGEST_BIAS = 1e30  # a float32 can hold it


class Model(Protocol):
    """A family of networks; `vanishgrad.models.build` makes one."""

    name: ClassVar[str]
    default_depth: ClassVar[int]
    default_act: ClassVar[Activation]


@dataclass(frozen=True)
class MLP:
    """The multilayer perceptron; its input is flattened."""

    name: ClassVar[str] = "mlp"
    default_depth: ClassVar[int] = 5
    default_act: ClassVar[Activation] = ReLU()


@dataclass(frozen=True)
class CNN:
    """A network of `depth` 3x3 convolutions, global average pooling and a linear classifier.

    With shortcuts it is the ResNet for small images (He et al. 2016), pre-activation, with shortcuts that
    have no parameters (option A: subsampled, new channels zero); without them the plain network.

    Arguments:
        stages: parts of equal depth, a remainder in the last; each but the first begins by halving the
            image and doubling the channels, `width` in the first.
    """

    stages: int = 3
    name: ClassVar[str] = "cnn"
    default_depth: ClassVar[int] = 5
    default_act: ClassVar[Activation] = ReLU()

    def __post_init__(self) -> None:
        at_least("model.stages", self.stages, 1)


@dataclass(frozen=True)
class RNN:
    """h_t = act(W_xh x_t + W_hh h_(t-1) + b), `depth` such layers (Elman 1990).

    Arguments:
        recurrent_init: of W_hh: orthogonal, identity (with act=relu the IRNN of Le et al. 2015), or null
            for the same as every other weight.
    """

    recurrent_init: str | None = None
    name: ClassVar[str] = "rnn"
    default_depth: ClassVar[int] = 1
    default_act: ClassVar[Activation] = Tanh()

    def __post_init__(self) -> None:
        _check_recurrent_init(self.recurrent_init, "orthogonal", "identity")


@dataclass(frozen=True)
class LSTM:
    """Long short-term memory with a forget gate (Hochreiter and Schmidhuber 1997; Gers et al. 2000).

    `act` is the function of the candidate and of the cell on its way out.

    Arguments:
        forget_bias: the forget gate's bias at the start (Jozefowicz et al. 2015), all of it: there is one
            bias per gate.
        chrono: the longest dependency T expected: the forget bias then is log u, u uniform in [1, T - 1],
            and the input bias minus that (Tallec and Ollivier 2018); null for forget_bias.
        peepholes: whether the gates see the cell (Gers et al. 2002), through one weight per unit.
        recurrent_init: of the weights from h_(t-1): orthogonal, or null for the same as every other weight.
    """

    forget_bias: float = 1.0
    chrono: int | None = None
    peepholes: bool = False
    recurrent_init: str | None = None
    name: ClassVar[str] = "lstm"
    default_depth: ClassVar[int] = 1
    default_act: ClassVar[Activation] = Tanh()

    def __post_init__(self) -> None:
        _check_forget_bias(self.forget_bias)
        require(
            self.chrono is None or 3 <= self.chrono <= 10**9,
            f"model.chrono={self.chrono}: biases are log u with u from 1 to chrono - 1; must be from 3 to "
            "10^9, or null",
        )
        _check_recurrent_init(self.recurrent_init, "orthogonal")


@dataclass(frozen=True)
class GRU:
    """Gated recurrent units (Cho et al. 2014), the reset gate after the recurrent product, as cuDNN has it.

    `act` is the function of the candidate.

    Arguments:
        recurrent_init: of the weights from h_(t-1): orthogonal, or null for the same as every other weight.
    """

    recurrent_init: str | None = None
    name: ClassVar[str] = "gru"
    default_depth: ClassVar[int] = 1
    default_act: ClassVar[Activation] = Tanh()

    def __post_init__(self) -> None:
        _check_recurrent_init(self.recurrent_init, "orthogonal")


@dataclass(frozen=True)
class ConvLSTM:
    """Encoder and forecaster of `depth` convolutional LSTM layers each (Shi et al. 2015).

    Frames are read as patches; the forecaster starts from the encoder's states, its first layer has no
    input, and a 1x1 convolution of all its hidden states gives the predicted frames.

    Arguments:
        kernel: side of the convolutions, odd.
        patch: side of the squares of pixels that become channels; must divide the frame's side.
        forget_bias: the forget gate's bias at the start.
        peepholes: whether the gates see the cell, through one weight per channel.
    """

    kernel: int = 5
    patch: int = 4
    forget_bias: float = 1.0
    peepholes: bool = True
    name: ClassVar[str] = "conv_lstm"
    default_depth: ClassVar[int] = 1
    default_act: ClassVar[Activation] = Tanh()

    def __post_init__(self) -> None:
        require(
            self.kernel >= 1 and self.kernel % 2 == 1,
            f"model.kernel={self.kernel}: must be odd, so that maps keep their size",
        )
        at_least("model.patch", self.patch, 1)
        _check_forget_bias(self.forget_bias)


def _check_forget_bias(value: float) -> None:
    require(
        abs(value) <= LARGEST_BIAS,
        f"model.forget_bias={value}: must be from -{LARGEST_BIAS:g} to {LARGEST_BIAS:g}",
    )


def _check_recurrent_init(value: str | None, *choices: str) -> None:
    if value is not None:
        one_of("model.recurrent_init", value, (*choices, "null"))
