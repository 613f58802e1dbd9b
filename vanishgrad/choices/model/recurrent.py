"""Recurrent networks: stacked layers under one output layer, observable at every time step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from vanishgrad.choices.activation import Tanh, function_of
from vanishgrad.choices.model.cells import GRULayer, Kernel, LSTMLayer, RNNLayer
from vanishgrad.choices.model.family import (
    GATED,
    check_forget_bias,
    check_recurrent_init,
    refuse_measurements,
    refuse_over_time,
)
from vanishgrad.choices.normalization import EPSILON
from vanishgrad.choices.protocol import Activation, Cost, Model, Setting
from vanishgrad.errors import require
from vanishgrad.modules.dropout import SeededDropout
from vanishgrad.modules.observer import Observer
from vanishgrad.modules.weights import Linear, WeightMatrix
from vanishgrad.streams import stream
from vanishgrad.theory.correlation import depth_scale, phase
from vanishgrad.theory.mean_field import second_moment, slope_moment, state_length, time_factor
from vanishgrad.theory.prediction import Inputs, Prediction

State = list[tuple[Tensor, ...]]  # of each layer: h, or h and c, each (batch, width)
AnyLayer = RNNLayer | LSTMLayer | GRULayer
TIED = (
    "time: W_h is taken to be another one at every step, which holds for times short beside the width; the "
    "factor is that of the first layer, chi_1 and q_star too"
)
DEEP = "profile: what the layers of a stacked recurrent network hand down at every time step is not covered"
MIXED = "recurrent_init=identity: units are not mixed over time; not covered by the theory"


class RecurrentFamily(Model, Protocol):
    """What stacked recurrent networks have in common; a choice adds its cell."""

    default_depth: ClassVar[int] = 1
    default_act: ClassVar[Activation] = Tanh()
    recurrent: ClassVar[bool] = True
    gates: ClassVar[int]
    """Matrices of a layer that read the hidden state."""
    kernels: ClassVar[Mapping[type[nn.Module], Kernel]]
    """torch's own functions of the cell, by the activation that each of them has."""

    @property
    def fused(self) -> bool:
        """Whether steps that show nothing run torch's own kernel."""
        ...

    @property
    def recurrent_init(self) -> str | None:
        """How the weights from h_(t-1) start, where not as every other weight."""
        ...

    def layer(self, number: int, inputs: int, setting: Setting, normalized: bool) -> AnyLayer:
        """Layer `number`, which reads `inputs` numbers or symbols per time step."""
        ...

    def network(self, setting: Setting) -> Recurrent:
        return self._reading(setting, inputs_per_step(setting), setting.data.outputs)

    def network_of(self, setting: Setting, symbols: int) -> Recurrent:
        return self._reading(setting, symbols, symbols)

    def _reading(self, setting: Setting, features: int, outputs: int) -> Recurrent:
        normalized = setting.norm.module(setting.width) is not None
        inputs = [features] + [setting.width] * (setting.depth - 1)
        layers = [self.layer(number, size, setting, normalized) for number, size in enumerate(inputs, 1)]
        numbers = range(1, setting.depth + 1) if setting.reg.drops else ()
        dropouts = [SeededDropout(setting.reg.dropout, setting.seed, number) for number in numbers]
        output = Linear(setting.width, outputs)
        kernel = self.kernels[type(setting.act.module())] if self.fused else None
        return Recurrent(layers, dropouts, output, setting.data.every_step, kernel)

    def start_(self, matrices: Sequence[WeightMatrix], setting: Setting) -> None:
        """PyTorch's own rule for recurrent layers, and `recurrent_init`, from the streams of the draw."""
        for matrix in matrices:
            key = matrix.name.rsplit(".", 1)[-1]
            if setting.init.frameworks_own and key != "output":
                _default_(matrix, key, setting)
            if key.startswith("h") and self.recurrent_init is not None:
                _recurrent_(matrix.weight, self.recurrent_init, stream(setting.seed, "weight", key))

    def cost(self, setting: Setting) -> Cost:
        square, shape = self.gates * setting.width**2, setting.data.shape
        steps = shape[1] if len(shape) == 3 else shape[0]  # images by rows
        advice = "lower depth, width, batch_size or the length of the sequences"
        return Cost(square * setting.depth, setting.width * self.gates * steps, square, advice)

    def predict(self, setting: Setting, inputs: Inputs) -> Prediction:
        return Prediction(notes=(GATED.format(self.name),))

    def refuse_data(self, setting: Setting) -> None:
        data = setting.data
        require(
            data.of_symbols or len(data.shape) in (2, 3),
            f"model={self.name} with data={data.name}: needs a sequence; use data=adding, copy, "
            "temporal_order, text, or images, which are read row by row",
        )

    def refuse(self, setting: Setting) -> None:
        refuse_over_time(setting, "none or layer")
        refuse_measurements(setting)
        if self.fused:
            self._refuse_kernel(setting)

    def _refuse_kernel(self, setting: Setting) -> None:
        fused, norm = f"model.fused=true with model={self.name}", setting.norm
        served = " or ".join(f"act={kind.__name__.lower()}" for kind in self.kernels)
        require(
            type(setting.act.module()) in self.kernels,
            f"{fused} and act={setting.act.name}: torch's kernel has {served} alone; use that, or "
            "model.fused=false",
        )
        require(
            not norm.normalizes,
            f"{fused} and norm={norm.name}: torch's kernel has no norm inside the cell; use norm=none, or "
            "model.fused=false",
        )

    @property
    def alone(self) -> str | None:
        return (
            "model.fused=true runs torch's kernel, which takes one network at a time" if self.fused else None
        )


