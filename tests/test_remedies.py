"""Remedies: each changes the fields that it names, and nothing else."""

import importlib
import inspect
import pickle
import warnings
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
import torch

from vanishgrad import Run, build, remedies
from vanishgrad.choices.activation import ELU, SELU, LeakyReLU, PReLU, ReLU, Sigmoid, Softsign, Tanh
from vanishgrad.choices.clipping import ClipByNorm
from vanishgrad.choices.initialization import Critical, Gaussian, He, Xavier
from vanishgrad.choices.model.recurrent import GRU, LSTM, RNN
from vanishgrad.choices.normalization import BatchNorm, LayerNorm
from vanishgrad.choices.optimizer import SGD, Adagrad, Adam, RMSprop
from vanishgrad.choices.pretraining import Autoencoder
from vanishgrad.choices.regularization import L1, L2
from vanishgrad.choices.residual import IdentityShortcut, Rezero
from vanishgrad.description import answers, describe, fitting_remedies, remedied
from vanishgrad.errors import SettingError
from vanishgrad.remedies import Remedy, lookup

# nothing here is a default, so that a remedy cannot reset a field unseen
SICK = Run(
    depth=7, width=16, epochs=3, batch_size=32, lr=0.3, seed=4, name="sick",
    act=Sigmoid(), init=Gaussian(0.8, 0.1), optim=SGD(0.5),
)  # fmt: skip

CASES: list[tuple[Remedy, dict[str, Any]]] = [
    (remedies.Untreated(), {}),
    (remedies.UseReLU(), {"act": ReLU()}),
    (remedies.UseLeakyReLU(0.2), {"act": LeakyReLU(0.2)}),
    (remedies.UsePReLU(0.3), {"act": PReLU(0.3)}),
    (remedies.UseELU(0.5), {"act": ELU(0.5)}),
    (remedies.UseSELU(), {"act": SELU()}),
    (remedies.UseTanh(), {"act": Tanh()}),
    (remedies.UseXavier("uniform"), {"init": Xavier("uniform")}),
    (remedies.UseHe("uniform"), {"init": He("uniform")}),
    (remedies.UseCritical(), {"init": Critical()}),
    (remedies.UseBatchNorm("post"), {"norm": BatchNorm("post")}),
    (remedies.UseLayerNorm("post"), {"norm": LayerNorm("post")}),
    (remedies.UseResidual(3), {"residual": IdentityShortcut(3)}),
    (remedies.UseRezero(1), {"residual": Rezero(1)}),
    (remedies.UseClipping(0.5), {"clip": ClipByNorm(0.5)}),
    (remedies.UseL1(0.2), {"reg": L1(0.2)}),
    (remedies.UseL2(0.2), {"reg": L2(0.2)}),
    (remedies.UseAdam(), {"optim": Adam(), "lr": None}),
    (remedies.UseAdam(0.02), {"optim": Adam(), "lr": 0.02}),
    (remedies.UseAdagrad(), {"optim": Adagrad(), "lr": None}),
    (remedies.UseAdagrad(0.02), {"optim": Adagrad(), "lr": 0.02}),
    (remedies.UseRMSprop(), {"optim": RMSprop(), "lr": None}),
    (remedies.UseRMSprop(0.02), {"optim": RMSprop(), "lr": 0.02}),
    (remedies.SmallRate(0.5), {"lr": 0.15}),
    (remedies.UsePretraining(3, 0.2), {"pretrain": Autoencoder(3, 0.2)}),
    (remedies.UseGRU(), {"model": GRU(), "act": Tanh()}),
    (remedies.UseLSTM(2.0), {"model": LSTM(2.0), "act": Tanh()}),
]


def sick(remedy: Remedy) -> Run:
    """A setting that the remedy is for."""
    cells = isinstance(remedy, remedies.UseGRU | remedies.UseLSTM)
    return replace(SICK, model=RNN(), act=ReLU()) if cells else SICK


def changed(before: Run, after: Run) -> dict[str, Any]:
    values = ((item.name, getattr(before, item.name), getattr(after, item.name)) for item in fields(Run))
    return {name: new for name, old, new in values if old != new}


@pytest.mark.filterwarnings("ignore:init=critical")  # sigmoid's critical point is saturated, and says so
@pytest.mark.parametrize("remedy, expected", CASES, ids=str)
def test_a_remedy_changes_what_it_names_and_nothing_else(remedy: Remedy, expected: dict[str, Any]) -> None:
    assert changed(sick(remedy), remedied(sick(remedy), remedy)) == expected


def test_every_remedy_is_among_the_cases_and_named_as_in_the_contract() -> None:
    choices = {
        value
        for value in vars(remedies).values()
        if inspect.isclass(value) and issubclass(value, Remedy) and value is not Remedy
    }
    assert choices == {type(remedy) for remedy, _ in CASES}
    assert {choice.name for choice in choices} == {
        "none", "relu", "leaky_relu", "prelu", "elu", "selu", "tanh", "xavier", "he", "critical", "batchnorm",
        "layernorm", "residual", "rezero", "clipping", "l1", "l2", "adam", "adagrad", "rmsprop", "small_rate",
        "pretraining", "gru", "lstm",
    }  # fmt: skip


@pytest.mark.parametrize("remedy", [remedy for remedy, _ in CASES], ids=str)
def test_parameters_default_to_those_of_the_choice_that_is_made(remedy: Remedy) -> None:
    untouched = type(remedy)()
    if isinstance(untouched, remedies.UseCritical):
        return
    for value in changed(sick(remedy), remedied(sick(remedy), untouched)).values():
        assert not is_dataclass(value) or value == type(value)()


