"""The figures of a prediction: known values, what is not covered, and that nothing raises."""

from __future__ import annotations

import itertools
import json
import math
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from vanishgrad import Prediction, Run, predict
from vanishgrad.choices.activation import (
    ELU,
    GELU,
    SELU,
    Erf,
    Identity,
    LeakyReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
)
from vanishgrad.choices.data import MNIST, Adding, CopyMemory, Digits, Spirals, Text, load
from vanishgrad.choices.data.dataset import Dataset
from vanishgrad.choices.initialization import (
    Critical,
    Default,
    Gaussian,
    He,
    LeCun,
    Normal,
    Orthogonal,
    Zeros,
)
from vanishgrad.choices.model.build import build
from vanishgrad.choices.model.feedforward import CNN
from vanishgrad.choices.model.feedforward_theory import _rescaled
from vanishgrad.choices.model.recurrent import GRU, LSTM, RNN
from vanishgrad.choices.normalization import BatchNorm, GroupNorm, LayerNorm, RMSNorm
from vanishgrad.choices.pretraining import Autoencoder
from vanishgrad.choices.protocol import Activation, Initialization
from vanishgrad.choices.regularization import L2
from vanishgrad.choices.residual import Fixup, HighwayShortcut, IdentityShortcut, Rezero, ScaledShortcut
from vanishgrad.description import choices_in
from vanishgrad.errors import SettingError
from vanishgrad.prediction import Chi, chi_around, inputs_of
from vanishgrad.records import strict

BASE = Run(depth=6)


def test_relu_with_he_weights_is_critical_at_any_length() -> None:
    found = predict(replace(BASE, depth=50, init=He()))
    assert (found.phase, found.xi_grad) == ("critical", math.inf)
    assert found.chi_1 == pytest.approx(1, rel=1e-15)
    assert found.profile == pytest.approx([0.0] * 50)
    assert found.q_star == pytest.approx(2.0, rel=1e-6)  # twice the length of standardized inputs
    assert found.c_star == 1.0


def test_relu_with_pytorchs_own_weights_loses_a_factor_of_six_per_layer() -> None:
    found = predict(replace(BASE, depth=11))
    assert found.chi_1 == pytest.approx(1 / 6)
    assert found.log10_gradient_ratio == pytest.approx(10 * math.log10(1 / 6) / 2)
    assert found.phase == "ordered"
    assert found.xi_grad == pytest.approx(1 / math.log(6))


@pytest.mark.parametrize("act, init, phase", [
    (Tanh(), Gaussian(0.9, 0.1), "ordered"), (Tanh(), Orthogonal(), "critical"),
    (Tanh(), LeCun(), "critical"), (Tanh(), Gaussian(1.5, 0.0), "chaotic"), (SELU(), LeCun(), "chaotic"),
    (Sigmoid(), Gaussian(4.0, 0.0), "ordered"), (SELU(), Critical(), "critical"),
    (LeakyReLU(0.2), He(), "critical"), (Erf(), Critical(), "critical"),
], ids=str)  # fmt: skip
def test_phases(act: Any, init: Any, phase: str) -> None:
    assert predict(replace(BASE, act=act, init=init)).phase == phase


def test_gelu_on_its_critical_point_settles_beside_it_from_the_length_of_digits() -> None:
    """Its critical length 3.56 is half-stable (Roberts et al. 2022, section 5.3.4); digits start below."""
    found = predict(replace(BASE, act=GELU(), init=Critical()))
    assert found.lengths is not None
    assert found.q_star is not None
    assert found.chi_1 is not None
    assert found.lengths[0] < found.q_star < 3.56
    assert 0.99 < found.chi_1 < 0.999
    assert any("half-stable" in note for note in found.notes)
    longer = predict(
        replace(BASE, act=GELU(), init=Critical(), data=Spirals(scale="standard")), long_inputs()
    )
    assert longer.q_star == pytest.approx(3.56155, abs=1e-4)
    assert longer.phase == "critical"


def long_inputs() -> Dataset:
    x = 2 * torch.ones(10, 2)
    return Dataset(x, torch.zeros(10, dtype=torch.long), x, torch.zeros(10, dtype=torch.long))


