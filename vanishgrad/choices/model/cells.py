"""The matrices of several gates, one linear module each, computed together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, layer_norm, linear, one_hot, pad

from vanishgrad.choices.protocol import Activation
from vanishgrad.modules.observer import Gate, LinearOutput, Observer, Unrolled
from vanishgrad.modules.weights import Linear

Linears = tuple[Linear, ...]
Kernel = Callable[..., tuple[Any, ...]]  # such as `torch.lstm`


def add_linears(
    owner: nn.Module, names: Sequence[str], layer: int, inputs: int, width: int, bias: bool = True
) -> Linears:
    """New linear modules of `owner`, `inputs -> width`: `xi_3`, `xf_3`, ... for layer 3."""
    linears = tuple(Linear(inputs, width, bias=bias) for _ in names)
    for name, module in zip(names, linears, strict=True):
        owner.add_module(f"{name}_{layer}", module)
    return linears


def joined_weight(linears: Linears) -> Tensor:
    """Their weights one under the other, `(gates * width, inputs)`."""
    return torch.cat([module.weight for module in linears])


def joined_bias(linears: Linears) -> Tensor:
    """Their biases one after the other, `(gates * width,)`."""
    return torch.cat([module.bias for module in linears])


def project(x: Tensor, linears: Linears, norm: nn.LayerNorm | None) -> tuple[Tensor, Tensor]:
    """(linear outputs z, what goes on from there): W x + b both, or W x and LN(W x) + b.

    Arguments:
        x: `(time, batch, inputs)`, or symbol numbers `(time, batch)`.
        linears: the modules, all with a bias; their outputs lie side by side.
        norm: layer normalization of all their outputs together.
    """
    weight, bias = joined_weight(linears), joined_bias(linears)
    if norm is None:
        z = product(x, weight, bias)
        return z, z
    z = product(x, weight)
    return z, normalize(norm, z, bias)


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """W x + b, `(time, batch, outputs)`.

    A symbol number stands for a one-hot vector: selecting a column of W gives the same number as the product.
    """
    if x.is_floating_point():
        return linear(x, weight, bias)
    columns = weight.t() if bias is None else weight.t() + bias
    return embedding(x, columns.contiguous())


def normalize(norm: nn.LayerNorm, z: Tensor, bias: Tensor) -> Tensor:
    """LN(z) + b, `(..., units)`; the bias is not the norm's own but that of the linear modules."""
    return layer_norm(z, norm.normalized_shape, norm.weight, bias, norm.eps)


def zero_state(x: Tensor, weight: Tensor, parts: int) -> tuple[Tensor, ...]:
    """The state that a sequence `x`, `(time, batch, ...)`, starts from: h (and c), `(batch, width)`."""
    zeros = weight.new_zeros(x.shape[1], weight.shape[1])
    return (zeros,) * parts


def by_kernel(
    kernel: Kernel, x: Tensor, state: tuple[Tensor, ...] | None, from_x: Linears, from_h: Linears,
    states: int = 1, bias_h: Tensor | None = None,
) -> tuple[Tensor, tuple[Tensor, ...]]:  # fmt: skip
    """h_1 ... h_T, `(time, batch, width)`, and the state after them, from torch's own kernel of the cell.

    The biases are weights from one more input, which is 1: the kernel for CPUs adds up the gradients of what
    it takes for biases one by one, and loses a digit.

    Arguments:
        kernel: the function.
        x: `(time, batch, inputs)`, or symbol numbers `(time, batch)`.
        state: that the layer starts from; None for zeros.
        from_x, from_h: the matrices in torch's order of the gates.
        states: parts of a state.
        bias_h: the biases beside those of `from_x`, `(gates * width,)`, where the cell has any.
    """
    weight_x = torch.cat([joined_weight(from_x), joined_bias(from_x)[:, None]], 1)
    weights = [weight_x, joined_weight(from_h)]
    if bias_h is not None:
        weights += [torch.zeros_like(bias_h), bias_h]
    numbers = x if x.is_floating_point() else one_hot(x, from_x[0].in_features).to(weight_x.dtype)
    start = [part[None] for part in state or zero_state(x, weights[1], states)]
    hidden, *last = kernel(
        pad(numbers, (0, 1), value=1.0), start if states > 1 else start[0], _in_one_piece(weights),
        bias_h is not None, 1, 0.0, torch.is_grad_enabled(), False, False,
    )  # fmt: skip
    return hidden, tuple(part[0] for part in last)


