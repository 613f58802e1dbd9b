"""A run: frozen, hashable, and refused with one clear message when it makes no sense."""

import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest

from vanishgrad import Run
from vanishgrad.choices.activation import ReLU, Sigmoid, Softplus, Tanh
from vanishgrad.choices.data import MNIST
from vanishgrad.choices.initialization import Critical, Gaussian, Normal, Orthogonal, Zeros
from vanishgrad.choices.loss import MSE, CrossEntropy
from vanishgrad.choices.normalization import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, WeightNorm
from vanishgrad.choices.optimizer import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from vanishgrad.choices.residual import (
    DenseShortcut,
    Fixup,
    HighwayShortcut,
    IdentityShortcut,
    Rezero,
    ScaledShortcut,
)
from vanishgrad.errors import SettingError
from vanishgrad.run import GROUPS, SCALARS

DEFAULTS = {
    "depth": 5, "width": 64, "epochs": 20, "max_steps": None, "batch_size": 64, "lr": None, "warmup": 0,
    "seed": 0, "device": "auto", "dtype": "float32", "threads": "auto", "log_every": 10, "eval_every": None,
    "measure": "all", "recompute_every": 0, "save_every": 0, "snapshots": 0, "dead_every": 0,
    "input_gradients": 0, "stop_on": None, "name": None,
}  # fmt: skip
DEFAULT_CHOICES = {
    "model": "mlp", "act": "relu", "init": "default", "norm": "none", "residual": "none", "clip": "none",
    "reg": "none", "pretrain": "none", "optim": "sgd", "schedule": "constant", "loss": None,
    "data": "digits",
}  # fmt: skip


def test_defaults_are_those_of_the_contract() -> None:
    run = Run()
    assert {name: getattr(run, name) for name in SCALARS} == DEFAULTS
    assert {name: getattr(getattr(run, name), "name", None) for name in GROUPS} == DEFAULT_CHOICES


def test_groups_and_scalars_are_all_its_fields() -> None:
    assert {item.name for item in fields(Run)} == {*GROUPS, *SCALARS}
    assert not set(GROUPS) & set(SCALARS)


def test_equal_settings_are_equal_and_hash_alike() -> None:
    one, other = Run(depth=20, act=Sigmoid()), Run(depth=20, act=Sigmoid())
    assert one == other
    assert hash(one) == hash(other)
    assert len({one, other, replace(one, seed=1), replace(one, act=Tanh())}) == 3


def test_a_choice_differs_from_another_with_the_same_parameters() -> None:
    assert Run(residual=Rezero(3)) != Run(residual=DenseShortcut(3))
    assert Run(norm=BatchNorm()) != Run(norm=LayerNorm())


def test_a_run_cannot_be_changed() -> None:
    run = Run()
    with pytest.raises(FrozenInstanceError):
        run.depth = 3  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        run.optim.momentum = 0.9  # type: ignore[attr-defined]


def test_a_run_survives_pickling_and_its_repr_names_what_was_chosen() -> None:
    run = Run(depth=20, act=Sigmoid(), norm=GroupNorm(4, "post"), residual=ScaledShortcut(0.5, 3))
    assert pickle.loads(pickle.dumps(run)) == run
    assert all(
        part in repr(run) for part in ("depth=20", "Sigmoid()", "groups=4", "position='post'", "scale=0.5")
    )


@pytest.mark.parametrize(
    "optim, rate",
    [(SGD(), 0.1), (SGD(0.9), 0.1), (Adam(), 1e-3), (AdamW(), 1e-3), (RMSprop(), 1e-3), (Adagrad(), 1e-2)],
)
def test_the_rate_is_the_optimizers_own_unless_given(optim: Optimizer, rate: float) -> None:
    assert Run(optim=optim).rate == rate
    assert Run(optim=optim, lr=0.5).rate == 0.5


def test_the_loss_is_the_datas_own_unless_given() -> None:
    assert Run().criterion == CrossEntropy()
    assert Run(loss=MSE()).criterion == MSE()


def refused(message: str, **settings: Any) -> Any:
    return pytest.param(settings, message, id=message.split(":")[0].replace("\\", ""))