@dataclass(frozen=True)
class RNN(RecurrentFamily):
    """h_t = act(W_xh x_t + W_hh h_(t-1) + b), `depth` such layers (Elman 1990).

    Arguments:
        recurrent_init: of W_hh: orthogonal, identity (with act=relu the IRNN of Le et al. 2015), or null
            for the same as every other weight.
        fused: run torch's own kernel on every step that is not logged, on a CPU two to three times as quick
            for an LSTM and no quicker for the others. Gradients then differ by rounding, and
            training depends on log_every by that much. Such runs are not stacked.
    """

    recurrent_init: Literal["orthogonal", "identity"] | None = None
    fused: bool = False
    name: ClassVar[str] = "rnn"
    one_scale: ClassVar[bool] = True
    gates: ClassVar[int] = 1
    kernels: ClassVar[Mapping[type[nn.Module], Kernel]] = {nn.Tanh: torch.rnn_tanh, nn.ReLU: torch.rnn_relu}

    def __post_init__(self) -> None:
        check_recurrent_init(self.recurrent_init, "orthogonal", "identity")

    def layer(self, number: int, inputs: int, setting: Setting, normalized: bool) -> AnyLayer:
        return RNNLayer(number, inputs, setting.width, setting.act, normalized)

    def predict(self, setting: Setting, inputs: Inputs) -> Prediction:
        """The first layer's states, driven by inputs of the data's mean length at every step."""
        if self.recurrent_init == "identity":
            return Prediction(notes=(MIXED,))
        variances = _variances(setting, inputs_per_step(setting), self.recurrent_init == "orthogonal")
        if variances is None:
            return Prediction(notes=(f"model=rnn with init={setting.init.name}: not covered by the theory",))
        into, bias, variance_h = variances
        figures = _figures(setting, into * inputs.length, bias, variance_h)
        figures |= {"sigma_w": math.sqrt(variance_h), "sigma_b": math.sqrt(bias)}
        if setting.depth == 1:
            return Prediction(profile=(0.0,), log10_gradient_ratio=0.0, **figures, notes=(TIED,))
        return Prediction(**figures, notes=(TIED, DEEP))