def _in_one_piece(weights: Sequence[Tensor]) -> list[Tensor]:
    """The same weights side by side in memory, without which cuDNN would warn and copy them itself."""
    flat = torch.cat([weight.flatten() for weight in weights])
    parts = flat.split([weight.numel() for weight in weights])
    return [part.view_as(weight) for part, weight in zip(parts, weights, strict=True)]


def gates_over_time(
    names: Sequence[str],
    from_x: Linears,
    from_h: Linears,
    functions: Sequence[nn.Module],
    values: Iterable[tuple[Tensor, ...]],
    into_candidate: list[Tensor],
) -> list[Gate]:
    """What an observer sees of the gates, of which the candidate is the last.

    `values` are theirs, time step by time step; `into_candidate` is what entered the candidate's activation.
    """
    rows = zip(names, from_x, from_h, functions, zip(*values, strict=True), strict=True)
    gates = [Gate(name, (x, h), function, list(outputs)) for name, x, h, function, outputs in rows]
    return [*gates[:-1], replace(gates[-1], inputs=into_candidate)]


class RNNLayer(nn.Module):
    """h_t = act(W_xh x_t + W_hh h_(t-1) + b) (Elman 1990).

    With `normalized`, h_t = act(LN(W_xh x_t + W_hh h_(t-1)) + b), where LN has a gain, 1 at the start
    (Ba et al. 2016, eq. 4).

    Arguments:
        layer: its number.
        inputs: features of x_t.
        width: units.
        act: the activation.
        normalized: whether with layer normalization.
    """

    def __init__(self, layer: int, inputs: int, width: int, act: Activation, normalized: bool) -> None:
        super().__init__()
        self.layer = layer
        self.from_x = add_linears(self, ["xh"], layer, inputs, width)
        self.from_h = add_linears(self, ["hh"], layer, width, width, bias=False)
        self.norm = nn.LayerNorm(width, bias=False) if normalized else None
        self.act = act.module()

    def shown(self) -> set[nn.Module]:
        """The modules that an observer sees."""
        return {*self.from_x, *self.from_h, self.act}

    def forward(
        self, x: Tensor, state: tuple[Tensor, ...] | None, observer: Observer | None
    ) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        """h_1 ... h_T, and the state after them.

        Arguments:
            x: `(time, batch, inputs)`, or symbol numbers `(time, batch)`.
            state: (h_0,), `(batch, width)`; None for zeros.
            observer: who watches.
        """
        (xh,), (hh,) = self.from_x, self.from_h
        z_x = product(x, xh.weight, xh.bias if self.norm is None else None)
        (h,), transposed = state or zero_state(x, hh.weight, 1), hh.weight.t()
        hidden, entered = [], []
        for z_t in z_x.unbind(0):
            z = torch.addmm(z_t, h, transposed)
            z = z if self.norm is None else normalize(self.norm, z, xh.bias)
            h = self.act(z)
            hidden.append(h)
            if observer is not None:
                entered.append(z)
        if observer is not None:
            observer.unrolled(self._unrolled(z_x, hidden, entered))
        return hidden, (h,)

    def fused(
        self, kernel: Kernel, x: Tensor, state: tuple[Tensor, ...] | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The same, all h as one tensor, from torch's kernel."""
        return by_kernel(kernel, x, state, self.from_x, self.from_h)

    def _unrolled(self, z_x: Tensor, hidden: list[Tensor], entered: list[Tensor]) -> Unrolled:
        # z_x is added to W_hh h: dLoss/dz of the sum, the z of both matrices, is its gradient
        linear = [LinearOutput(matrices, [z_x], axis=-1) for matrices in (self.from_x, self.from_h)]
        gate = Gate("hidden", (*self.from_x, *self.from_h), self.act, hidden, entered)
        return Unrolled(self.layer, hidden, [], [gate], linear)


LSTM_GATES = ("input", "forget", "output", "candidate")


class LSTMStep(NamedTuple):
    """What one time step gave, each `(batch, width)`; z_h, the recurrent sums, `(batch, 4 width)`.

    `z_c` is what entered the candidate's activation.
    """

    h: Tensor
    c: Tensor
    gates: tuple[Tensor, ...]  # in the order of LSTM_GATES
    z_h: Tensor
    z_c: Tensor


class Peepholes(nn.Module):
    """One weight per unit from the cell to each gate (Gers et al. 2002).

    They start at 0, so that a network with peepholes starts equal to its twin without.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        # vectors: matrices would count among the weights that are drawn, penalized and measured
        self.input = nn.Parameter(torch.empty(width))
        self.forget = nn.Parameter(torch.empty(width))
        self.output = nn.Parameter(torch.empty(width))

    def reset_parameters(self) -> None:
        for weight in self.parameters():
            nn.init.zeros_(weight)


class LSTMLayer(nn.Module):
    """Long short-term memory with a forget gate (Hochreiter and Schmidhuber 1997; Gers et al. 2000).

        i, f, o = sigmoid(W_x x_t + W_h h_(t-1) + b), each gate with matrices and a bias of its own
        c_t = f * c_(t-1) + i * act(W_xc x_t + W_hc h_(t-1) + b_c)
        h_t = o * act(c_t)

    With `peepholes`, p_i * c_(t-1), p_f * c_(t-1) and p_o * c_t are added to what enters the gates. With
    `normalized`, gates and candidate read LN(W_x x_t) + LN(W_h h_(t-1)) + b, either LN over the sums of all
    four together, and h_t = o * act(LN(c_t)) (Ba et al. 2016, supplement). All LN have gains, 1 at the start;
    only that of c_t has an additive parameter, since b is the others'.

    Arguments:
        layer: its number.
        inputs: features of x_t.
        width: units.
        act: the function of the candidate and of the cell on its way out.
        normalized: whether with layer normalization.
        peepholes: whether the gates see the cell.
    """

    def __init__(
        self, layer: int, inputs: int, width: int, act: Activation, normalized: bool, peepholes: bool
    ) -> None:
        super().__init__()
        self.layer = layer
        self.from_x = add_linears(self, ("xi", "xf", "xo", "xc"), layer, inputs, width)
        self.from_h = add_linears(self, ("hi", "hf", "ho", "hc"), layer, width, width, bias=False)
        self.gate, self.candidate, self.cell_act = nn.Sigmoid(), act.module(), act.module()
        self.peepholes = Peepholes(width) if peepholes else None
        self.norm_x = nn.LayerNorm(4 * width, bias=False) if normalized else None
        self.norm_h = nn.LayerNorm(4 * width, bias=False) if normalized else None
        self.norm_cell = nn.LayerNorm(width) if normalized else None

    def shown(self) -> set[nn.Module]:
        """The modules that an observer sees."""
        return {*self.from_x, *self.from_h, self.gate, self.candidate, self.cell_act}

    def forward(
        self, x: Tensor, state: tuple[Tensor, ...] | None, observer: Observer | None
    ) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        """h_1 ... h_T, and the state after them.

        Arguments:
            x: `(time, batch, inputs)`, or symbol numbers `(time, batch)`.
            state: (h_0, c_0), each `(batch, width)`; None for zeros.
            observer: who watches.
        """
        weight = joined_weight(self.from_h)
        z_x, into = project(x, self.from_x, self.norm_x)
        (h, c), transposed = state or zero_state(x, weight, 2), weight.t()
        hidden, steps = [], []
        for x_t in into.unbind(0):
            step = self._step(x_t, h, c, transposed)
            h, c = step.h, step.c
            hidden.append(h)
            if observer is not None:
                steps.append(step)
        if observer is not None:
            observer.unrolled(self._unrolled(z_x, hidden, steps))
        return hidden, (h, c)

    def fused(
        self, kernel: Kernel, x: Tensor, state: tuple[Tensor, ...] | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The same, all h as one tensor, from torch's kernel, which has the output gate last."""
        (xi, xf, xo, xc), (hi, hf, ho, hc) = self.from_x, self.from_h
        return by_kernel(kernel, x, state, (xi, xf, xc, xo), (hi, hf, hc, ho), states=2)

    def _step(self, x_t: Tensor, h: Tensor, c: Tensor, transposed: Tensor) -> LSTMStep:
        if self.norm_h is None:
            z = z_h = torch.addmm(x_t, h, transposed)
        else:
            z_h = h @ transposed
            z = x_t + self.norm_h(z_h)
        z_i, z_f, z_o, z_c = z.chunk(4, 1)
        if self.peepholes is not None:
            z_i, z_f = z_i + self.peepholes.input * c, z_f + self.peepholes.forget * c
        i, f, g = self.gate(z_i), self.gate(z_f), self.candidate(z_c)
        c = f * c + i * g
        o = self.gate(z_o if self.peepholes is None else z_o + self.peepholes.output * c)
        h = o * self.cell_act(c if self.norm_cell is None else self.norm_cell(c))
        return LSTMStep(h, c, (i, f, o, g), z_h, z_c)

    def _unrolled(self, z_x: Tensor, hidden: list[Tensor], steps: list[LSTMStep]) -> Unrolled:
        # without normalization z_x is added to z_h: its gradient is dLoss/dz of the sum, the z of both
        z_h = [z_x] if self.norm_h is None else [step.z_h for step in steps]
        linear = [LinearOutput(self.from_x, [z_x], axis=-1), LinearOutput(self.from_h, z_h, axis=-1)]
        functions = (self.gate, self.gate, self.gate, self.candidate)
        gates = gates_over_time(
            LSTM_GATES, self.from_x, self.from_h, functions, (step.gates for step in steps),
            [step.z_c for step in steps],
        )  # fmt: skip
        return Unrolled(self.layer, hidden, [step.c for step in steps], gates, linear)


GRU_GATES = ("reset", "update", "candidate")


class GRUStep(NamedTuple):
    """What one time step gave, each `(batch, width)`; z_h, the recurrent sums, `(batch, 3 width)`.

    `z_n` is what entered the candidate's activation.
    """

    h: Tensor
    gates: tuple[Tensor, ...]  # in the order of GRU_GATES
    z_h: Tensor
    z_n: Tensor


class Norms(nn.Module):
    """Layer normalization of what x_t (or h_(t-1)) gives to both gates, and to the candidate."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gates = nn.LayerNorm(2 * width, bias=False)
        self.candidate = nn.LayerNorm(width, bias=False)


class GRULayer(nn.Module):
    """Gated recurrent units (Cho et al. 2014), the reset gate after the recurrent product, as cuDNN has it.

        r, z = sigmoid(W_x x_t + W_h h_(t-1) + b), each gate with matrices and a bias of its own
        n = act(W_xn x_t + b_xn + r * (W_hn h_(t-1) + b_hn))
        h_t = (1 - z) * n + z * h_(t-1)

    With `normalized`, every product is replaced by its LN, and what the two gates get from x_t (or h_(t-1))
    is normalized together (Ba et al. 2016, supplement). LN has a gain, 1 at the start; the biases are b.

    Arguments:
        layer: its number.
        inputs: features of x_t.
        width: units.
        act: the function of the candidate.
        normalized: whether with layer normalization.
    """

    def __init__(self, layer: int, inputs: int, width: int, act: Activation, normalized: bool) -> None:
        super().__init__()
        self.layer, self.width = layer, width
        self.from_x = add_linears(self, ("xr", "xz", "xn"), layer, inputs, width)
        self.from_h = add_linears(self, ("hr", "hz"), layer, width, width, bias=False)
        self.from_h += add_linears(self, ("hn",), layer, width, width)
        self.gate, self.candidate = nn.Sigmoid(), act.module()
        self.norms_x = Norms(width) if normalized else None
        self.norms_h = Norms(width) if normalized else None

    def shown(self) -> set[nn.Module]:
        """The modules that an observer sees."""
        return {*self.from_x, *self.from_h, self.gate, self.candidate}

    def forward(
        self, x: Tensor, state: tuple[Tensor, ...] | None, observer: Observer | None
    ) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        """h_1 ... h_T, and the state after them.

        Arguments:
            x: `(time, batch, inputs)`, or symbol numbers `(time, batch)`.
            state: (h_0,), `(batch, width)`; None for zeros.
            observer: who watches.
        """
        weight, norms = joined_weight(self.from_h), self.norms_x
        z_x, into_gates = project(x, self.from_x[:2], norms.gates if norms else None)
        n_x, into_candidate = project(x, self.from_x[2:], norms.candidate if norms else None)
        (h,), transposed = state or zero_state(x, weight, 1), weight.t()
        bias = self._bias_h
        hidden, steps = [], []
        for z_t, n_t in zip(into_gates.unbind(0), into_candidate.unbind(0), strict=True):
            step = self._step(z_t, n_t, h, transposed, bias)
            h = step.h
            hidden.append(h)
            if observer is not None:
                steps.append(step)
        if observer is not None:
            observer.unrolled(self._unrolled(z_x, n_x, hidden, steps))
        return hidden, (h,)

    def fused(
        self, kernel: Kernel, x: Tensor, state: tuple[Tensor, ...] | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The same, all h as one tensor, from torch's kernel."""
        return by_kernel(kernel, x, state, self.from_x, self.from_h, bias_h=self._bias_h)

    @property
    def _bias_h(self) -> Tensor:
        """The biases of the recurrent sums, `(3 width,)`: of the candidate alone."""
        return pad(self.from_h[2].bias, (2 * self.width, 0))

    def _step(self, z_x: Tensor, n_x: Tensor, h: Tensor, transposed: Tensor, bias: Tensor) -> GRUStep:
        sums = h @ transposed if self.norms_h else torch.addmm(bias, h, transposed)
        z_h, n_h = sums.split((2 * self.width, self.width), 1)
        if self.norms_h is not None:
            z_h = self.norms_h.gates(z_h)
            n_h = normalize(self.norms_h.candidate, n_h, self.from_h[2].bias)
        r, z = self.gate(z_x + z_h).chunk(2, 1)
        z_n = torch.addcmul(n_x, r, n_h)
        n = self.candidate(z_n)
        return GRUStep(torch.lerp(n, h, z), (r, z, n), sums, z_n)

    def _unrolled(self, z_x: Tensor, n_x: Tensor, hidden: list[Tensor], steps: list[GRUStep]) -> Unrolled:
        linear = [
            LinearOutput(self.from_x[:2], [z_x], axis=-1),
            LinearOutput(self.from_x[2:], [n_x], axis=-1),
            LinearOutput(self.from_h, [step.z_h for step in steps], axis=-1),
        ]
        functions = (self.gate, self.gate, self.candidate)
        gates = gates_over_time(
            GRU_GATES, self.from_x, self.from_h, functions, (step.gates for step in steps),
            [step.z_n for step in steps],
        )  # fmt: skip
        return Unrolled(self.layer, hidden, [], gates, linear)
