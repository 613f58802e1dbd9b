"""The encoder-forecaster against Shi et al. (2015): its parameter counts, its equations in plain loops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vanishgrad.choices.activation import PReLU, ReLU
from vanishgrad.choices.data import MovingDigits
from vanishgrad.choices.data.video import draw_moving_digits, mean_frame_loss
from vanishgrad.choices.initialization import Gaussian, Orthogonal, Zeros
from vanishgrad.choices.model.build import build
from vanishgrad.choices.model.conv_lstm import ConvLSTM, ConvLSTMLayer, ConvLSTMNetwork
from vanishgrad.choices.regularization import Dropout
from vanishgrad.modules.observer import Unrolled
from vanishgrad.modules.weights import Conv2d, weight_matrices
from vanishgrad.run import Run

PATCH = 4
TINY = Run(
    model=ConvLSTM(kernel=3, patch=PATCH),
    data=MovingDigits(size=8, given=2, predicted=3),
    depth=2,
    width=3,
    dtype="float64",
)


def network(run: Run = TINY) -> ConvLSTMNetwork:
    """The network of `run`; all its parameters random, so that nothing is hidden by a zero at the start."""
    model = build(run)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5, generator=generator)
    assert isinstance(model, ConvLSTMNetwork)
    return model


def frames(run: Run = TINY, batch: int = 2) -> Tensor:
    return torch.rand(batch, *run.data.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@pytest.mark.parametrize(("depth", "width", "published"), [(1, 256, 13_524_496), (2, 128, 10_042_896)])
def test_the_networks_of_the_paper_have_the_published_number_of_parameters(
    depth: int, width: int, published: int
) -> None:
    run = Run(model=ConvLSTM(kernel=5, patch=4), data=MovingDigits(size=64), depth=depth, width=width)
    with torch.device("meta"):
        model = run.model.network(run)
    assert sum(parameter.numel() for parameter in model.parameters()) == published


def test_the_papers_network_of_unequal_layers_has_the_published_number_of_parameters() -> None:
    def layers(first: int, inputs: tuple[int, ...]) -> list[ConvLSTMLayer]:
        choice = ConvLSTM(kernel=5, patch=4)
        return [
            ConvLSTMLayer(first + k, channels, width, choice, nn.Tanh(), nn.Identity())
            for k, (channels, width) in enumerate(zip(inputs, (128, 64, 64), strict=True))
        ]

    with torch.device("meta"):
        encoder, forecaster = layers(1, (16, 128, 64)), layers(4, (0, 128, 64))
        output = Conv2d(128 + 64 + 64, 16, kernel_size=1)
        model = ConvLSTMNetwork(encoder, forecaster, nn.Identity(), output, patch=4, predicted=10)
    assert sum(parameter.numel() for parameter in model.parameters()) == 7_585_296


def test_peepholes_are_three_weights_per_channel() -> None:
    without = network(replace(TINY, model=replace(TINY.model, peepholes=False)))
    counts = [sum(p.numel() for p in model.parameters()) for model in (network(), without)]
    assert counts[0] - counts[1] == 3 * TINY.width * 2 * TINY.depth


# The paper's network again, in plain loops over examples, places and kernels.


def patches(frame: Tensor) -> Tensor:
    """A frame `(side, side)` as `(patch^2, side / patch, side / patch)`."""
    rows = range(0, len(frame), PATCH)
    return torch.stack(
        [
            torch.stack([frame[r + y, c + x] for r in rows for c in rows])
            for y, x in product(range(PATCH), repeat=2)
        ]
    ).view(PATCH**2, len(rows), len(rows))


def assembled(maps: Tensor) -> Tensor:
    """The inverse of `patches`."""
    side = PATCH * maps.shape[1]
    return torch.stack(
        [
            maps[(y % PATCH) * PATCH + x % PATCH, y // PATCH, x // PATCH]
            for y, x in product(range(side), repeat=2)
        ]
    ).view(side, side)


def convolved(kernel: Tensor, maps: Tensor) -> Tensor:
    """W * X for one example: `(out, in, k, k)`, `(in, rows, columns)` -> `(out, rows, columns)`."""
    size = kernel.shape[-1]
    rows, columns = maps.shape[1:]
    wide = F.pad(maps, [size // 2] * 4)
    return torch.stack(
        [
            (kernel * wide[:, r : r + size, c : c + size]).sum((1, 2, 3))
            for r, c in product(range(rows), range(columns))
        ],
        dim=1,
    ).view(-1, rows, columns)


class Layer:
    """Equations (3) for one layer of `model` and one example."""

    def __init__(self, model: nn.Module, number: int, act: Callable[[Tensor], Tensor] = torch.tanh) -> None:
        values = dict(model.named_parameters())
        path = next(name for name in values if name.endswith(f".hi_{number}.weight"))
        self.prefix = path.removesuffix(f"hi_{number}.weight")
        self.values, self.number, self.act = values, number, act

    def linear(self, gate: str, x: Tensor | None, h: Tensor) -> Tensor:
        name = f"{gate}_{self.number}"
        z = convolved(self.values[f"{self.prefix}h{name}.weight"], h)
        if x is not None:
            z = z + convolved(self.values[f"{self.prefix}x{name}.weight"], x)
        bias = self.values[f"{self.prefix}{'h' if x is None else 'x'}{name}.bias"]
        return z + bias[:, None, None]

    def peep(self, gate: str, c: Tensor) -> Tensor | float:
        weight = self.values.get(f"{self.prefix}w_c{gate}")
        return 0.0 if weight is None else weight[:, None, None] * c

    def step(self, x: Tensor | None, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        i = torch.sigmoid(self.linear("i", x, h) + self.peep("i", c))
        f = torch.sigmoid(self.linear("f", x, h) + self.peep("f", c))
        c = f * c + i * self.act(self.linear("c", x, h))
        o = torch.sigmoid(self.linear("o", x, h) + self.peep("o", c))
        return o * self.act(c), c


def by_hand(run: Run, model: nn.Module, film: Tensor, act: Callable[[Tensor], Tensor] = torch.tanh) -> Tensor:
    """Logits `(predicted, side, side)` of one example `(given, side, side)`."""
    assert isinstance(run.data, MovingDigits)
    side = run.data.side // PATCH
    zero = torch.zeros(run.width, side, side, dtype=film.dtype)
    states = [(zero, zero)] * run.depth
    encoder = [Layer(model, 1 + k, act) for k in range(run.depth)]
    forecaster = [Layer(model, run.depth + 1 + k, act) for k in range(run.depth)]
    for frame in film:
        x: Tensor | None = patches(frame)
        for k, layer in enumerate(encoder):
            states[k] = layer.step(x, *states[k])
            x = states[k][0]
    predicted = []
    values = dict(model.named_parameters())
    for _ in range(run.data.predicted):
        x = None
        for k, layer in enumerate(forecaster):
            states[k] = layer.step(x, *states[k])
            x = states[k][0]
        maps = convolved(values["output.weight"], torch.cat([h for h, _ in states]))
        predicted.append(assembled(maps + values["output.bias"][:, None, None]))
    return torch.stack(predicted)


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("peepholes", [True, False])
def test_the_forward_pass_is_the_papers_equations(depth: int, peepholes: bool) -> None:
    run = replace(TINY, depth=depth, model=replace(TINY.model, peepholes=peepholes))
    model, x = network(run), frames(run)
    expected = torch.stack([by_hand(run, model, film[:, 0]) for film in x])
    torch.testing.assert_close(model(x)[:, :, 0], expected)


def test_act_is_the_function_of_candidate_and_cell() -> None:
    run = replace(TINY, act=ReLU())
    model, x = network(run), frames(run)
    expected = torch.stack([by_hand(run, model, film[:, 0], torch.relu) for film in x])
    torch.testing.assert_close(model(x)[:, :, 0], expected)


def test_gradients_through_time_are_those_of_finite_differences() -> None:
    run = replace(TINY, width=2)
    model, x = network(run), frames(run, batch=1).requires_grad_()
    names, values = zip(*model.named_parameters(), strict=True)

    def logits(x: Tensor, *parameters: Tensor) -> Tensor:
        return torch.func.functional_call(model, dict(zip(names, parameters, strict=True)), (x,))

    assert torch.autograd.gradcheck(logits, (x, *values), fast_mode=True)


def test_every_parameter_is_used() -> None:
    for given, predicted in ((1, 1), (2, 3)):
        model = network(replace(TINY, data=replace(TINY.data, given=given, predicted=predicted)))
        x = torch.rand(2, given, 1, 8, 8, dtype=torch.float64)
        model(x).sum().backward()
        assert all(parameter.grad is not None for parameter in model.parameters())


# Initial values.


def test_forget_biases_start_at_the_choice_and_peepholes_at_zero() -> None:
    run = replace(TINY, model=replace(TINY.model, forget_bias=2.5), init=Gaussian(sigma_b=1))
    values = dict(build(run).named_parameters())
    forget = {name for name in values if name.rsplit(".", 2)[-2][1] == "f" and name.endswith(".bias")}
    assert {name.split(".")[-2] for name in forget} == {"xf_1", "xf_2", "hf_3", "xf_4"}  # one per layer
    assert all((values[name] == 2.5).all() for name in forget)
    assert all((values[name] == 0).all() for name in values if ".w_c" in name)
    others = [values[name] for name in values if name.endswith(".bias") and name not in forget]
    assert torch.cat(others).std() > 0.5


def test_weights_and_biases_start_as_pytorchs_convolutions_do() -> None:
    run = Run(model=ConvLSTM(), data=MovingDigits(), depth=1, width=32)
    model = build(run)
    twin = nn.Conv2d(32, 32, 5)
    bound = (32 * 25) ** -0.5
    assert 0.99 * bound < twin.weight.abs().max() <= bound
    for matrix in weight_matrices(model):
        if matrix.name.endswith("hi_1"):
            assert 0.99 * bound < matrix.weight.abs().max() <= bound
        if matrix.bias is not None and matrix.name.endswith("hi_2"):
            assert 0.8 * bound < matrix.bias.abs().max() <= bound


def test_a_layer_starts_with_the_same_values_at_any_depth() -> None:
    short, tall = (dict(build(replace(TINY, depth=depth)).named_parameters()) for depth in (1, 2))
    assert torch.equal(short["encoder.layer_1.xi_1.weight"], tall["encoder.layer_1.xi_1.weight"])
    assert not torch.equal(tall["encoder.layer_1.hi_1.weight"], tall["encoder.layer_2.hi_2.weight"])


def test_with_zero_weights_the_cell_is_kept_by_the_forget_bias_alone() -> None:
    run = replace(TINY, depth=1, init=Zeros(), model=replace(TINY.model, forget_bias=0.7))
    watcher, model = Watcher(), build(run)
    model.observer = watcher
    model(frames(run)).sum()
    encoder, forecaster = watcher.layers
    first, last = encoder.cell[0], forecaster.cell[-1]
    (gradient,) = torch.autograd.grad(last.sum(), first)
    steps = len(encoder.cell) + len(forecaster.cell) - 1
    kept = torch.sigmoid(torch.tensor(0.7, dtype=torch.float64)) ** steps
    torch.testing.assert_close(gradient, kept.expand_as(gradient))


def test_every_convolution_has_the_number_of_its_layer() -> None:
    matrices = weight_matrices(network())
    by_layer = {n: {m.name.split(".")[-1] for m in matrices if m.layer == n} for n in range(1, 6)}
    gates = [f"{source}{gate}" for source in "xh" for gate in "ifco"]
    for layer in (1, 2, 4):
        assert by_layer[layer] == {f"{gate}_{layer}" for gate in gates}
    assert by_layer[3] == {"hi_3", "hf_3", "hc_3", "ho_3"}  # the forecaster's first has no input
    assert by_layer[5] == {"output"}


# What an observer sees.


class Watcher:
    """Keeps what it is shown."""

    def __init__(self) -> None:
        self.layers: list[Unrolled] = []
        self.modules: list[tuple[nn.Module, Tensor, Tensor]] = []

    def module(self, module: nn.Module, inputs: Tensor, output: Tensor) -> None:
        self.modules.append((module, inputs, output))

    def fork(self, block: nn.Module, direct: Tensor, into: Tensor) -> None:
        raise AssertionError("there are no residual blocks")

    def unrolled(self, layer: Unrolled) -> None:
        self.layers.append(layer)


def watched(run: Run = TINY) -> tuple[ConvLSTMNetwork, Watcher, Tensor]:
    model, watcher = network(run), Watcher()
    model.observer = watcher
    return model, watcher, model(frames(run))


def test_being_watched_changes_no_bit() -> None:
    run = replace(TINY, dtype="float32", reg=Dropout(0.3))
    alone, x = network(run), frames(run).float()
    observed = network(run)
    observed.observer = Watcher()
    outputs = [model(x) for model in (alone, observed)]
    assert torch.equal(*outputs)
    gradients = [torch.autograd.grad(out.square().sum(), list(m.parameters())) for out, m in
                 zip(outputs, (alone, observed), strict=True)]  # fmt: skip
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))


def test_layers_are_shown_with_the_times_they_cover() -> None:
    _, watcher, _ = watched()
    assert [(seen.layer, seen.first, len(seen.hidden), len(seen.cell)) for seen in watcher.layers] == [
        (1, 1, 2, 2), (2, 1, 2, 2), (3, 3, 3, 3), (4, 3, 3, 3),
    ]  # fmt: skip
    assert [gate.name for gate in watcher.layers[0].gates] == ["input", "forget", "candidate", "output"]


def test_all_that_is_shown_has_a_gradient() -> None:
    _, watcher, output = watched()
    shown = [
        tensor
        for seen in watcher.layers
        for tensors in (seen.hidden, seen.cell, *(linear.outputs for linear in seen.linear))
        for tensor in tensors
    ]
    gradients = torch.autograd.grad(output.square().sum(), [*shown, watcher.modules[0][2]])
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


def test_the_shown_state_is_the_one_that_all_later_steps_read() -> None:
    """The full derivative of a state in the middle, against shifting that state for all who read it."""
    run = replace(TINY, depth=1)
    model, watcher, output = watched(run)
    loss = output.square().sum()
    encoder = watcher.layers[0]
    states = {"h": encoder.hidden[-1], "c": encoder.cell[-1]}  # read by the forecaster's first step
    for name, state in states.items():
        (gradient,) = torch.autograd.grad(loss, state, retain_graph=True)
        shift = torch.randn(state.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
        losses = [_after(model, run, states, name, sign * 1e-6 * shift) for sign in (1, -1)]
        slope = (losses[0] - losses[1]) / 2e-6
        if name == "c":  # the encoder's last h reads c too, and stays where it was
            h = states["h"]
            (through_h,) = torch.autograd.grad(loss, h, retain_graph=True)
            gradient = gradient - torch.autograd.grad(h, state, through_h, retain_graph=True)[0]
        torch.testing.assert_close(slope, (gradient * shift).sum(), rtol=1e-6, atol=1e-8)


def _after(model: nn.Module, run: Run, states: dict[str, Tensor], name: str, shift: Tensor) -> Tensor:
    """The loss by hand when the encoder hands over a shifted state."""
    moved = {key: state.detach() + (shift if key == name else 0) for key, state in states.items()}
    layer, values = Layer(model, 2), dict(model.named_parameters())
    loss = torch.zeros((), dtype=torch.float64)
    with torch.no_grad():
        for h, c in zip(moved["h"], moved["c"], strict=True):
            for _ in range(run.data.predicted):  # type: ignore[attr-defined]
                h, c = layer.step(None, h, c)
                maps = convolved(values["output.weight"], h) + values["output.bias"][:, None, None]
                loss += maps.square().sum()
    return loss


def test_linear_outputs_are_those_of_the_convolutions_in_order() -> None:
    model, watcher, _ = watched()
    name_of = {module: path for path, module in model.named_modules()}
    for seen in watcher.layers:
        for linear in seen.linear:
            assert len(linear.matrices) == 4
            parts = torch.cat(linear.outputs).chunk(4, linear.axis)
            assert [name_of[matrix].split(".")[-1][1] for matrix in linear.matrices] == ["i", "f", "c", "o"]
            assert len({part.shape for part in parts}) == 1
    lower, upper = watcher.layers[:2]
    below = torch.cat(lower.hidden)
    from_x = next(linear for linear in upper.linear if len(linear.outputs) == 1)
    for matrix, part in zip(from_x.matrices, from_x.outputs[0].chunk(4, from_x.axis), strict=True):
        torch.testing.assert_close(part, matrix(below))
    from_h = next(linear for linear in upper.linear if len(linear.outputs) == 2)
    for matrix, part in zip(from_h.matrices, from_h.outputs[1].chunk(4, from_h.axis), strict=True):
        torch.testing.assert_close(part, matrix(upper.hidden[0]))


def test_gate_values_are_those_that_make_the_cell() -> None:
    _, watcher, _ = watched()
    for seen in watcher.layers:
        i, f, candidate, o = (gate.values for gate in seen.gates)
        for t in range(1, len(seen.cell)):
            torch.testing.assert_close(seen.cell[t], f[t] * seen.cell[t - 1] + i[t] * candidate[t])
            torch.testing.assert_close(seen.hidden[t], o[t] * seen.cell[t].tanh())


def test_all_matrices_and_activations_are_among_the_modules_shown() -> None:
    model = network(replace(TINY, act=PReLU()))
    shown = model.shown()
    assert {matrix.module for matrix in weight_matrices(model)} <= shown
    assert {part for part in model.modules() if isinstance(part, nn.Sigmoid | nn.PReLU)} <= shown


# Dropout and learning.


def test_dropout_hits_the_hidden_maps_on_their_way_up_and_not_through_time() -> None:
    run = replace(TINY, reg=Dropout(0.5))
    dropped, plain = network(run), network()
    x = frames()
    dropped.observer, plain.observer = Watcher(), Watcher()
    assert not torch.equal(dropped(x), plain(x))
    for bottom in (0, 2):  # first layers of encoder and forecaster
        pair = [model.observer.layers[bottom].hidden for model in (dropped, plain)]  # type: ignore[union-attr]
        assert all(torch.equal(*tensors) for tensors in zip(*pair, strict=True))
    for top in (1, 3):
        pair = [model.observer.layers[top].hidden[0] for model in (dropped, plain)]  # type: ignore[union-attr]
        assert not torch.equal(*pair)
    assert torch.equal(dropped.eval()(x), plain(x))


def test_conv_lstm_learns_far_more_than_the_mean_frame() -> None:
    """Grey pixels cost their own entropy whatever the answer; what training can win is the rest."""
    data = MovingDigits(digits=1, size=12, given=3, predicted=2, train_size=200, held_out=100)
    run = Run(model=ConvLSTM(kernel=3, patch=2), data=data, width=16, init=Orthogonal())
    drawn, model = draw_moving_digits(data), build(run)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(100):
        rows = torch.arange(16 * step, 16 * step + 16) % len(drawn.train_x)
        loss = run.criterion(model(drawn.train_x[rows]), drawn.train_y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        reached = run.criterion(model(drawn.val_x), drawn.val_y)
    certain = F.binary_cross_entropy(drawn.val_y, drawn.val_y, reduction="sum") / len(drawn.val_y)
    still = mean_frame_loss(drawn.train_y, drawn.val_y).sum()
    assert reached - certain < 0.7 * (still - certain)
