"""Convolutional networks against published counts and against their formulas, written out by hand."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from vanishgrad import Run, build
from vanishgrad.choices.activation import Tanh
from vanishgrad.choices.data import CIFAR10, Digits, load
from vanishgrad.choices.initialization import LSUV, Orthogonal
from vanishgrad.choices.model.build import blank
from vanishgrad.choices.model.feedforward import CNN
from vanishgrad.choices.normalization import (
    BatchNorm,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    NoNorm,
    RMSNorm,
    WeightNorm,
)
from vanishgrad.choices.protocol import Normalization, Residual
from vanishgrad.choices.regularization import Dropout
from vanishgrad.choices.residual import (
    DenseShortcut,
    Fixup,
    Fork,
    HighwayShortcut,
    IdentityShortcut,
    NoResidual,
    Resize,
    Rezero,
    ScaledShortcut,
)
from vanishgrad.modules.observer import Unrolled
from vanishgrad.modules.weights import weight_matrices

WIDTH = 4
KINDS = [IdentityShortcut, ScaledShortcut, Rezero, Fixup, HighwayShortcut, DenseShortcut]


def run_with(residual: Residual, depth: int, **choices: object) -> Run:
    settings = {"width": WIDTH, "act": Tanh(), "dtype": "float64", "model": CNN()} | choices
    return Run(depth=depth, residual=residual, **settings)  # type: ignore[arg-type]


def network(run: Run) -> nn.Module:
    """The network of `run`; all its parameters random, so that nothing is hidden by a zero at the start."""
    model = build(run)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.4, generator=generator)
    return model


def inputs(examples: int = 4) -> Tensor:
    return torch.randn(examples, 1, 8, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def parameters(run: Run) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in blank(run).parameters())


def cifar_resnet(blocks: int) -> int:
    """Parameters of the ResNet with 6 blocks + 2 layers for 32x32 colour images (He et al. 2016, table 6)."""
    convolutions = 3 * 16 * 9
    for channels, before in ((16, 16), (32, 16), (64, 32)):
        convolutions += 9 * channels * before + 9 * channels * channels * (2 * blocks - 1)
    norms = 2 * (16 + 2 * blocks * (16 + 32 + 64))
    return convolutions + norms + 64 * 10 + 10


@pytest.mark.parametrize("residual", [IdentityShortcut(), NoResidual(), ScaledShortcut()], ids=str)
@pytest.mark.parametrize("layers, published", [
    (20, "0.27"), (32, "0.46"), (44, "0.66"), (56, "0.85"), (110, "1.7"), (1202, "19.4"),
])  # fmt: skip
def test_the_resnets_for_cifar_have_the_published_parameter_counts(
    layers: int, published: str, residual: Residual
) -> None:
    run = Run(depth=layers - 1, width=16, model=CNN(), residual=residual, norm=BatchNorm(), data=CIFAR10())
    count = parameters(run)
    assert count == cifar_resnet((layers - 2) // 6)
    assert f"{count / 1e6:.{len(published.split('.')[1])}f}" == published
    assert count == {20: 269_722, 110: 1_727_962}.get(layers, count)


def stages_of(depth: int, every: int, stages: int) -> list[int]:
    """The stage of every layer, counted from 0: whole blocks, evenly; what is left in the last stage."""
    blocks = [every] * max(1, (depth - 1) // every) if depth > 1 else []
    if blocks:
        blocks[-1] += depth - 1 - sum(blocks)
    share = len(blocks) // stages or 1
    found = [0] * min(depth, 1)
    for number, size in enumerate(blocks):
        found += [min(number // share, stages - 1)] * size
    return found


class ByHand:
    """The forward pass of a tanh network, from its parameters by name; channels and strides from stages."""

    def __init__(self, run: Run, model: nn.Module) -> None:
        assert isinstance(run.model, CNN)
        self.run, self.values, self.modules = run, dict(model.named_parameters()), dict(model.named_modules())
        self.stages = stages_of(run.depth, run.residual.every, run.model.stages)
        self.blocks = [list(block) for block in run.blocks]

    def stride(self, layer: int) -> int:
        return 2 if layer > 1 and self.stages[layer - 1] > self.stages[layer - 2] else 1

    def conv(self, path: str, x: Tensor, layer: int) -> Tensor:
        bias = self.values.get(f"{path}.bias")
        return conv2d(x, self.values[f"{path}.weight"], bias, self.stride(layer), padding=1)

    def tanh(self, scope: str, x: Tensor, index: int) -> Tensor:
        """Batch norm where the run has it, and tanh."""
        if isinstance(self.run.norm, BatchNorm):
            scale, shift = (self.values[f"{scope}norm_{index}.{key}"] for key in ("weight", "bias"))
            x = x - x.mean((0, 2, 3), keepdim=True)
            x = x / (x.square().mean((0, 2, 3), keepdim=True) + 1e-5).sqrt()
            x = x * scale[:, None, None] + shift[:, None, None]
        if isinstance(self.run.residual, Fixup):
            x = x + self.values[f"{scope}bias_act_{index}.bias"]
        return torch.tanh(x)

    def plain(self, x: Tensor, layers: list[int], scope: str = "") -> Tensor:
        for layer in layers:
            x = self.tanh(scope, self.conv(f"{scope}conv_{layer}", x, layer), layer)
        return x

    def branch(self, number: int, x: Tensor) -> Tensor:
        scope = f"block_{number}.branch."
        for layer in self.blocks[number - 1]:
            x = self.tanh(scope, x, layer)
            if isinstance(self.run.residual, Fixup):
                x = x + self.values[f"{scope}bias_{layer}.bias"]
            x = self.conv(f"{scope}conv_{layer}", x, layer)
        return x

    def around(self, number: int, x: Tensor) -> Tensor:
        """Option A, pixel by pixel: every other row and column, and twice the channels, the new ones 0."""
        if self.stride(self.blocks[number - 1][0]) == 1:
            return x
        examples, channels, height, width = x.shape
        more = channels if isinstance(self.run.residual, DenseShortcut) else 2 * channels
        small = x.new_zeros(examples, more, (height + 1) // 2, (width + 1) // 2)
        for row in range(small.shape[2]):
            for column in range(small.shape[3]):
                small[:, :channels, row, column] = x[:, :, 2 * row, 2 * column]
        return small

    def block(self, number: int, x: Tensor) -> Tensor:
        stream = self.around(number, x)
        match self.run.residual:
            case IdentityShortcut():
                return stream + self.branch(number, x)
            case ScaledShortcut():
                return stream + len(self.blocks) ** -0.5 * self.branch(number, x)
            case Rezero():
                return stream + self.values[f"block_{number}.alpha"] * self.branch(number, x)
            case Fixup():
                scale = self.values[f"block_{number}.branch.multiplier.scale"]
                return stream + scale * self.branch(number, x)
            case HighwayShortcut():
                layers = self.blocks[number - 1]
                gate = torch.sigmoid(self.conv(f"block_{number}.gate.gate_{layers[0]}", x, layers[0]))
                return gate * self.plain(x, layers, f"block_{number}.branch.") + (1 - gate) * stream
        return torch.cat([stream, self.branch(number, x)], 1)

    def hidden(self, x: Tensor) -> Tensor:
        kind = self.run.residual
        if not self.blocks:
            return self.plain(x, list(range(1, self.run.depth + 1)))
        x = self.plain(x, [1]) if isinstance(kind, HighwayShortcut) else self.conv("conv_1", x, 1)
        for number in range(1, len(self.blocks) + 1):
            x = self.block(number, x)
        if not isinstance(kind, HighwayShortcut):
            x = self.tanh("", x, self.run.depth + 1)
        return x + self.values["bias_output.bias"] if isinstance(kind, Fixup) else x

    def __call__(self, x: Tensor) -> Tensor:
        features = self.hidden(x).mean((2, 3)) if self.run.depth else x.flatten(1)
        return features @ self.values["output.weight"].T + self.values["output.bias"]


CASES = [
    *((NoResidual(every), depth) for every in (1, 2) for depth in (0, 1, 2, 3, 4, 7, 10)),
    *((kind(every=every), depth) for kind in KINDS for every in (1, 2, 3) for depth in (1, 2, 3, 4, 6, 8, 14)
      if kind is not Fixup or (every > 1 and depth > 2)),
]  # fmt: skip


@pytest.mark.parametrize("norm", [NoNorm(), BatchNorm()], ids=str)
@pytest.mark.parametrize("residual, depth", CASES, ids=str)
def test_a_network_is_its_formula(residual: Residual, depth: int, norm: Normalization) -> None:
    if isinstance(residual, Fixup) and not isinstance(norm, NoNorm):
        return
    run = run_with(residual, depth, norm=norm)
    model = network(run)
    expected = ByHand(run, model)(inputs())
    assert expected.std() > 0.01
    torch.testing.assert_close(model(inputs()), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("stages", [1, 2, 3, 4])
def test_any_number_of_stages_is_its_formula(stages: int) -> None:
    run = run_with(IdentityShortcut(), 10, model=CNN(stages))
    model = network(run)
    torch.testing.assert_close(model(inputs()), ByHand(run, model)(inputs()), rtol=1e-9, atol=1e-11)


def maps(run: Run) -> list[tuple[int, int]]:
    """(channels, side) of what every convolution gives, in order."""
    model = build(run)
    found: list[tuple[int, int]] = []
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda module, given, output: found.append(output.shape[1:3]))
    model(inputs())
    return [tuple(shape) for shape in found]


@pytest.mark.parametrize("residual", [NoResidual(), IdentityShortcut()], ids=str)
@pytest.mark.parametrize("depth, sizes", [
    (1, (1, 0, 0)), (2, (2, 0, 0)), (3, (3, 0, 0)), (4, (4, 0, 0)),  # one block, in the first stage
    (5, (3, 2, 0)),  # two
    (7, (3, 2, 2)), (8, (3, 2, 3)),  # a remainder of layers
    (9, (3, 2, 4)), (11, (3, 2, 6)), (13, (5, 4, 4)),  # a remainder of blocks
])  # fmt: skip
def test_stages_share_the_blocks_and_the_last_one_takes_the_remainder(
    depth: int, sizes: tuple[int, int, int], residual: Residual
) -> None:
    expected = [*[(4, 8)] * sizes[0], *[(8, 4)] * sizes[1], *[(16, 2)] * sizes[2]]
    assert maps(run_with(residual, depth)) == expected


def test_dense_blocks_add_width_channels_each_and_read_all_before() -> None:
    shapes = [tuple(m.weight.shape[:2]) for m in weight_matrices(build(run_with(DenseShortcut(), 7)))]
    assert shapes == [(4, 1), (4, 4), (4, 4), (4, 8), (4, 4), (4, 12), (4, 4), (10, 16)]
    assert maps(run_with(DenseShortcut(1), 4)) == [(4, 8), (4, 8), (4, 4), (4, 2)]


@pytest.mark.parametrize("side", [1, 2, 7, 8])
@pytest.mark.parametrize("stride, new", [(2, 3), (2, 0), (1, 2)])
def test_a_resized_stream_keeps_every_other_pixel_and_gets_channels_of_zeros(
    side: int, stride: int, new: int
) -> None:
    x = torch.arange(2.0 * 3 * side * side).reshape(2, 3, side, side) + 1
    small = Resize(stride, new)(x)
    count = -(-side // stride)
    assert small.shape == (2, 3 + new, count, count)
    assert not small[:, 3:].any()
    for row in range(count):
        for column in range(count):
            assert torch.equal(small[:, :3, row, column], x[:, :, stride * row, stride * column])


@pytest.mark.parametrize("residual", [NoResidual(), *(kind() for kind in KINDS)], ids=str)
def test_gradients_are_finite_differences(residual: Residual) -> None:
    model, x = network(run_with(residual, 7)), inputs(2)
    targets = torch.tensor([3, 7])
    nn.functional.cross_entropy(model(x), targets).backward()
    for index, parameter in enumerate(model.parameters()):
        assert parameter.grad is not None
        direction = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(index)).double()
        direction /= direction.norm()
        losses = []
        with torch.no_grad():
            for step in (1e-5, -2e-5, 1e-5):  # there, to the other side, and back
                parameter += step * direction
                losses.append(float(nn.functional.cross_entropy(model(x), targets)))
        expected = (losses[0] - losses[1]) / 2e-5
        assert float((parameter.grad * direction).sum()) == pytest.approx(expected, rel=1e-5, abs=1e-9)


class Forks:
    """An observer that keeps what forks show; it goes on listening while segments are recomputed."""

    def __init__(self, model: nn.Module) -> None:
        self.shown: list[tuple[Tensor, Tensor]] = []
        for module in model.modules():
            if isinstance(module, Fork):
                module.observer = self

    def fork(self, block: nn.Module, direct: Tensor, into: Tensor) -> None:
        self.shown.append((direct, into))

    def module(self, module: nn.Module, inputs: Tensor, output: Tensor) -> None: ...

    def unrolled(self, layer: Unrolled) -> None: ...


def outputs_of_blocks(model: nn.Module) -> list[Tensor]:
    """Filled by the next forward pass: the stream before the first block and after every block."""
    stream: list[Tensor] = []
    blocks = [module for name, module in model.named_children() if name.startswith("block_")]
    blocks[0].register_forward_pre_hook(lambda module, given: stream.append(given[0]))
    for block in blocks:
        block.register_forward_hook(lambda module, given, output: stream.append(output))
    return stream


@pytest.mark.parametrize("residual", [kind() for kind in KINDS], ids=str)
def test_the_two_terms_of_a_fork_add_up_to_the_gradient_of_the_stream(residual: Residual) -> None:
    model = network(run_with(residual, 9))
    forks, stream = Forks(model), outputs_of_blocks(model)
    loss = model(inputs()).square().sum()
    terms = [t for pair in forks.shown for t in pair]
    totals = torch.autograd.grad(loss, stream, retain_graph=True)
    parts = torch.autograd.grad(loss, terms)
    assert len(forks.shown) == 4
    for x, whole, direct, into in zip(stream, totals, parts[::2], parts[1::2], strict=False):
        assert direct.shape == into.shape == x.shape
        assert direct.any()
        assert into.any()
        torch.testing.assert_close(direct + into, whole)


def test_the_direct_term_is_the_gradient_above_at_the_kept_pixels() -> None:
    model = network(run_with(IdentityShortcut(), 9))
    forks, stream = Forks(model), outputs_of_blocks(model)
    loss = model(inputs()).square().sum()
    above = torch.autograd.grad(loss, stream[1:], retain_graph=True)
    direct = torch.autograd.grad(loss, [direct for direct, _ in forks.shown])
    for channels, arrived, passed in zip((4, 4, 8, 16), above, direct, strict=True):
        scattered = torch.zeros_like(passed)
        stride = passed.shape[-1] // arrived.shape[-1]
        scattered[:, :, ::stride, ::stride] = arrived[:, :channels]
        assert torch.equal(passed, scattered)


@pytest.mark.parametrize("residual", [NoResidual(), *(kind() for kind in KINDS)], ids=str)
@pytest.mark.parametrize("recompute_every", [1, 2, 3, 10])
def test_recomputing_changes_neither_outputs_nor_gradients(residual: Residual, recompute_every: int) -> None:
    run = run_with(residual, 8, norm=BatchNorm(), reg=Dropout(0.3))
    models = [network(run), network(replace(run, recompute_every=recompute_every))]
    for _ in range(2):  # noise and running statistics go on alike
        for model in models:
            model.zero_grad()
            model(inputs(8)).square().sum().backward()
    for one, other in zip(*(model.parameters() for model in models), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert torch.equal(one.grad, other.grad)
    assert all(torch.equal(a, b) for a, b in zip(*(model.buffers() for model in models), strict=True))


def test_terms_are_the_same_under_an_observer_that_hears_the_recomputation_too() -> None:
    found = []
    for recompute_every in (0, 3):
        model = network(
            replace(run_with(IdentityShortcut(), 9, norm=BatchNorm()), recompute_every=recompute_every)
        )
        forks = Forks(model)
        loss = model(inputs()).square().sum()
        shown = [t for pair in forks.shown for t in pair]
        found.append(torch.autograd.grad(loss, [*shown, *model.parameters()]))
    assert len(found[0]) > 8
    assert all(map(torch.equal, *found))


NORMS: list[Normalization] = [
    NoNorm(), BatchNorm(), BatchNorm("post"), LayerNorm(), RMSNorm(), GroupNorm(2), InstanceNorm(),
    WeightNorm(),
]  # fmt: skip
PAIRS = [(kind(), norm) for kind in (NoResidual, *KINDS) for norm in NORMS]


@pytest.mark.parametrize("residual, norm", [p for p in PAIRS if p != (Fixup(), WeightNorm())], ids=str)
def test_every_norm_goes_with_every_shortcut(residual: Residual, norm: Normalization) -> None:
    model = build(run_with(residual, 7, norm=norm))
    outputs = model(inputs())
    outputs.square().sum().backward()
    assert outputs.isfinite().all()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("norm", NORMS, ids=str)
def test_convolutions_have_biases_where_nothing_else_shifts_their_channels(norm: Normalization) -> None:
    shifted = norm.name in ("batch", "layer", "group", "instance")
    for residual in (NoResidual(), IdentityShortcut(), HighwayShortcut()):
        model = build(run_with(residual, 5, norm=norm))
        convs = {path: module for path, module in model.named_modules() if isinstance(module, nn.Conv2d)}
        assert all((convs[path].bias is None) == (shifted and "gate_" not in path) for path in convs)


@pytest.mark.parametrize("residual", [kind() for kind in (NoResidual, *KINDS)], ids=str)
@pytest.mark.parametrize("depth", [0, 1, 3, 6])
def test_layers_are_numbered_from_the_input_and_the_output_comes_last(residual: Residual, depth: int) -> None:
    run = run_with(residual, depth)
    matrices = weight_matrices(build(run))
    others = [matrix for matrix in matrices if "gate" not in matrix.name]
    assert [matrix.layer for matrix in others] == list(range(1, depth + 2))
    assert [m.name.split(".")[-1] for m in others] == [*(f"conv_{i}" for i in range(1, depth + 1)), "output"]
    gates = [matrix.layer for matrix in matrices if "gate" in matrix.name]
    assert gates == ([block[0] for block in run.blocks] if residual.name == "highway" else [])


def starts(run: Run) -> dict[str, Tensor]:
    return {m.name.split(".")[-1]: m.weight.detach() for m in weight_matrices(build(run))}


@pytest.mark.parametrize("twin", [
    {"residual": IdentityShortcut()}, {"residual": Rezero()}, {"residual": HighwayShortcut()},
    {"norm": BatchNorm()},
    {"norm": WeightNorm()}, {"init": Orthogonal(), "residual": ScaledShortcut()},
], ids=str)  # fmt: skip
def test_a_treated_twin_starts_with_the_same_convolutions(twin: dict[str, object]) -> None:
    plain = run_with(NoResidual(), 7, **{"init": twin["init"]} if "init" in twin else {})
    one, other = starts(plain), starts(replace(plain, **twin))  # type: ignore[arg-type]
    assert one.keys() <= other.keys()
    for name, weight in one.items():
        torch.testing.assert_close(weight, other[name], rtol=1e-14, atol=0)  # equal but for g v / ||v||


def test_a_linear_model_is_that_of_the_perceptron() -> None:
    cnn, mlp = build(run_with(NoResidual(), 0)), build(Run(depth=0, dtype="float64"))
    assert torch.equal(cnn(inputs()), mlp(inputs()))


def test_fixup_starts_by_its_rules() -> None:
    run = run_with(Fixup(), 8)
    fixup, plain = starts(run), starts(run_with(NoResidual(), 8))
    for block in run.blocks:
        assert not fixup[f"conv_{block[-1]}"].any()
        factor = len(run.blocks) ** (-1 / (2 * len(block) - 2))
        for layer in block[:-1]:
            torch.testing.assert_close(fixup[f"conv_{layer}"], plain[f"conv_{layer}"] * factor)
    assert torch.equal(fixup["conv_1"], plain["conv_1"])
    assert not fixup["output"].any()


def test_a_normalized_kernel_is_g_v_over_the_length_of_v() -> None:
    matrix = weight_matrices(network(run_with(NoResidual(), 2, norm=WeightNorm())))[1]
    assert matrix.parametrization is not None
    g, v = matrix.parametrization.original0, matrix.parametrization.original1
    rows = [g[i] * v[i] / v[i].square().sum().sqrt() for i in range(WIDTH)]
    torch.testing.assert_close(matrix.weight, torch.stack(rows))


@pytest.mark.parametrize(
    "residual", [NoResidual(), IdentityShortcut(), HighwayShortcut(), DenseShortcut()], ids=str
)
@pytest.mark.parametrize("norm", [NoNorm(), BatchNorm(), WeightNorm()], ids=str)
def test_lsuv_gives_every_convolution_unit_output_variance(residual: Residual, norm: Normalization) -> None:
    data = Digits(train_size=100)
    model = build(run_with(residual, 7, norm=norm, data=data, width=8, init=LSUV(0.02, 10, 100)))
    found = []
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(lambda module, given, z: found.append(float(z.detach().var())))
    model(load(data).train_x.double())
    assert len(found) == (11 if residual.name == "highway" else 8)  # three gates beside
    assert all(abs(variance - 1) < 0.02 for variance in found), found


def test_dropout_sets_elements_of_maps_to_zero_with_noise_of_their_own() -> None:
    model = build(run_with(NoResidual(), 2, reg=Dropout(0.5)))
    dropped = [model.get_submodule(f"dropout_{layer}")(torch.ones(8, 4, 8, 8)) for layer in (1, 2)]
    assert all(set(x.unique().tolist()) == {0.0, 2.0} for x in dropped)
    assert not torch.equal(*dropped)
    assert all(x.mean((2, 3)).min() > 0 for x in dropped)  # no channel as a whole


def test_unnormalised_maps_of_a_plain_network_and_its_twin_have_the_same_sizes() -> None:
    for depth in range(1, 15):
        plain, residual = (maps(run_with(kind, depth)) for kind in (NoResidual(), IdentityShortcut()))
        assert plain == residual
        assert all(after[1] in (before[1], before[1] // 2) for before, after in pairwise(plain))
