"""One convolutional LSTM layer, unrolled over time (Shi et al. 2015)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vanishgrad.choices.model import ConvLSTM
from vanishgrad.modules.observer import Gate, LinearOutput, Unrolled
from vanishgrad.modules.weights import Conv2d

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
