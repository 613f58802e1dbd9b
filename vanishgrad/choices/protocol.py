"""What each group of choices must answer, and with which defaults. Read this first.

A choice is a frozen dataclass that inherits its group's protocol and overrides what is different about it.
Code that needs to know something of a choice asks it, by a method or an attribute below; nothing else looks
at its class. So a new activation, norm or network is complete in the one file that defines it.

`Setting` is the run as a choice may see it while it answers: no learning rate, no number of steps, nothing
that the runs of a stack can vary but the seed. The groups that ask nothing of it (clipping, regularization,
optimizer, schedule) have their protocols in their own files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from vanishgrad.choices.regularization import Regularization
from vanishgrad.modules.weights import WeightMatrix
from vanishgrad.theory.gaussian import Function, in_float64
from vanishgrad.theory.prediction import Inputs, Prediction
from vanishgrad.theory.stack import PassageMap, Variances, Weights

if TYPE_CHECKING:
    from vanishgrad.choices.data.dataset import Dataset
    from vanishgrad.records import Baseline

Layers = list[range]  # of each residual block, counted from 1


class Setting(Protocol):
    """The parts of a run that a choice may ask for."""

    @property
    def depth(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def batch_size(self) -> int | str: ...
    @property
    def seed(self) -> int: ...
    @property
    def dtype(self) -> str: ...
    @property
    def recompute_every(self) -> int: ...
    @property
    def dead_every(self) -> int: ...
    @property
    def input_gradients(self) -> int: ...
    @property
    def model(self) -> Model: ...
    @property
    def act(self) -> Activation: ...
    @property
    def init(self) -> Initialization: ...
    @property
    def norm(self) -> Normalization: ...
    @property
    def residual(self) -> Residual: ...
    @property
    def reg(self) -> Regularization: ...
    @property
    def pretrain(self) -> Pretraining: ...
    @property
    def data(self) -> Data: ...
    @property
    def loss(self) -> Loss | None: ...
    @property
    def criterion(self) -> Loss:
        """The loss, with the data's own in place of None."""
        ...

    @property
    def blocks(self) -> Layers:
        """The hidden layers of each residual block; empty for a plain network."""
        ...

    @property
    def spans(self) -> Layers:
        """The blocks, or in a plain network what they would be."""
        ...

    @property
    def span_count(self) -> int:
        """How many `spans` there are; 1 for a network too shallow for any."""
        ...


class Activation(Protocol):
    """An elementwise nonlinearity."""

    name: ClassVar[str]
    bounded: ClassVar[bool] = False
    """Whether both tails are flat, so that units saturate."""
    half_linear: ClassVar[bool] = False
    """Whether it is about x for large x and nearly flat for small x, so that He's variance suits it."""
    homogeneous: ClassVar[bool] = False
    """Whether f(a x) = a f(x) for a > 0: its moments have closed forms, and lengths do not matter."""
    probability: ClassVar[bool] = False
    """Whether it is the logistic function, whose output is the probability that a binary unit is on."""

    def module(self) -> nn.Module:
        """A new module that applies the function, `(...) -> (...)`."""
        ...

    @property
    def negative_slope(self) -> float:
        """The slope a for negative inputs that He's variance reckons with (He et al. 2015, section 2.2)."""
        return 0.0

    def __hash__(self) -> int:
        return object.__hash__(self)

    def function(self) -> Function:
        """The function as the theory integrates it; in float64 unless its moments have closed forms."""
        return in_float64(self.module())