@dataclass(frozen=True)
class LSTM(RecurrentFamily):
    """Long short-term memory with a forget gate (Hochreiter and Schmidhuber 1997; Gers et al. 2000).

    `act` is the function of the candidate and of the cell on its way out.

    Arguments:
        forget_bias: the forget gate's bias at the start (Jozefowicz et al. 2015), all of it: there is one
            bias per gate.
        chrono: the longest dependency T expected: the forget bias then is log u, u uniform in [1, T - 1],
            and the input bias minus that (Tallec and Ollivier 2018); null for forget_bias.
        peepholes: whether the gates see the cell (Gers et al. 2002), through one weight per unit.
        recurrent_init: of the weights from h_(t-1): orthogonal, or null for the same as every other weight.
        fused: run torch's own kernel on every step that is not logged, on a CPU two to three times as quick
            for an LSTM and no quicker for the others. Gradients then differ by rounding, and
            training depends on log_every by that much. Such runs are not stacked.
    """

    forget_bias: float = 1.0
    chrono: int | None = None
    peepholes: bool = False
    recurrent_init: Literal["orthogonal"] | None = None
    fused: bool = False
    name: ClassVar[str] = "lstm"
    gated: ClassVar[bool] = True
    gates: ClassVar[int] = 4
    kernels: ClassVar[Mapping[type[nn.Module], Kernel]] = {nn.Tanh: torch.lstm}

    def __post_init__(self) -> None:
        check_forget_bias(self.forget_bias)
        require(
            self.chrono is None or 3 <= self.chrono <= 10**9,
            f"model.chrono={self.chrono}: biases are log u with u from 1 to chrono - 1; must be from 3 to "
            "10^9, or null",
        )
        check_recurrent_init(self.recurrent_init, "orthogonal")
        require(
            not (self.fused and self.peepholes),
            "model.fused=true with model.peepholes=true: torch's kernel has no peepholes; use one of them",
        )

    def layer(self, number: int, inputs: int, setting: Setting, normalized: bool) -> AnyLayer:
        return LSTMLayer(number, inputs, setting.width, setting.act, normalized, self.peepholes)

    def start_(self, matrices: Sequence[WeightMatrix], setting: Setting) -> None:
        super().start_(matrices, setting)
        biases = {matrix.name.rsplit(".", 1)[-1]: matrix.bias for matrix in matrices}
        _gate_biases_(biases, self, setting)


@dataclass(frozen=True)
class GRU(RecurrentFamily):
    """Gated recurrent units (Cho et al. 2014), the reset gate after the recurrent product, as cuDNN has it.

    `act` is the function of the candidate.

    Arguments:
        recurrent_init: of the weights from h_(t-1): orthogonal, or null for the same as every other weight.
        fused: run torch's own kernel on every step that is not logged, on a CPU two to three times as quick
            for an LSTM and no quicker for the others. Gradients then differ by rounding, and
            training depends on log_every by that much. Such runs are not stacked.
    """

    recurrent_init: Literal["orthogonal"] | None = None
    fused: bool = False
    name: ClassVar[str] = "gru"
    gated: ClassVar[bool] = True
    gates: ClassVar[int] = 3
    kernels: ClassVar[Mapping[type[nn.Module], Kernel]] = {nn.Tanh: torch.gru}

    def __post_init__(self) -> None:
        check_recurrent_init(self.recurrent_init, "orthogonal")

    def layer(self, number: int, inputs: int, setting: Setting, normalized: bool) -> AnyLayer:
        return GRULayer(number, inputs, setting.width, setting.act, normalized)


