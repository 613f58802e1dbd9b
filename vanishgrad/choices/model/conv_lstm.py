"""Encoder and forecaster of convolutional LSTM layers (Shi et al. 2015)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vanishgrad.choices.activation import Tanh
from vanishgrad.choices.model.family import GATED, check_forget_bias, refuse_measurements, refuse_over_time
from vanishgrad.choices.protocol import Activation, Cost, Model, Setting
from vanishgrad.errors import at_least, require
from vanishgrad.modules.dropout import SeededDropout
from vanishgrad.modules.observer import Gate, LinearOutput, Observer, Unrolled
from vanishgrad.modules.weights import Conv2d
from vanishgrad.theory.prediction import Inputs, Prediction

GATES = 4


@dataclass(frozen=True)
class ConvLSTM(Model):
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
    recurrent: ClassVar[bool] = True
    gated: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(
            self.kernel >= 1 and self.kernel % 2 == 1,
            f"model.kernel={self.kernel}: must be odd, so that maps keep their size",
        )
        at_least("model.patch", self.patch, 1)
        check_forget_bias(self.forget_bias)

    def network(self, setting: Setting) -> ConvLSTMNetwork:
        """Encoder layers have the numbers 1 to depth, forecaster layers depth + 1 to 2 depth."""
        depth, width, pixels = setting.depth, setting.width, self.patch**2
        numbers = range(1, depth + 1)
        encoder = [_layer(setting, self, k, pixels if k == 1 else width) for k in numbers]
        forecaster = [_layer(setting, self, depth + k, 0 if k == 1 else width) for k in numbers]
        dropout, output = _dropout(setting, 2 * depth + 1), Conv2d(depth * width, pixels, kernel_size=1)
        return ConvLSTMNetwork(encoder, forecaster, dropout, output, self.patch, _predicted(setting))

    def cost(self, setting: Setting) -> Cost:
        """Encoder and forecaster together; values are those of all frames."""
        square, shape = GATES * setting.width**2 * self.kernel**2, setting.data.shape
        frames = shape[0] + _predicted(setting)
        values = setting.width * GATES * (shape[-1] // self.patch) ** 2 * frames
        pixels = math.prod(shape[2:]) // self.patch**2
        advice = "lower depth, width, batch_size or the length of the sequences"
        return Cost(2 * square * setting.depth, values, square * pixels, advice)

    def predict(self, setting: Setting, inputs: Inputs) -> Prediction:
        return Prediction(notes=(GATED.format(self.name),))

    def refuse_data(self, setting: Setting) -> None:
        data = setting.data
        require(
            data.frames,
            f"model={self.name} with data={data.name}: predicts frames from frames; use data=moving_digits",
        )
        require(
            data.shape[-1] % self.patch == 0,
            f"model.patch={self.patch}: must divide the frame's side of {data.shape[-1]} pixels",
        )

    def refuse(self, setting: Setting) -> None:
        refuse_over_time(setting, "none")
        refuse_measurements(setting)


def _predicted(setting: Setting) -> int:
    """Frames that the network is asked for."""
    return setting.data.outputs // math.prod(setting.data.shape[1:])


State = tuple[Tensor, Tensor]  # h and c, each (batch, width, rows, columns)


@dataclass(frozen=True)
class ConvLSTMStep:
    """What a layer computes at a time: `from_h` `(batch, 4 width, ...)`, all others `(batch, width, ...)`.

    `z_c` is what entered the candidate's activation.
    """

    from_h: Tensor
    input: Tensor
    forget: Tensor
    candidate: Tensor
    output: Tensor
    cell: Tensor
    hidden: Tensor
    z_c: Tensor


class ConvLSTMLayer(nn.Module):
    """One layer, equations (3) of Shi et al. (2015); * is a convolution, the peepholes w are per channel.

        i_t = sigmoid(W_xi * x_t + W_hi * h_(t-1) + w_ci c_(t-1) + b_i)
        f_t = sigmoid(W_xf * x_t + W_hf * h_(t-1) + w_cf c_(t-1) + b_f)
        c_t = f_t c_(t-1) + i_t act(W_xc * x_t + W_hc * h_(t-1) + b_c)
        o_t = sigmoid(W_xo * x_t + W_ho * h_(t-1) + w_co c_t + b_o)
        h_t = o_t act(c_t)

    W_xi of layer 1 is the module `xi_1`. The biases are those of the x convolutions, in a layer without
    input those of the h convolutions.

    Arguments:
        number: of the layer in its network, from 1.
        inputs: channels of x; 0 for a layer without input.
        width: channels of h and c.
        model: the kernel's side, peepholes and the initial forget bias.
        act: the function of the candidate and of the cell on its way out.
        dropout: what x goes through first.
    """

    w_ci: nn.Parameter | None
    w_cf: nn.Parameter | None
    w_co: nn.Parameter | None

    def __init__(
        self, number: int, inputs: int, width: int, model: ConvLSTM, act: nn.Module, dropout: nn.Module
    ) -> None:
        super().__init__()
        self.number, self.width, self.forget_bias = number, width, model.forget_bias
        self.from_x = self._convolutions("x", inputs, width, model.kernel, bias=True) if inputs else ()
        self.from_h = self._convolutions("h", width, width, model.kernel, bias=not inputs)
        for name in ("w_ci", "w_cf", "w_co"):
            weight = nn.Parameter(torch.empty(width)) if model.peepholes else None
            self.register_parameter(name, weight)
        self.sigmoid, self.act, self.dropout = nn.Sigmoid(), act, dropout

    def _convolutions(
        self, source: str, inputs: int, width: int, kernel: int, bias: bool
    ) -> tuple[Conv2d, ...]:
        """Of the input gate, the forget gate, the candidate and the output gate."""
        made = {
            f"{source}{gate}_{self.number}": Conv2d(inputs, width, kernel, padding="same", bias=bias)
            for gate in "ifco"
        }
        for name, convolution in made.items():
            self.add_module(name, convolution)
        return tuple(made.values())

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Peepholes 0 and the forget gate's bias; everything else has been drawn before."""
        for _, peephole in self.named_parameters(recurse=False):
            peephole.zero_()
        bias = (self.from_x or self.from_h)[1].bias
        assert bias is not None
        bias.fill_(self.forget_bias)

    def forward(self, x: Tensor | None, state: State | None, times: range) -> Unrolled:
        """Go through `times`.

        Arguments:
            x: `(time, batch, inputs, rows, columns)`; None for a layer without input.
            state: h and c before the first time; None for zeros, where there is an input.
            times: the numbers of the time steps.
        """
        hidden, cell = self._zeros(x) if state is None else state
        from_x = None if x is None else self._read(x)
        kernel, bias = _side_by_side(self.from_h)
        steps = []
        for x_t in [None] * len(times) if from_x is None else from_x.chunk(len(times)):
            from_h = F.conv2d(hidden, kernel, bias, padding="same")
            step = self._step(from_h, from_h if x_t is None else x_t + from_h, cell)
            hidden, cell = step.hidden, step.cell
            steps.append(step)
        return self._unrolled(steps, from_x, times.start)

    def _zeros(self, x: Tensor | None) -> State:
        assert x is not None
        zero = x.new_zeros(x.shape[1], self.width, *x.shape[3:])
        return zero, zero

    def _read(self, x: Tensor) -> Tensor:
        """What x gives the gates at all times, which are known at once, `(time * batch, 4 width, ...)`."""
        kernel, bias = _side_by_side(self.from_x)
        return F.conv2d(self.dropout(x).flatten(0, 1), kernel, bias, padding="same")

    def _step(self, from_h: Tensor, z: Tensor, cell: Tensor) -> ConvLSTMStep:
        """One time step; z is what all convolutions give, `(batch, 4 width, rows, columns)`."""
        z_i, z_f, z_c, z_o = z.chunk(4, dim=1)
        i = self.sigmoid(_peep(z_i, self.w_ci, cell))
        f = self.sigmoid(_peep(z_f, self.w_cf, cell))
        candidate = self.act(z_c)
        cell = f * cell + i * candidate
        o = self.sigmoid(_peep(z_o, self.w_co, cell))
        return ConvLSTMStep(from_h, i, f, candidate, o, cell, o * self.act(cell), z_c)

    def _unrolled(self, steps: list[ConvLSTMStep], from_x: Tensor | None, first: int) -> Unrolled:
        linear = [LinearOutput(self.from_h, [step.from_h for step in steps], axis=1)]
        if from_x is not None:
            linear.append(LinearOutput(self.from_x, [from_x], axis=1))
        feeds = list(zip(*filter(None, (self.from_x, self.from_h)), strict=True))  # by gate
        entered = [step.z_c for step in steps]
        gates = [
            Gate("input", feeds[0], self.sigmoid, [step.input for step in steps]),
            Gate("forget", feeds[1], self.sigmoid, [step.forget for step in steps]),
            Gate("candidate", feeds[2], self.act, [step.candidate for step in steps], entered),
            Gate("output", feeds[3], self.sigmoid, [step.output for step in steps]),
        ]
        hidden, cell = [step.hidden for step in steps], [step.cell for step in steps]
        return Unrolled(self.number, hidden, cell, gates, linear, first)