def test_a_signal_starts_from_the_length_of_its_data() -> None:
    run = replace(BASE, act=Tanh(), init=Gaussian(2.0, 0.0))
    for scale in ("standard", "unit"):
        data = Digits(scale=scale)
        x = load(data).train_x.double()
        found = predict(replace(run, data=data))
        assert found.lengths is not None
        assert found.lengths[0] == pytest.approx(4 * float(x.square().mean()), rel=1e-6)


def test_pytorchs_own_biases_are_counted_with_the_fan_of_their_layer() -> None:
    """Uniform in +-1/sqrt(fan_in): 1 / (3 fan_in), with 2 inputs in the first layer and 64 in the second."""
    found = predict(replace(BASE, data=Spirals()))
    x = load(Spirals()).train_x.double()
    assert found.lengths is not None
    first = (float(x.square().mean()) + 1 / 2) / 3
    assert found.lengths[:2] == pytest.approx((first, (first / 2 + 1 / 64) / 3), rel=1e-3)


def test_long_inputs_lead_where_an_activation_magnifies_them() -> None:
    """Lengths of silu grow by themselves at sigma_w = 2: of two inputs the longer has the larger gradient."""
    run = replace(BASE, act=SiLU(), init=Gaussian(2.0, 0.0), data=Spirals())
    ratios = {}
    for name, lengths in {"short": (0.1, 0.1), "long": (3.0, 3.0), "both": (0.1, 3.0)}.items():
        x = torch.tensor(lengths).sqrt()[:, None].expand(2, 2).contiguous()
        labels = torch.zeros(2, dtype=torch.long)
        ratios[name] = predict(run, Dataset(x, labels, x, labels)).log10_gradient_ratio
    assert ratios["short"] < ratios["both"] < ratios["long"]
    mean = Dataset(torch.full((2, 2), 1.55**0.5), labels, x, labels)
    assert ratios["both"] != pytest.approx(predict(run, mean).log10_gradient_ratio, abs=1e-3)


def test_two_digits_share_what_the_mean_over_pairs_says() -> None:
    data = load(Digits(train_size=200))
    x = data.train_x.double().flatten(1)
    gram = x @ x.t() / x.shape[1]
    pairs = (gram.sum() - gram.trace()) / (len(x) * (len(x) - 1))
    assert inputs_of(Digits(train_size=200), data).shared == pytest.approx(float(pairs), rel=1e-6)


def test_given_data_are_not_loaded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    data = load(Digits())
    monkeypatch.setattr("vanishgrad.prediction.load", lambda choice: pytest.fail("loaded"))
    assert predict(replace(BASE, data=MNIST()), data).lengths is not None


def test_data_out_of_reach_leave_an_assumption_and_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(choice: object) -> None:
        raise SettingError("no network")

    monkeypatch.setattr("vanishgrad.prediction.load", refuse)
    found = predict(replace(BASE, data=MNIST(), init=He()))
    assert found.phase == "critical"
    assert "no network" in found.notes[0]


def test_seeds_and_rates_are_predicted_once() -> None:
    assert predict(replace(BASE, seed=1, lr=0.5, reg=L2(0.1))) is predict(replace(BASE, seed=2, lr=0.1))


def test_rezero_has_exact_zeros_and_the_stem_a_gradient() -> None:
    found = predict(replace(BASE, residual=Rezero()))
    assert found.profile == (0.0, *(None,) * 5)
    assert (found.log10_gradient_ratio, found.chi_1, found.phase) == (None, 1.0, "critical")
    assert "rezero" in found.notes[0]


def test_fixup_starts_with_no_gradient_at_all() -> None:
    found = predict(replace(BASE, residual=Fixup()))
    assert (found.profile, found.log10_gradient_ratio) == (None, None)
    assert "fixup" in found.notes[0]


@pytest.mark.parametrize("depth, profile", [(0, ()), (1, (0.0,))])
def test_the_shallowest_networks(depth: int, profile: tuple[float, ...]) -> None:
    assert predict(replace(BASE, depth=depth)).profile == profile


@pytest.mark.parametrize("run", [
    replace(BASE, init=Zeros()), replace(BASE, init=Gaussian(0.0, 0.5)),
    replace(BASE, act=Sigmoid(), pretrain=Autoencoder()),
    replace(BASE, norm=GroupNorm(32)), replace(BASE, norm=BatchNorm(), batch_size=3),
    replace(BASE, norm=BatchNorm(), residual=HighwayShortcut()), replace(BASE, model=CNN(), norm=BatchNorm()),
    Run(model=LSTM(), data=Adding()), Run(model=GRU(), data=Text()), Run(model=RNN(), depth=3, data=Adding()),
], ids=repr)  # fmt: skip
def test_what_is_not_covered_is_said(run: Run) -> None:
    found = predict(run)
    assert found.log10_gradient_ratio is None
    assert found.notes