class Initialization(Protocol):
    """How the weights of every layer start, and their biases: 0 unless a choice says otherwise."""

    name: ClassVar[str]
    critical: ClassVar[bool] = False
    """Whether it aims at the activation's edge of chaos."""
    orthogonal: ClassVar[bool] = False
    """Whether weight matrices are orthogonal, which narrows the spectrum of the Jacobian."""
    measures_data: ClassVar[bool] = False
    """Whether it looks at training examples (`finish_`), without dropout, layer by layer."""
    frameworks_own: ClassVar[bool] = False
    """Whether layers keep what PyTorch gives them, which recurrent layers draw by another rule."""

    def weight_(self, weight: Tensor, act: Activation, generator: torch.Generator) -> None:
        """Fill `weight`, `(outputs, inputs, *kernel)`, in place."""
        ...

    def bias_(self, bias: Tensor, fan_in: int, act: Activation, generator: torch.Generator) -> None:
        """Fill `bias`, `(outputs,)`, in place."""
        bias.zero_()

    def finish_(self, model: nn.Module, batch: Tensor) -> None:
        """Change drawn values by what `sample_size` training examples `batch` show; `measures_data` only."""
        return None

    @property
    def sample_size(self) -> int:
        """Training examples that `finish_` is shown."""
        return 0

    @property
    def is_zero(self) -> bool:
        """Whether every weight starts at 0."""
        return False

    def variances(self, act: Activation, fan_in: int, fan_out: int) -> Variances | None:
        """(sigma_w^2, sigma_b^2): fan_in times the weights' variance, and the biases'; None if not known."""
        return None

    def weights(self, act: Activation, fan_in: int, fan_out: int) -> Weights | None:
        """What a layer's weights do to the second moment that they read; None if theory does not know."""
        pair = self.variances(act, fan_in, fan_out)
        return None if pair is None else lambda square: pair

    def refuse(self, setting: Setting) -> None:
        """Raise `SettingError` for a setting that makes no sense with it."""
        return None


class Normalization(Protocol):
    """Brings the units' values to a common scale, before (`pre`) or after (`post`) the activation."""

    name: ClassVar[str]
    normalizes: ClassVar[bool] = True
    """Whether it acts on what units give."""
    acts_on_weights: ClassVar[bool] = False
    """Whether it acts on the weights of every hidden layer (`wrap`)."""
    shifts: ClassVar[bool] = True
    """Whether it ends in a learned shift, which makes the bias of a convolution before it idle."""
    over_batch: ClassVar[bool] = False
    """Whether an example's output depends on the others of its batch."""
    over_time: ClassVar[bool] = False
    """Whether it may stand inside a recurrent cell."""
    centres: ClassVar[bool] = False
    """Whether it takes the mean away."""
    of_maps: ClassVar[bool] = False
    """Whether it needs maps of more than one pixel."""
    of_examples: ClassVar[bool] = False
    """Whether it divides each example by one number, so that correlations have a known fixed point."""

    @property
    def position(self) -> str:
        """pre or post of the activation."""
        return "pre"

    def module(self, width: int, spatial: int = 0) -> nn.Module | None:
        """A new layer for `width` units, or channels with `spatial` dimensions each; None for no layer.

        Raises:
            SettingError: where it cannot normalize so many.
        """
        ...

    def wrap(self, matrix: nn.Module) -> nn.Module:
        """A layer's linear module with its weights normalized; itself unless `acts_on_weights`."""
        return matrix

    def passage(self, f: Function, setting: Setting, batch: int, noise: float) -> PassageMap | str:
        """Normalization, activation and dropout as the theory sees them; or why it does not.

        Arguments:
            f: the activation.
            setting: the run.
            batch: examples in a batch.
            noise: E[m^2] of dropout's factors m.
        """
        return f"norm={self.name}: not covered by the theory"

    def correlations(self) -> str:
        """Why theory gives no correlations with it, where it is not `of_examples`."""
        return f"c_star, xi_c: correlations with norm={self.name} are not covered"

    def refuse(self, setting: Setting) -> None:
        """Raise `SettingError` for a setting that makes no sense with it."""
        return None


