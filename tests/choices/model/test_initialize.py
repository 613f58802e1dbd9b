"""Initial values inside networks: who shares them, and what fixup, rezero and highway prescribe."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from vanishgrad import Run, build
from vanishgrad.choices.activation import ELU, PReLU, ReLU, Sigmoid, Tanh
from vanishgrad.choices.initialization import Critical, Gaussian, He, Orthogonal, Xavier, Zeros
from vanishgrad.choices.normalization import BatchNorm, LayerNorm, WeightNorm
from vanishgrad.choices.optimizer import Adam
from vanishgrad.choices.protocol import Residual
from vanishgrad.choices.regularization import L2, Dropout
from vanishgrad.choices.residual import (
    DenseShortcut,
    Fixup,
    HighwayShortcut,
    IdentityShortcut,
    Rezero,
    ScaledShortcut,
)
from vanishgrad.modules.weights import weight_matrices

BASE = Run(depth=7, width=16, act=Tanh())


def starts(run: Run) -> dict[tuple[str, tuple[int, ...]], torch.Tensor]:
    """Every weight and bias of a linear module by the module's own name, whatever block it stands in."""
    found = {}
    for matrix in weight_matrices(build(run)):
        owner, name = matrix.parametrization, matrix.name.split(".")[-1]
        weight = matrix.weight if owner is None else owner.original1
        assert isinstance(weight, torch.Tensor)
        found[f"{name}.weight", tuple(weight.shape)] = weight.detach()
        if matrix.bias is not None:
            found[f"{name}.bias", tuple(matrix.bias.shape)] = matrix.bias.detach()
    return found


TWINS = [
    replace(BASE, act=ReLU()),
    replace(BASE, act=PReLU()),
    replace(BASE, norm=BatchNorm()),
    replace(BASE, norm=LayerNorm("post")),
    replace(BASE, norm=WeightNorm()),
    replace(BASE, residual=IdentityShortcut()),
    replace(BASE, residual=IdentityShortcut(3)),
    replace(BASE, residual=ScaledShortcut()),
    replace(BASE, residual=Rezero(1)),
    replace(BASE, residual=HighwayShortcut()),
    replace(BASE, reg=Dropout()),
    replace(BASE, reg=L2(), optim=Adam(), lr=0.5, batch_size=8),
]


@pytest.mark.parametrize(
    "twin", TWINS, ids=lambda run: f"{run.act.name} {run.norm} {run.residual} {run.reg.name}"
)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_treated_twin_starts_with_the_same_weights_and_biases(twin: Run, seed: int) -> None:
    plain, treated = starts(replace(BASE, seed=seed)), starts(replace(twin, seed=seed))
    assert plain.keys() <= treated.keys()
    assert all(torch.equal(value, treated[key]) for key, value in plain.items())


@pytest.mark.parametrize("init", [Xavier(), Orthogonal(), Gaussian(1.2, 0.1), Critical()], ids=str)
def test_other_initializations_are_shared_between_twins_too(init: Xavier) -> None:
    plain, treated = (starts(replace(BASE, init=init, residual=r)) for r in (BASE.residual, Rezero()))
    assert all(torch.equal(value, treated[key]) for key, value in plain.items())


def test_dense_twins_share_what_has_the_same_shape() -> None:
    plain, dense = starts(BASE), starts(replace(BASE, residual=DenseShortcut()))
    # the bias of a layer that reads more is drawn within another bound
    shared = {(name, shape) for name, shape in plain.keys() & dense.keys() if len(shape) == 2}
    assert {name for name, _ in shared} == {f"linear_{i}.weight" for i in (1, 2, 3, 5, 7)}
    assert all(torch.equal(plain[key], dense[key]) for key in shared)


@pytest.mark.parametrize("depth", [0, 1, 3, 20])
def test_networks_of_different_depth_share_their_first_layers_and_the_output(depth: int) -> None:
    deep, other = starts(BASE), starts(replace(BASE, depth=depth))
    shared = deep.keys() & other.keys() - (
        {("output.bias", (10,))} if depth == 0 else set()
    )  # reads the input
    assert len(shared) == (2 * min(depth, 7) + 2 if depth else 0)
    assert all(torch.equal(deep[key], other[key]) for key in shared)


def test_layers_and_seeds_differ() -> None:
    first, second = starts(BASE), starts(replace(BASE, seed=1))
    hidden = [first[f"linear_{i}.weight", (16, 16)] for i in range(2, 8)]
    assert len({tuple(weight.flatten().tolist()) for weight in hidden}) == 6
    assert all(not torch.equal(value, second[key]) for key, value in first.items())