def _side_by_side(convolutions: tuple[Conv2d, ...]) -> tuple[Tensor, Tensor | None]:
    """Kernels and biases of all gates as those of one convolution."""
    kernel = torch.cat([convolution.weight for convolution in convolutions])
    biases = [convolution.bias for convolution in convolutions if convolution.bias is not None]
    return kernel, torch.cat(biases) if biases else None


def _peep(z: Tensor, peephole: Tensor | None, cell: Tensor) -> Tensor:
    return z if peephole is None else z + peephole[:, None, None] * cell


class ConvLSTMNetwork(nn.Module):
    """Logits of frames from frames, `(batch, given, 1, side, side) -> (batch, predicted, 1, side, side)`.

    The encoder's layers read the given frames. Each hands its state to the forecaster's layer at the same
    height; those go on without frames, and a 1x1 convolution of all their hidden maps predicts.

    Arguments:
        encoder, forecaster: layers from the bottom up, numbered on from one to the other.
        dropout: what the hidden maps go through before the output layer.
        output: from all hidden maps of a time to the pixels of a patch.
        patch: side of the squares of pixels that are read, and predicted, as the channels of one place.
        predicted: how many frames.
    """

    observer: Observer | None = None
    output_name = "output"

    def __init__(
        self, encoder: Iterable[ConvLSTMLayer], forecaster: Iterable[ConvLSTMLayer],
        dropout: nn.Module, output: Conv2d, patch: int, predicted: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.encoder = nn.ModuleDict({f"layer_{layer.number}": layer for layer in encoder})
        self.forecaster = nn.ModuleDict({f"layer_{layer.number}": layer for layer in forecaster})
        self.dropout, self.output = dropout, output
        self.patch, self.predicted = patch, predicted
        self.layer_of = _numbered(self)

    def forward(self, x: Tensor) -> Tensor:
        maps = F.pixel_unshuffle(x, self.patch).transpose(0, 1)  # (time, batch, patch^2, rows, columns)
        given, total = len(maps), len(maps) + self.predicted
        encoded = self._unroll(self.encoder, maps, [None] * len(self.encoder), range(1, given + 1))
        states = [(layer.hidden[-1], layer.cell[-1]) for layer in encoded]
        return self._predict(self._unroll(self.forecaster, None, states, range(given + 1, total + 1)))

    def shown(self) -> set[nn.Module]:
        """The modules that an observer sees: all, most of them as parts of a layer."""
        return set(self.modules())

    def _unroll(
        self, layers: nn.ModuleDict, x: Tensor | None, states: Sequence[State | None], times: range
    ) -> list[Unrolled]:
        """Stacked layers over `times`, each reading the hidden maps of the one below, the first reading x."""
        done: list[Unrolled] = []
        for layer, state in zip(layers.values(), states, strict=True):
            done.append(layer(torch.stack(done[-1].hidden) if done else x, state, times))
            if self.observer is not None:
                self.observer.unrolled(done[-1])
        return done

    def _predict(self, layers: list[Unrolled]) -> Tensor:
        """Frames from the hidden maps of all layers, the times one after the other along the batch."""
        hidden = torch.cat([torch.cat(layer.hidden) for layer in layers], dim=1)
        maps = self.dropout(hidden)
        patches = self.output(maps)  # (predicted * batch, patch^2, rows, columns)
        if self.observer is not None:
            self.observer.module(self.output, maps, patches)
        frames = F.pixel_shuffle(patches, self.patch)
        return frames.unflatten(0, (self.predicted, -1)).transpose(0, 1)


def _layer(setting: Setting, model: ConvLSTM, number: int, inputs: int) -> ConvLSTMLayer:
    reads_hidden = number not in (1, setting.depth + 1)
    dropout = _dropout(setting, number) if reads_hidden else nn.Identity()
    return ConvLSTMLayer(number, inputs, setting.width, model, setting.act.module(), dropout)


def _dropout(setting: Setting, reader: int) -> nn.Module:
    """For the hidden maps that layer number `reader` reads from below."""
    reg = setting.reg
    return SeededDropout(reg.dropout, setting.seed, reader) if reg.drops else nn.Identity()


def _numbered(network: ConvLSTMNetwork) -> dict[str, int]:
    """The layer of every convolution by its path."""
    numbers = {}
    layers = [(path, part) for path, part in network.named_modules() if isinstance(part, ConvLSTMLayer)]
    for path, layer in layers:
        for name, part in layer.named_children():
            if isinstance(part, Conv2d):
                numbers[f"{path}.{name}"] = layer.number
    return numbers | {network.output_name: len(layers) + 1}