class Residual(Protocol):
    """How a block's branch joins the stream; blocks are of `every` hidden layers."""

    name: ClassVar[str]
    shortcuts: ClassVar[bool] = True
    """Whether there are any."""
    concatenates: ClassVar[bool] = False
    """Whether the stream grows by `width` units a block."""
    gated: ClassVar[bool] = False
    """Whether each block has a gate with weights of its own, and layers in plain form."""
    scalars: ClassVar[bool] = False
    """Whether scalar biases and multipliers stand in place of the layers' biases."""
    zero_weights: ClassVar[bool] = False
    """Whether some weights start at 0."""
    covered: ClassVar[bool] = False
    """Whether theory knows `branch_factor` to be all there is to it."""

    @property
    def every(self) -> int:
        """Hidden layers per block."""
        return 2

    def module(
        self, branch: nn.Module, blocks: int, resize: nn.Module | None = None, gate: nn.Module | None = None
    ) -> nn.Module:
        """One of so many `blocks`: the branch and the stream around it.

        Arguments:
            branch: F, of the block's own layers.
            blocks: how many there are.
            resize: gives the stream the branch's size, where it has another.
            gate: T, where blocks are `gated`.
        """
        ...

    def start_(self, matrices: Sequence[WeightMatrix], blocks: Layers) -> None:
        """Change the drawn values where its paper asks for others."""
        return None

    @property
    def gate_bias(self) -> float:
        """The bias of the gates at the start, where blocks are `gated`."""
        return 0.0

    @property
    def branches_shrink(self) -> bool:
        """Whether `branch_factor` goes to 0 as blocks are added."""
        return False

    def branch_factor(self, blocks: int) -> float:
        """The factor of every branch at the start; 0 where the branch is silent."""
        return 1.0

    def refuse(self, setting: Setting) -> None:
        """Raise `SettingError` for a setting that makes no sense with it."""
        return None


class Loss(Protocol):
    """The mean loss of a batch."""

    name: ClassVar[str]
    classes: ClassVar[bool] = False
    """Whether it is the softmax's cross-entropy, in nats, of classes."""
    bits: ClassVar[bool] = False
    """Whether it lies between the values 0 and 1, and outputs are their log odds."""

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """A scalar.

        Arguments:
            outputs: `(batch, classes)`, `(batch, time, classes)`, or values of any shape `(batch, ...)`.
            targets: class numbers, int64, `(batch,)` or `(batch, time)`; or values, as many as the outputs.
        """
        ...

    def values(self, outputs: Tensor) -> Tensor:
        """What outputs say of targets in [0, 1], in the targets' own units."""
        return outputs.clamp(0, 1)

    def outputs(self, values: Tensor) -> Tensor:
        """The outputs that say `values`: the inverse of `values` on the best constant answer."""
        return values


class Learner(Protocol):
    """A hidden layer, and how it learns from its inputs alone."""

    def loss(self, inputs: Tensor, noise: torch.Generator) -> Tensor:
        """What it could not restore of `inputs`, `(batch, visible)`, mean over examples."""
        ...

    def update_(self, inputs: Tensor, noise: torch.Generator) -> None:
        """Learn from one batch, in place."""
        ...


class Pretraining(Protocol):
    """How each hidden layer learns from the output of the layer below."""

    name: ClassVar[str]
    pretrains: ClassVar[bool] = True

    @property
    def epochs(self) -> int:
        """Passes over the training inputs per layer."""
        ...

    @property
    def lr(self) -> float:
        """Learning rate of every layer."""
        ...

    @property
    def freeze(self) -> bool:
        """Whether only the output layer is trained afterwards."""
        return False

    def learner(self, linear: nn.Linear, act: nn.Module, inputs: Tensor, probabilities: bool) -> Learner:
        """A hidden layer that is to learn.

        Arguments:
            linear: its weights and biases, changed in place.
            act: its activation, left as it is.
            inputs: all its inputs, `(n, visible)`.
            probabilities: whether inputs are known to lie in [0, 1].
        """
        ...

    def refuse(self, setting: Setting) -> None:
        """Raise `SettingError` for a setting that makes no sense with it."""
        return None