def test_a_chain_of_large_weights_is_told_to_overflow() -> None:
    found = predict(replace(BASE, depth=60, init=Normal(1.0)))
    assert found.log10_gradient_ratio == pytest.approx(59 * math.log10(32) / 2)
    assert any("float32" in note for note in found.notes)


def test_shortcuts_without_normalization_double_per_block() -> None:
    """x + F(x) with critical branches: 2 per block, sqrt 2 per layer of two."""
    found = predict(replace(BASE, depth=1001, residual=IdentityShortcut(), init=He()))
    assert found.chi_1 == pytest.approx(math.sqrt(2))
    assert found.log10_gradient_ratio is not None
    assert found.log10_gradient_ratio == pytest.approx(499 * math.log10(2) / 2 + math.log10(2) / 2, abs=0.2)
    assert predict(replace(BASE, residual=ScaledShortcut(), init=He())).phase == "critical"
    assert predict(replace(BASE, residual=IdentityShortcut(), norm=LayerNorm())).phase == "critical"


def test_the_scatter_is_given_where_it_is_known() -> None:
    relu, tanh = (predict(replace(BASE, act=act, init=LeCun())) for act in (ReLU(), Tanh()))
    assert relu.scatter == pytest.approx(math.sqrt(5 * math.log1p(5 / 64)) / 2 / math.log(10))
    assert tanh.scatter is None


NAMES = (
    "q_star", "chi_1", "xi_c", "xi_grad", "phase", "log10_gradient_ratio", "profile", "note",
)  # fmt: skip


def test_the_plain_form_has_every_public_name_and_is_json() -> None:
    for run in (
        BASE,
        replace(BASE, init=He()),
        replace(BASE, init=Zeros()),
        Run(model=LSTM(), data=Adding()),
    ):
        text = json.dumps(strict(predict(run).plain()), allow_nan=False)
        assert set(NAMES) <= json.loads(text).keys()
    assert predict(replace(BASE, init=He())).plain()["note"] is None


def valid(**choices: Any) -> Run | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sigmoid's critical point
        try:
            return replace(BASE, **choices)
        except SettingError:
            return None


GROUPS = {g: [kind() for kind in choices_in(g).values()] for g in ("act", "init", "norm", "residual")}
SINGLE = [{group: choice} for group, choices in GROUPS.items() for choice in choices]
BESIDE = [
    {"norm": replace(norm, position=position), "residual": residual, "model": model}
    for norm, residual, position, model in itertools.product(
        GROUPS["norm"], GROUPS["residual"], ("pre", "post"), (BASE.model, CNN())
    )
]
PAIRS = [
    {a: one, b: two}
    for a, b in itertools.combinations(GROUPS, 2)
    for one, two in itertools.product(GROUPS[a], GROUPS[b])
]


def check(choices: list[dict[str, Any]]) -> None:
    for run in filter(None, (valid(**each) for each in choices)):
        found = predict(run)
        assert isinstance(found, Prediction)
        assert found.profile is not None or found.notes, run
        assert not any("float64" in note for note in found.notes), run


def test_no_valid_setting_raises() -> None:
    check(SINGLE + BESIDE)


@pytest.mark.slow
def test_no_pair_of_choices_raises() -> None:
    check(PAIRS)


@pytest.mark.parametrize("choices", [
    {"init": Normal(1e200)}, {"init": Gaussian(1.0, 1e200)}, {"act": LeakyReLU(1e200)}, {"act": ELU(1e300)},
    {"residual": ScaledShortcut(1e200)}, {"residual": HighwayShortcut(-1e10)},
], ids=str)  # fmt: skip
def test_numbers_without_sense_are_told(choices: dict[str, Any]) -> None:
    found = predict(replace(BASE, dtype="float64", **choices))
    assert any("float64" in note for note in found.notes)
    assert "nan" not in json.dumps(strict(found.plain()), allow_nan=False)


def test_predicting_changes_no_initial_weight() -> None:
    before = [p.clone() for p in build(BASE).parameters()]
    predict(BASE)
    assert all((a == b).all() for a, b in zip(before, build(BASE).parameters(), strict=True))