def test_without_a_rate_of_its_own_a_small_rate_is_a_part_of_the_optimizers() -> None:
    assert remedied(Run(optim=Adam()), remedies.SmallRate()).rate == pytest.approx(1e-4)


def test_the_rate_of_another_optimizer_is_forgotten() -> None:
    assert remedied(SICK, remedies.UseAdam()).rate == 1e-3


def test_a_remedy_that_does_not_suit_the_setting_is_refused_like_the_setting() -> None:
    with pytest.raises(SettingError, match="norm=batch with batch_size=1"):
        remedied(Run(batch_size=1), remedies.UseBatchNorm())


def test_a_cell_keeps_what_it_can_of_the_one_before() -> None:
    start = replace(SICK, model=RNN("orthogonal"), act=ReLU())
    assert remedied(start, remedies.UseGRU()).model == GRU("orthogonal")
    assert remedied(start, remedies.UseLSTM()).model == LSTM(recurrent_init="orthogonal")
    assert remedied(replace(start, model=RNN("identity")), remedies.UseLSTM()).model == LSTM()
    gated = replace(start, model=LSTM(forget_bias=5.0, peepholes=True), act=Tanh())
    assert remedied(gated, remedies.UseLSTM(2.0)).model == LSTM(forget_bias=2.0, peepholes=True)
    assert remedied(replace(start, model=GRU("orthogonal")), remedies.UseGRU()).model == GRU("orthogonal")


def test_a_cell_takes_the_place_of_a_recurrent_one_alone() -> None:
    for remedy in (remedies.UseGRU(), remedies.UseLSTM()):
        with pytest.raises(SettingError, match=f"model=mlp: {remedy.name} takes the place"):
            remedied(SICK, remedy)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: remedies.SmallRate(0.0), r"remedy\.factor=0\.0: must be above 0"),
        (lambda: remedied(SICK, remedies.UseClipping(-1.0)), r"max_norm=-1\.0: must be above 0"),
        (
            lambda: remedied(SICK, remedies.UseXavier("gauss")),
            r"distribution=gauss: choose one of normal, uniform",
        ),
        (lambda: remedied(SICK, remedies.UseResidual(0)), r"every=0: must be at least 1"),
        (lambda: remedied(SICK, remedies.UseAdam(-1.0)), r"lr=-1\.0: must be finite and above 0"),
    ],
)
def test_a_wrong_parameter_is_refused(make: Any, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        make()


SHARED = [remedy for remedy, expected in CASES if not {"init", "model"} & set(expected)]


@pytest.mark.parametrize("remedy", SHARED, ids=str)
def test_a_treated_network_starts_with_the_weights_of_its_untreated_twin(remedy: Remedy) -> None:
    plain, treated = (
        {n.split(".branch.")[-1]: p for n, p in build(run).named_parameters()}
        for run in (SICK, remedied(SICK, remedy))
    )
    assert {name for name in plain if name.endswith("weight")} <= treated.keys()
    assert all(torch.equal(parameter, treated[name]) for name, parameter in plain.items())


def test_the_table_holds_a_row_once_and_every_condition_is_about_something_that_a_run_has() -> None:
    run = Run()
    value = lookup(describe(run), answers(run))
    for remedy in remedies.TABLE.values():
        assert remedies.TABLE[remedy.name] is remedy
        for condition in f"{remedy.where} {remedy.tried or ''}".replace("|", " ").split():
            key = condition.lstrip("!").partition("=")[0].rstrip("!<>")
            assert value(key) is not None or key in ("model.chrono", "data.length"), condition


def test_a_remedy_survives_pickling_and_an_old_target_names_it() -> None:
    for remedy, _ in CASES:
        assert pickle.loads(pickle.dumps(remedy)) == remedy
        assert getattr(importlib.import_module("vanishgrad.remedies"), type(remedy).__name__) is type(remedy)


def test_what_fits_is_what_the_run_accepts_and_what_changes_it() -> None:
    fits = fitting_remedies(SICK)
    assert {"batchnorm", "layernorm", "relu_he", "smaller_xavier", "small_rate", "adam"} <= set(fits)
    assert not {"none", "lstm", "gru", "orthogonal", "chrono", "no_penalty", "no_clipping"} & set(fits)
    assert "critical" not in fits  # sigmoid's saturates
    assert "batchnorm" not in fitting_remedies(replace(SICK, batch_size=1))
    assert {"lstm", "gru", "orthogonal"} <= set(fitting_remedies(replace(SICK, model=RNN(), act=Tanh())))
    assert "orthogonal" not in fitting_remedies(replace(SICK, model=RNN("orthogonal"), act=Tanh()))
    assert "large_batch" in fits
    assert "large_batch" not in fitting_remedies(replace(SICK, batch_size=64))


def test_what_fits_leaves_no_warning_behind_and_takes_none_away() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitting_remedies(replace(SICK, act=Softsign()))
    for _ in range(2):
        assert fitting_remedies(SICK) == fitting_remedies(replace(SICK, seed=9, name="other"))


def test_a_multiple_is_written_down_as_one_and_advised_as_a_number() -> None:
    small = remedies.TABLE["small_rate"]
    assert small.typed == "lr=*0.1"
    assert remedies.filled(remedies.parsed(small.typed), {"lr": 0.5}.get) == {"lr": pytest.approx(0.05)}