class Data(Protocol):
    """Data: what is learned. A choice names its examples; `load` reads them."""

    name: ClassVar[str]
    default_loss: ClassVar[str]
    running_text: ClassVar[bool] = False
    """Whether it is one sequence that runs on from batch to batch, with a target at every step."""
    frames: ClassVar[bool] = False
    """Whether frames are predicted from frames."""
    every_step: ClassVar[bool] = False
    """Whether there is a target at every time step."""
    of_symbols: ClassVar[bool] = False
    """Whether inputs are symbol numbers one after the other, which a perceptron cannot read."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example: features, `(channels, height, width)`, `(time, features)`, `(time,)` for
        symbols, or `(time, channels, height, width)` for frames."""
        ...

    @property
    def outputs(self) -> int:
        """Outputs of a network for this data: one per class, at every time step where targets are."""
        ...

    @property
    def symbols(self) -> int | None:
        """How many symbols there are, where inputs are symbol numbers; None for real inputs."""
        return None

    @property
    def train_size(self) -> int | None:
        """Training examples; None leaves the number to the data."""
        return None

    @property
    def probabilities(self) -> bool:
        """Whether inputs may be taken for probabilities."""
        return True

    @property
    def baseline(self) -> Baseline | None:
        """What an answer that remembers nothing reaches; None where none was published."""
        return None

    def __hash__(self) -> int:
        return object.__hash__(self)

    def remembered(self) -> dict[str, Any]:
        """What a checkpoint keeps of the data, so that the network can be used without them."""
        return {}

    def load(self) -> Dataset:
        """The training and the held-out examples. Call `vanishgrad.choices.data.load`, which keeps them."""
        ...

    def refuse_loss(self, loss: str) -> None:
        """Raise `SettingError` for the name of a loss that has no meaning for the targets."""
        return None


class Cost(NamedTuple):
    """What a network costs, per example, estimated without building it.

    Arguments:
        parameters: of the matrices between its hidden layers, a lower bound.
        values: numbers in the output of a hidden layer, on average over the layers.
        multiplications: per example of a hidden layer's forward pass, over time of one step.
        advice: what would lower the memory it takes.
    """

    parameters: int
    values: float
    multiplications: float
    advice: str = "lower depth, width or batch_size"


class Model(Protocol):
    """A family of networks; `vanishgrad.build` makes one."""

    name: ClassVar[str]
    default_depth: ClassVar[int] = 5
    default_act: ClassVar[Activation]
    feedforward: ClassVar[bool] = False
    """Whether examples pass through hidden layers once, each with its activation."""
    recurrent: ClassVar[bool] = False
    """Whether hidden states are carried over time."""
    gated: ClassVar[bool] = False
    """Whether gates multiply the states."""
    plain_layers: ClassVar[bool] = False
    """Whether hidden layers are `linear_k` and `act_k` in a row, which pretraining can train one by one."""
    one_scale: ClassVar[bool] = False
    """Whether one sigma_w and one sigma_b are all that theory needs of its weights."""
    convolutions: ClassVar[bool] = False
    """Whether units are maps, and the first layer's weights small images."""

    @property
    def alone(self) -> str | None:
        """Why its networks cannot be computed as one stack; None where they can."""
        return None

    def network(self, setting: Setting) -> nn.Module:
        """The network with undefined values, `(batch, *shape) -> (batch, outputs)`.

        Weight matrices are named so that the last part of the path ends in the layer's number: its initial
        values come from a random stream of that name. It has `layer_of` and `output_name`.
        """
        ...

    def network_of(self, setting: Setting, symbols: int) -> nn.Module:
        """The network for an alphabet of so many symbols, whatever the data's file has by now."""
        return self.network(setting)

    def start_(self, matrices: Sequence[WeightMatrix], setting: Setting) -> None:
        """Change the drawn values where the family asks for others."""
        return None

    def cost(self, setting: Setting) -> Cost:
        """What the network costs."""
        between = max(0, setting.depth - 1)
        return Cost(between * setting.width**2, setting.width, setting.width**2)

    def predict(self, setting: Setting, inputs: Inputs) -> Prediction:
        """What mean-field theory says of its initial network."""
        return Prediction(notes=(f"model={self.name}: not covered by the theory",))

    def filters(self, weight: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The first layer's weights of each unit as an image, `(units, channels, height, width)`."""
        return weight

    def refuse_data(self, setting: Setting) -> None:
        """Raise `SettingError` for data that it cannot read, or answer in their form."""
        return None

    def refuse(self, setting: Setting) -> None:
        """Raise `SettingError` for other choices that it has no place for."""
        return None