class Recurrent(nn.Module):
    """A recurrent network: each layer reads the hidden states of the one below.

    It reads `(batch, time, features)`, symbol numbers `(batch, time)`, or images
    `(batch, channels, height, width)`: one row of all channels per time step.

    Arguments:
        layers: from the input up; layer k is the submodule `layer_k`.
        dropouts: one for each layer's h on its way up, not on its way through time (Zaremba et al. 2014); or
            none.
        output: reads the last layer's h.
        every_step: whether at every time step, else after the last.
        kernel: torch's own function of the cell, which computes the layers where nobody observes them; None
            for the cells always.
    """

    observer: Observer | None = None
    output_name = "output"

    def __init__(
        self,
        layers: Sequence[AnyLayer],
        dropouts: Sequence[SeededDropout],
        output: Linear,
        every_step: bool,
        kernel: Kernel | None = None,
    ) -> None:
        super().__init__()
        for number, layer in enumerate(layers, 1):
            self.add_module(f"layer_{number}", layer)
        for number, dropout in enumerate(dropouts, 1):
            self.add_module(f"dropout_{number}", dropout)
        self.output = output
        self.layers, self.dropouts, self.every_step = tuple(layers), tuple(dropouts), every_step
        self._kernel = kernel
        self.layer_of = {
            f"layer_{number}.{name}": number
            for number, layer in enumerate(layers, 1)
            for name, module in layer.named_children()
            if isinstance(module, Linear)
        } | {self.output_name: len(layers) + 1}

    def shown(self) -> set[nn.Module]:
        """The modules that an observer sees."""
        return {self.output}.union(*(layer.shown() for layer in self.layers))

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, outputs)`, or `(batch, time, outputs)` from a network that answers at every step."""
        return self.unroll(x)[0]

    def unroll(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Outputs, as `forward` has them, and the state after the last time step, which is in the graph.

        Arguments:
            x: the input.
            state: that the layers start from; None for zeros.
        """
        x, states = _over_time(x), []
        for index, layer in enumerate(self.layers):
            answers_once = index + 1 == len(self.layers) and not self.every_step
            entering = None if state is None else state[index]
            if self._kernel is not None and self.observer is None:
                hidden, last = layer.fused(self._kernel, x, entering)
                x = last[0] if answers_once else hidden
            else:
                shown, last = layer(x, entering, self.observer)
                x = last[0] if answers_once else torch.stack(shown)
            states.append(last)
            x = self.dropouts[index](x) if self.dropouts else x
        outputs = self.output(x)
        if self.observer is not None:
            self.observer.module(self.output, x, outputs)
        return outputs.transpose(0, 1) if self.every_step else outputs, states


def _over_time(x: Tensor) -> Tensor:
    """`(time, batch, features)` of sequences or images, `(time, batch)` of symbol numbers."""
    if not x.is_floating_point():
        return x.t().long()
    if x.dim() == 4:
        x = x.transpose(1, 2).flatten(2)  # (batch, height, channels * width)
    return x.transpose(0, 1).contiguous()


def inputs_per_step(setting: Setting) -> int:
    """Numbers per time step, an image read row by row; symbols count as one-hot vectors."""
    if setting.data.symbols is not None:
        return setting.data.symbols
    shape = setting.data.shape
    return shape[0] * shape[2] if len(shape) == 3 else shape[-1]


def _default_(matrix: WeightMatrix, key: str, setting: Setting) -> None:
    """PyTorch's own for recurrent layers: everything uniform in +-1/sqrt(width), whatever it reads."""
    bound = 1 / math.sqrt(setting.width)
    matrix.weight.uniform_(-bound, bound, generator=stream(setting.seed, "weight", key))
    if matrix.bias is not None:
        matrix.bias.uniform_(-bound, bound, generator=stream(setting.seed, "bias", key))


def _recurrent_(weight: Tensor, kind: str, generator: torch.Generator) -> None:
    if kind == "identity":
        nn.init.eye_(weight)
    else:
        nn.init.orthogonal_(weight, generator=generator)


def _gate_biases_(biases: dict[str, Tensor | None], model: LSTM, setting: Setting) -> None:
    """The forget gate's bias; with chrono the input gate's as well (Tallec and Ollivier 2018)."""
    for layer in range(1, setting.depth + 1):
        forget, into = biases[f"xf_{layer}"], biases[f"xi_{layer}"]
        assert forget is not None
        assert into is not None
        if model.chrono is None:
            forget.fill_(model.forget_bias)
        else:
            generator = stream(setting.seed, "bias", f"xf_{layer}")
            forget.uniform_(1, model.chrono - 1, generator=generator).log_()
            into.copy_(-forget)


def _figures(setting: Setting, drive: float, bias: float, variance_h: float) -> dict[str, Any]:
    f, sigma_h = function_of(setting.act), math.sqrt(variance_h)
    if setting.norm.normalizes:
        length = 1.0 + bias  # f reads LN(z) + b
        q = drive + variance_h * second_moment(f, length)
        factor = variance_h * slope_moment(f, length) / (q + EPSILON)
    else:
        q = state_length(f, sigma_h, drive + bias)
        factor = time_factor(f, sigma_h, drive + bias)
    scale = depth_scale(factor)
    return {"q_star": q, "chi_1": factor, "xi_grad": scale, "phase": phase(factor), "time_factor": factor}


def _variances(setting: Setting, features: int, orthogonal: bool) -> tuple[float, float, float] | None:
    """Of what each input adds, of the biases, and sigma_h^2 of the recurrent weights."""
    width = setting.width
    if setting.init.frameworks_own:
        into, bias, over = features / (3 * width), 1 / (3 * width), 1 / 3
    else:
        first = setting.init.variances(setting.act, features, width)
        second = setting.init.variances(setting.act, width, width)
        if first is None or second is None:
            return None
        (into, bias), over = first, second[0]
    if orthogonal:
        over = 1.0  # fan_in times the variance of a square orthogonal matrix
    return into, bias, over