REFUSALS = [
    refused(r"depth=-1: must be at least 0", depth=-1),
    refused(r"width=0: must be at least 1", width=0),
    refused(r"epochs=-1: must be at least 0", epochs=-1),
    refused(r"max_steps=-1: must be at least 0", max_steps=-1),
    refused(r"warmup=-1: must be at least 0", warmup=-1),
    refused(r"log_every=0: must be at least 1", log_every=0),
    refused(r"eval_every=0: must be at least 1", eval_every=0),
    refused(r"recompute_every=-1: must be at least 0", recompute_every=-1),
    refused(r"save_every=-1: must be at least 0", save_every=-1),
    refused(r"snapshots=-1: must be at least 0", snapshots=-1),
    refused(r"batch_size=0: must be full or an integer of at least 1", batch_size=0),
    refused(r"batch_size=all: must be full or an integer", batch_size="all"),
    refused(r"batch_size=1\.5: must be full or an integer", batch_size=1.5),
    refused(r"threads=0: must be auto or an integer of at least 1", threads=0),
    refused(r"threads=many: must be auto or an integer", threads="many"),
    refused(r"lr=0: must be finite and above 0, or null", lr=0),
    refused(r"lr=nan: must be finite and above 0", lr=float("nan")),
    refused(r"lr=inf: must be finite and above 0", lr=float("inf")),
    refused(r"device=gpu: choose one of auto, cpu, cuda, mps .*mean cpu", device="gpu"),
    refused(r"dtype=float16: choose one of float32, float64", dtype="float16"),
    refused(r"measure=some: choose one of all, gradients", measure="some"),
    refused(r"act=relo: choose one of relu, .* \(did you mean relu\?\)", act="relo"),
    refused(r"norm=batch with batch_size=1: .*norm=layer", norm=BatchNorm(), batch_size=1),
    refused(r"norm=instance: a perceptron's units have no extent", norm=InstanceNorm()),
    refused(r"norm\.groups=8: must divide width=12", norm=GroupNorm(8), width=12),
    refused(r"residual=fixup with depth=2: .*depth of at least 3", residual=Fixup(), depth=2),
    refused(r"init=critical: Softplus has no critical point.*choose", init=Critical(), act=Softplus()),
    refused(r"norm=weight with weights that start at 0", norm=WeightNorm(), init=Zeros()),
    refused(
        r"norm=weight with weights that start at 0: .*another init", norm=WeightNorm(), init=Gaussian(0.0)
    ),
    refused(r"norm=weight with weights that start at 0: g v", norm=WeightNorm(), init=Normal(0.0)),
    refused(r"norm=weight with .* another residual than fixup", norm=WeightNorm(), residual=Fixup()),
]


@pytest.mark.parametrize("settings, message", REFUSALS)
def test_a_setting_that_makes_no_sense_is_refused_with_value_and_rule(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        Run(**settings)


PARAMETERS: list[tuple[Callable[[], object], str]] = [
    (lambda: IdentityShortcut(0), r"residual\.every=0: must be at least 1"),
    (lambda: Fixup(1), r"residual\.every=1: .*so at least 2"),
    (lambda: HighwayShortcut(0.0), r"residual\.gate_bias=0\.0: must be negative"),
    (lambda: ScaledShortcut(float("nan")), r"residual\.scale=nan: must be a finite number, or null"),
    (lambda: SGD(1.0), r"optim\.momentum=1\.0: must be at least 0 and below 1"),
]


@pytest.mark.parametrize("make, message", PARAMETERS)
def test_a_parameter_that_makes_no_sense_is_refused_with_value_and_rule(
    make: Callable[[], object], message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        make()


@pytest.mark.parametrize(
    "settings",
    [
        {"depth": 0},
        {"depth": 1, "residual": Fixup()},
        {"epochs": 0},
        {"max_steps": 0},
        {"batch_size": "full"},
        {"norm": LayerNorm(), "batch_size": 1},
        {"norm": WeightNorm(), "init": Orthogonal()},
        {"init": Critical(), "act": ReLU()},
        {"depth": 10_000, "width": 32},
    ],
    ids=str,
)
def test_the_edge_of_what_makes_sense_is_allowed(settings: dict[str, Any]) -> None:
    Run(**settings)


HALVES = {
    "name=a\udcff": lambda: Run(name="a\udcff"),
    "data.root=\ud800": lambda: Run(data=MNIST(root="\ud800")),
}


@pytest.mark.parametrize("said", HALVES, ids=ascii)
def test_text_that_cannot_be_written_is_refused(said: str) -> None:
    with pytest.raises(SettingError) as refused:
        HALVES[said]()
    shown = repr(said)[1:-1]
    assert str(refused.value) == f"{shown}: has bytes or half a character that are not text in UTF-8"
    assert str(refused.value).isascii()
