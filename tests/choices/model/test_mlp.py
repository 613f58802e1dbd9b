"""Perceptrons with and without shortcuts against their formulas, written out with plain tensor operations."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from vanishgrad import Run, build
from vanishgrad.choices.activation import PReLU, Tanh
from vanishgrad.choices.normalization import BatchNorm, GroupNorm, LayerNorm, NoNorm, RMSNorm, WeightNorm
from vanishgrad.choices.protocol import Normalization, Residual
from vanishgrad.choices.regularization import Dropout
from vanishgrad.choices.residual import (
    DenseShortcut,
    Fixup,
    HighwayShortcut,
    IdentityShortcut,
    NoResidual,
    Rezero,
    ScaledShortcut,
)
from vanishgrad.modules.weights import weight_matrices

WIDTH = 6
Values = dict[str, Tensor]


def network(run: Run, shuffle: bool = True) -> nn.Module:
    """The network of `run`; all its parameters random, so that nothing is hidden by a zero at the start."""
    model = build(run)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters() if shuffle else ():
            parameter.normal_(0, 0.5, generator=generator)
    return model


def inputs(examples: int = 4) -> Tensor:
    return torch.randn(examples, 1, 8, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def run_with(residual: Residual, depth: int, **choices: object) -> Run:
    return Run(depth=depth, width=WIDTH, act=Tanh(), dtype="float64", residual=residual, **choices)  # type: ignore[arg-type]


def blocks_of(depth: int, every: int) -> list[list[int]]:
    """Layer 1 is the stem; full blocks of `every`, what is left joins the last one."""
    layers = list(range(2, depth + 1))
    blocks = []
    while len(layers) >= 2 * every:
        blocks.append(layers[:every])
        layers = layers[every:]
    return [*blocks, layers] if layers else blocks


class ByHand:
    """The forward pass of a tanh network with shortcuts, from its parameters by name."""

    def __init__(self, run: Run, model: nn.Module) -> None:
        self.run, self.values = run, dict(model.named_parameters())
        self.blocks = blocks_of(run.depth, run.residual.every)

    def linear(self, path: str, x: Tensor) -> Tensor:
        bias = self.values.get(f"{path}.bias")
        z = x @ self.values[f"{path}.weight"].T
        return z if bias is None else z + bias

    def plain(self, x: Tensor) -> Tensor:
        for layer in range(1, self.run.depth + 1):
            x = torch.tanh(self.linear(f"linear_{layer}", x))
        return self.linear("output", x)

    def branch(self, number: int, x: Tensor) -> Tensor:
        """Pre-activation form: tanh, linear, tanh, linear, ..."""
        for layer in self.blocks[number - 1]:
            x = self.linear(f"block_{number}.branch.linear_{layer}", torch.tanh(x))
        return x

    def fixup_branch(self, number: int, x: Tensor) -> Tensor:
        start = f"block_{number}.branch"
        for layer in self.blocks[number - 1]:
            x = torch.tanh(x + self.values[f"{start}.bias_act_{layer}.bias"])
            x = (x + self.values[f"{start}.bias_{layer}.bias"]) @ self.values[
                f"{start}.linear_{layer}.weight"
            ].T
        return x * self.values[f"{start}.multiplier.scale"]

    def highway(self, number: int, x: Tensor) -> Tensor:
        first = self.blocks[number - 1][0]
        gate = torch.sigmoid(self.linear(f"block_{number}.gate.gate_{first}", x))
        h = x
        for layer in self.blocks[number - 1]:
            h = torch.tanh(self.linear(f"block_{number}.branch.linear_{layer}", h))
        return gate * h + (1 - gate) * x

    def block(self, number: int, x: Tensor) -> Tensor:
        match self.run.residual:
            case IdentityShortcut():
                return x + self.branch(number, x)
            case ScaledShortcut(scale=scale):
                return x + (len(self.blocks) ** -0.5 if scale is None else scale) * self.branch(number, x)
            case Rezero():
                return x + self.values[f"block_{number}.alpha"] * self.branch(number, x)
            case Fixup():
                return x + self.fixup_branch(number, x)
            case HighwayShortcut():
                return self.highway(number, x)
        return torch.cat([x, self.branch(number, x)], 1)

    def __call__(self, x: Tensor) -> Tensor:
        if not self.blocks:
            return self.plain(x.flatten(1))
        x = self.linear("linear_1", x.flatten(1))
        if isinstance(self.run.residual, HighwayShortcut):
            x = torch.tanh(x)
        for number in range(1, len(self.blocks) + 1):
            x = self.block(number, x)
        if isinstance(self.run.residual, Fixup):
            x = x + self.values[f"bias_act_{self.run.depth + 1}.bias"]
        if not isinstance(self.run.residual, HighwayShortcut):
            x = torch.tanh(x)
        if isinstance(self.run.residual, Fixup):
            x = x + self.values["bias_output.bias"]
        return self.linear("output", x)


KINDS = [IdentityShortcut, ScaledShortcut, Rezero, Fixup, HighwayShortcut, DenseShortcut]
CASES = [
    *((kind(every=every), depth) for kind in KINDS for every in (1, 2, 3) for depth in (0, 1, 2, 3, 4, 6, 7)
      if kind is not Fixup or (every > 1 and depth != 2)),
    *((ScaledShortcut(scale=scale), 5) for scale in (0.3, -2.0)),
]  # fmt: skip


@pytest.mark.parametrize("residual, depth", CASES, ids=str)
def test_a_network_with_shortcuts_is_its_formula(residual: Residual, depth: int) -> None:
    run = run_with(residual, depth)
    model = network(run)
    if depth > 1:
        torch.testing.assert_close(model(inputs()), ByHand(run, model)(inputs()), rtol=1e-11, atol=1e-12)
    else:  # nothing follows the stem: a plain network
        assert list(dict(model.named_parameters())) == list(
            dict(build(run_with(NoResidual(), depth)).named_parameters())
        )
        torch.testing.assert_close(
            model(inputs()), ByHand(run_with(NoResidual(), depth), model).plain(inputs().flatten(1))
        )


@pytest.mark.parametrize("depth", [0, 1, 2, 5])
def test_a_plain_network_is_its_formula(depth: int) -> None:
    run = run_with(NoResidual(), depth)
    model = network(run)
    torch.testing.assert_close(model(inputs()), ByHand(run, model).plain(inputs().flatten(1)))


@pytest.mark.parametrize("every", [1, 2, 3])
@pytest.mark.parametrize("depth", range(9))
def test_blocks_take_every_layers_and_the_last_one_the_remainder(depth: int, every: int) -> None:
    run = run_with(IdentityShortcut(every), depth)
    assert [list(block) for block in run.blocks] == blocks_of(depth, every)


@pytest.mark.parametrize("every, blocks", [(1, 6), (2, 3), (3, 2), (4, 1), (9, 1)])
def test_dense_blocks_read_everything_before_them(every: int, blocks: int) -> None:
    run = run_with(DenseShortcut(every), 7)
    shapes = {matrix.layer: tuple(matrix.weight.shape) for matrix in weight_matrices(build(run))}
    read = {block[0]: WIDTH * number for number, block in enumerate(run.blocks, 1)}
    assert len(run.blocks) == blocks
    assert shapes == {1: (WIDTH, 64), 8: (10, WIDTH * (1 + blocks))} | {
        layer: (WIDTH, read.get(layer, WIDTH)) for layer in range(2, 8)
    }


@pytest.mark.parametrize("residual", [kind() for kind in (NoResidual, *KINDS)], ids=str)
@pytest.mark.parametrize("depth", [0, 1, 3, 6])
def test_layers_are_numbered_from_the_input_and_the_output_comes_last(residual: Residual, depth: int) -> None:
    matrices = weight_matrices(build(run_with(residual, depth)))
    gates = [matrix.layer for matrix in matrices if "gate" in matrix.name]
    others = [matrix.layer for matrix in matrices if "gate" not in matrix.name]
    assert others == list(range(1, depth + 2))
    assert gates == (
        [block[0] for block in run_with(residual, depth).blocks] if residual.name == "highway" else []
    )
    assert matrices[-1].name == "output"


def order(model: nn.Module, layer: int) -> list[str]:
    """The names of the leaf modules that belong to hidden layer `layer`, in order."""
    leaves = [path.split(".")[-1] for path, module in model.named_modules() if not list(module.children())]
    return [name for name in leaves if name.endswith(f"_{layer}")]


@pytest.mark.parametrize("norm", [BatchNorm, LayerNorm, RMSNorm, GroupNorm])
def test_normalization_stands_before_or_after_the_activation(norm: type) -> None:
    def leaves(position: str, residual: Residual) -> list[str]:
        choice = norm(2, position) if norm is GroupNorm else norm(position)
        return order(build(run_with(residual, 3, norm=choice)), 2)

    assert leaves("pre", NoResidual()) == ["linear_2", "norm_2", "act_2"]
    assert leaves("post", NoResidual()) == ["linear_2", "act_2", "norm_2"]
    assert leaves("pre", IdentityShortcut()) == ["norm_2", "act_2", "linear_2"]
    assert leaves("post", IdentityShortcut()) == ["act_2", "norm_2", "linear_2"]


@pytest.mark.parametrize("residual", [NoResidual(), *(kind() for kind in KINDS)], ids=str)
def test_every_hidden_layer_has_its_own_activation_normalization_and_dropout(residual: Residual) -> None:
    model = build(replace(run_with(residual, 5), act=PReLU(), norm=LayerNorm(), reg=Dropout(0.1)))
    for name in ("act", "norm", "dropout"):
        found = [path for path, _ in model.named_modules() if path.split(".")[-1].startswith(f"{name}_")]
        assert len(found) == 5


def test_dropout_comes_after_activation_and_normalization_and_not_before_the_first_layer() -> None:
    run = run_with(NoResidual(), 2, norm=BatchNorm("post"), reg=Dropout(0.2))
    assert order(build(run), 1) == ["linear_1", "act_1", "norm_1", "dropout_1"]


NORMS: list[Normalization] = [NoNorm(), BatchNorm(), LayerNorm(), RMSNorm(), GroupNorm(3), WeightNorm()]
PAIRS = [(kind(), norm) for kind in (NoResidual, *KINDS) for norm in NORMS]


@pytest.mark.parametrize("residual, norm", [p for p in PAIRS if p != (Fixup(), WeightNorm())], ids=str)
def test_every_norm_goes_with_every_shortcut(residual: Residual, norm: Normalization) -> None:
    model = build(run_with(residual, 5, norm=norm))
    outputs = model(inputs())
    outputs.square().sum().backward()
    assert outputs.isfinite().all()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_weight_normalization_starts_at_the_weights_of_the_initialization() -> None:
    plain, normalized = (build(run_with(NoResidual(), 3, norm=norm)) for norm in (NoNorm(), WeightNorm()))
    for one, other in zip(weight_matrices(plain), weight_matrices(normalized), strict=True):
        torch.testing.assert_close(other.weight, one.weight, rtol=1e-14, atol=0)
        assert (other.parametrization is not None) == (other.name != "output")
        if other.parametrization is not None:
            lengths = other.parametrization.original0
            torch.testing.assert_close(lengths, one.weight.norm(dim=1, keepdim=True))
            assert torch.equal(other.parametrization.original1, one.weight)


def test_a_normalized_weight_is_g_v_over_the_length_of_v() -> None:
    model = network(run_with(NoResidual(), 2, norm=WeightNorm()))
    owner = weight_matrices(model)[0].parametrization
    assert owner is not None
    g, v = owner.original0, owner.original1
    rows = [g[i] * v[i] / v[i].square().sum().sqrt() for i in range(WIDTH)]
    torch.testing.assert_close(weight_matrices(model)[0].weight, torch.stack(rows))


@pytest.mark.parametrize("residual", [NoResidual(), Rezero(), DenseShortcut()], ids=str)
@pytest.mark.parametrize("recompute_every", [1, 2, 10])
def test_recomputing_changes_neither_outputs_nor_gradients(residual: Residual, recompute_every: int) -> None:
    run = run_with(residual, 6, norm=BatchNorm(), reg=Dropout(0.3))
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


def test_a_network_is_built_in_the_dtype_of_the_run_and_in_training_mode() -> None:
    for dtype in ("float32", "float64"):
        model = build(replace(run_with(NoResidual(), 2, norm=BatchNorm()), dtype=dtype))
        assert {str(p.dtype) for p in model.parameters()} == {f"torch.{dtype}"}
        assert all(module.training for module in model.modules())
        assert {p.device.type for p in model.parameters()} == {"cpu"}