def test_building_is_repeatable_and_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    run = replace(BASE, residual=HighwayShortcut(), norm=BatchNorm(), act=PReLU(), reg=Dropout())
    one, other = build(run), build(run)
    assert all(map(torch.equal, one.parameters(), other.parameters()))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "residual", [HighwayShortcut(), DenseShortcut(), Rezero(), Fixup(), ScaledShortcut()], ids=str
)
@pytest.mark.parametrize("act", [Tanh(), PReLU(0.3), ELU(), Sigmoid()], ids=str)
def test_no_parameter_is_left_without_a_value(
    residual: Residual, act: Tanh, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A parameter that nothing fills keeps what the memory held; here that is made to be NaN."""
    to_empty = nn.Module.to_empty

    def poisoned(module: nn.Module, device: str) -> nn.Module:
        model = to_empty(module, device=device)
        for value in (v for v in model.state_dict().values() if isinstance(v, torch.Tensor)):
            value.fill_(torch.nan if value.is_floating_point() else -1)
        return model

    monkeypatch.setattr(nn.Module, "to_empty", poisoned)
    model = build(replace(BASE, residual=residual, act=act, norm=BatchNorm()))
    assert all(value.isfinite().all() for value in [*model.parameters(), *model.buffers()])
    assert all(counter.item() == 0 for name, counter in model.named_buffers() if "num_batches" in name)


def test_he_counts_the_negative_slope_inside_networks() -> None:
    wide = Run(depth=2, width=300, init=He(), act=PReLU(0.5))
    weight = build(wide).get_parameter("linear_2.weight")
    assert float(weight.detach().var()) == pytest.approx(2 / (1.25 * 300), rel=0.03)


def test_zeros_fills_every_weight_and_bias() -> None:
    assert not any(value.any() for value in starts(replace(BASE, init=Zeros())).values())


def test_rezero_starts_as_the_identity() -> None:
    model = build(replace(BASE, residual=Rezero()))
    alphas = [value for name, value in model.named_parameters() if name.endswith("alpha")]
    assert [(value.item(), value.shape) for value in alphas] == [(0, ())] * 3
    x = torch.randn(4, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model.get_submodule("block_2")(x), x)


@pytest.mark.parametrize("gate_bias", [-2.0, -0.5])
@pytest.mark.parametrize("init", [Xavier(), Gaussian(1.0, 0.3)], ids=str)
def test_highway_gates_start_biased_towards_carrying(gate_bias: float, init: Xavier) -> None:
    model = build(replace(BASE, residual=HighwayShortcut(gate_bias), init=init))
    gates = [value for name, value in model.named_parameters() if "gate_" in name and name.endswith("bias")]
    assert len(gates) == 3
    assert all((gate == gate_bias).all() for gate in gates)


@pytest.mark.parametrize("depth, every", [(7, 2), (8, 2), (7, 3), (9, 3), (3, 2), (3, 3)])
def test_fixup_starts_by_its_rules(depth: int, every: int) -> None:
    run = replace(BASE, depth=depth, residual=Fixup(every))
    fixup, plain = starts(run), starts(replace(BASE, depth=depth))
    for block in run.blocks:
        assert not fixup[f"linear_{block[-1]}.weight", (16, 16)].any()
        factor = len(run.blocks) ** (-1 / (2 * len(block) - 2))
        for layer in block[:-1]:
            key = f"linear_{layer}.weight", (16, 16)
            torch.testing.assert_close(fixup[key], plain[key] * factor, rtol=1e-6, atol=0)
    assert torch.equal(fixup["linear_1.weight", (16, 64)], plain["linear_1.weight", (16, 64)])
    assert not fixup["output.weight", (10, 16)].any()
    assert not fixup["output.bias", (10,)].any()


def test_fixup_has_a_scalar_bias_before_each_linear_layer_and_activation_and_a_multiplier() -> None:
    model = build(replace(BASE, depth=5, residual=Fixup()))
    names = [name for name, _ in model.get_submodule("block_2.branch").named_children()]
    assert names == [
        "bias_act_4", "act_4", "bias_4", "linear_4",
        "bias_act_5", "act_5", "bias_5", "linear_5", "multiplier",
    ]  # fmt: skip
    assert [name for name, _ in model.named_children()][-4:] == [
        "bias_act_6",
        "act_6",
        "bias_output",
        "output",
    ]
    for name, parameter in model.named_parameters():
        if "bias_" in name:
            assert parameter.shape == ()
            assert parameter.item() == 0
        if "multiplier" in name:
            assert parameter.shape == ()
            assert parameter.item() == 1
    branches = [module for path, module in model.named_modules() if ".branch.linear_" in path]
    assert all(isinstance(module, nn.Linear) and module.bias is None for module in branches)


def test_fixup_without_a_block_is_a_plain_network() -> None:
    plain, fixup = (build(replace(BASE, depth=1, residual=r)) for r in (BASE.residual, Fixup()))
    assert all(map(torch.equal, plain.parameters(), fixup.parameters()))
    assert all(parameter.any() for parameter in fixup.parameters())