def test_softplus_and_default() -> None:
    found = predict(replace(BASE, act=Softplus(), init=Default()))
    assert found.phase == "ordered"


def test_states_of_a_linear_recurrent_network_have_the_length_of_a_geometric_series() -> None:
    """q = (sigma_w^2 |x|^2 + sigma_b^2) / (1 - sigma_w^2), and the gradient loses sigma_w^2 per step."""
    run = Run(depth=1, model=RNN(), act=Identity(), init=Gaussian(0.5, 0.3), data=Adding())
    found = predict(run)
    length = inputs_of(run.data).length
    assert length != pytest.approx(1, rel=0.01)
    assert found.q_star == pytest.approx((0.25 * length + 0.09) / 0.75, rel=1e-6)
    assert found.time_factor == pytest.approx(0.25)


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("act, init", [(Tanh(), Gaussian(1.3, 0.2)), (ReLU(), He())], ids=str)
def test_the_factor_of_a_highway_is_that_of_its_profile_far_from_both_ends(
    act: Activation, init: Initialization, every: int
) -> None:
    residual = HighwayShortcut(gate_bias=-1.0, every=every)
    found = predict(Run(depth=241, act=act, init=init, residual=residual))
    assert found.profile is not None
    above, below = found.profile[100 + every], found.profile[100]
    assert above is not None
    assert below is not None
    assert found.chi_1 == pytest.approx(10 ** (2 * (below - above) / every), rel=1e-5)


@pytest.mark.parametrize("norm", [LayerNorm(position="post"), RMSNorm(position="post")], ids=str)
@pytest.mark.parametrize("act", [ReLU(), Tanh(), Softplus()], ids=str)
def test_the_theory_iterates_an_activation_as_its_normalization_leaves_it(
    act: Activation, norm: LayerNorm
) -> None:
    """By Monte Carlo over the units of a wide layer at the fixed point."""
    q = 1.7
    z = math.sqrt(q) * torch.randn(100_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = act.module().double()(z)
    y = y - y.mean() if isinstance(norm, LayerNorm) else y
    found = _rescaled(replace(BASE, act=act, norm=norm), q)(z)
    assert torch.allclose(found, y / y.square().mean().sqrt(), atol=0.03)


@pytest.mark.parametrize("sigma_w, right", [(1.0, 2 * math.sqrt(2)), (0.3, 2 * math.sqrt(2)), (4.0, 6.4)])
def test_the_plane_shows_the_setting_and_twice_the_critical_scale(sigma_w: float, right: float) -> None:
    """relu is critical at sqrt(2) (He et al. 2015)."""
    run = Run(depth=5, act=ReLU(), init=Gaussian(sigma_w, 0.1))
    plane = chi_around(run, predict(run))
    assert not isinstance(plane, str)
    assert plane.sigma_w[-1] == pytest.approx(right, rel=1e-6)
    assert (plane.sigma_b[0], plane.sigma_b[-1]) == (0.0, 1.0)
    np.testing.assert_allclose(plane.chi_1, np.tile(plane.sigma_w**2 / 2, (len(plane.sigma_b), 1)), rtol=1e-6)
    rnn = replace(run, depth=1, model="rnn", data=Adding())
    assert isinstance(chi_around(rnn, predict(rnn)), Chi)


@pytest.mark.parametrize(
    "changes, why",
    [
        ({"model": LSTM(), "data": Adding()}, "there is no one sigma_w"),
        ({"model": CNN()}, "there is no one sigma_w"),
        ({"residual": IdentityShortcut()}, "of networks without shortcuts"),
        ({"norm": LayerNorm(position="post")}, "the weights' scale does not matter"),
        ({"init": Orthogonal()}, ""),
    ],
)
def test_where_there_is_no_plane_the_reason_is_said(changes: dict[str, Any], why: str) -> None:
    run = replace(Run(depth=5, init=Gaussian(1.5, 0.1)), **changes)
    plane = chi_around(run, predict(run))
    assert why in plane if isinstance(plane, str) else why == ""


def test_symbols_are_one_hot_vectors() -> None:
    """Of ten symbols one is 1 and nine are 0: the mean square is a tenth."""
    data = CopyMemory()
    found = inputs_of(data)
    assert (found.length, found.examples) == (pytest.approx(1 / data.symbols), len(load(data).train_x))
