"""A composed configuration -> `Run`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose
from omegaconf import DictConfig, OmegaConf

from vanishgrad.choices.activation import LeakyReLU
from vanishgrad.choices.loss import MSE
from vanishgrad.choices.schedule import StepLR
from vanishgrad.config.plan import loader, plan_of, without_hydra
from vanishgrad.config.setting import ComposedRun, to_setting
from vanishgrad.config.typed import shown, typed
from vanishgrad.description import describe, remedied
from vanishgrad.errors import SettingError
from vanishgrad.remedies import Untreated, UseClipping
from vanishgrad.run import GROUPS, SCALARS, Run

PRIMARY = yaml.safe_load((Path(__file__).parents[1] / "conf/config.yaml").read_text())


def composed(*overrides: str) -> DictConfig:
    """What Hydra composes, with nothing of ours in between."""
    with loader():
        return compose("config", list(overrides))


def setting(*overrides: str) -> ComposedRun:
    return to_setting(without_hydra(plan_of(overrides, multirun=False).config))


def with_type(value: Any) -> tuple[type, Any]:
    return type(value), value


def test_the_numbers_in_the_config_are_those_of_the_dataclass() -> None:
    left_to_others = dict.fromkeys(("depth", "loss", "act"), with_type(None))
    expected = {key: with_type(getattr(Run(), key)) for key in SCALARS} | left_to_others
    others = ("defaults", "hydra", "objective")
    found = {key: with_type(value) for key, value in PRIMARY.items() if key not in others}
    assert list(found.items()) == list(expected.items())


def test_the_groups_in_the_config_are_those_of_the_dataclass_at_their_defaults() -> None:
    defaults = {
        key: value for entry in PRIMARY["defaults"] if isinstance(entry, dict) for key, value in entry.items()
    }
    found = {key: value for key, value in defaults.items() if not key.startswith("override")}
    expected = {group: getattr(getattr(Run(), group), "name", None) for group in GROUPS}
    assert found == expected | {"act": None, "remedy": "none", "experiment": "none"}


def test_the_config_itself_stands_before_the_experiment() -> None:
    names = [next(iter(entry)) if isinstance(entry, dict) else entry for entry in PRIMARY["defaults"]]
    assert names.index("_self_") < names.index("experiment")


def test_nothing_typed_is_the_default_run() -> None:
    found = setting()
    assert found.composed == found.effective == Run()
    assert found.remedy == Untreated()


def test_what_is_typed_arrives() -> None:
    found = setting(
        "depth=20", "lr=1", "act=leaky_relu", "act.slope=0.2", "batch_size=full", "loss=mse",
        "schedule=step", "schedule.milestones=[0.25,0.5]", "name=2024",
    ).composed  # fmt: skip
    assert found == Run(
        depth=20, lr=1.0, act=LeakyReLU(0.2), batch_size="full", loss=MSE(),
        schedule=StepLR(milestones=(0.25, 0.5)), name="2024",
    )  # fmt: skip
    assert isinstance(found.lr, float)
    hash(found)


def test_a_null_loss_is_the_datas_own() -> None:
    assert setting("loss=null").composed.loss is None
    assert setting("loss=NULL").composed.loss is None


def test_the_remedy_comes_last() -> None:
    found = setting("remedy=clipping", "remedy.max_norm=0.5", "clip=value", "act=relu")
    assert found.remedy == UseClipping(0.5)
    assert found.composed.clip.name == "value"
    assert found.effective == remedied(found.composed, UseClipping(0.5))


def test_run_json_describes_the_setting_before_its_remedy_and_the_remedy() -> None:
    found = setting("remedy=clipping", "depth=3")
    provenance = found.provenance(["remedy=clipping"])
    assert provenance.choices == describe(found.composed) | {"remedy": {"name": "clipping", "max_norm": 1.0}}
    assert provenance.config["depth"] == 3
    assert provenance.config["act"] is None
    assert provenance.choices["act"] == {"name": "relu"}
    assert provenance.overrides == ["remedy=clipping"]


BROKEN = {
    "foo: 1": "foo: there is no such setting; valid are depth, width",
    "depth: 3.0": "depth=3.0: must be an integer",
    "depth: true": "depth=true: must be an integer",
    "width: null": "width=null: must be an integer",
    "lr: fast": "lr=fast: must be a number or null",
    "lr: [1]": "lr=[1]: must be a number or null",
    "batch_size: true": "batch_size=true: must be full or an integer of at least 1",
    "threads: 1.5": "threads=1.5: must be auto or an integer of at least 1",
    "width: ${nothing}": "width: there is no setting nothing to take its value from",
    "norm: null": "norm=null: choose one of batch, group",
    "act: relu": "act=relu: choose one of elu, erf",
    "act: {slope: 1}": "act={slope: 1}: choose one of elu, erf",
    "norm: {groups: 1}": "norm.groups=1: norm=none has no parameter groups; it has position",
    "act: {_target_: os.system}": "act._target_=os.system: must be one of the choices relu, sigmoid",
    "act: {_target_: vanishgrad.choices.clipping.NoClip}": "must be one of the choices",
    "act: {_target_: vanishgrad.choices.activation.Activation}": "must be one of the choices",
    "act: {_target_: vanishgrad.choices.activation.nn}": "must be one of the choices",
    "act: {_target_: 3}": "act._target_=3: must be one of the choices",
    "optim: {momentum: fast}": "optim.momentum=fast: must be a number",
    "optim: {momentum: true}": "optim.momentum=true: must be a number",
    "optim: {momentum: 1}": "optim.momentum=1.0: must be at least 0 and below 1",
    "norm: {position: 3}": "norm.position=3: choose one of",
    "residual: {every: 2.0}": "residual.every=2.0: must be an integer",
    "data: {train_size: many}": "data.train_size=many: must be an integer or null",
    "remedy: null": "remedy=null: choose one of adagrad",
}


@pytest.mark.parametrize("text", BROKEN)
def test_what_is_no_setting_is_refused_wherever_it_comes_from(text: str) -> None:
    config = composed()
    OmegaConf.set_struct(config, False)
    broken = OmegaConf.merge(config, OmegaConf.create(text))
    assert isinstance(broken, DictConfig)
    with pytest.raises(SettingError) as refused:
        to_setting(broken)
    assert BROKEN[text] in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("key", ["act", "depth", "remedy", "loss"])
def test_what_was_deleted_is_missed(key: str) -> None:
    config = composed()
    OmegaConf.set_struct(config, False)
    del config[key]
    with pytest.raises(SettingError, match=f"{key}: was deleted"):
        to_setting(config)


@pytest.mark.parametrize(
    "value, annotation, expected",
    [
        (1, int, 1),
        (1, float, 1.0),
        (1, float | None, 1.0),
        (None, float | None, None),
        (2, int | str, 2),
        ("full", int | str, "full"),
        (1.5, int | str, "1.5"),
        (True, int | str, "true"),
        (7, str | None, "7"),
        ([1, 0.5], tuple[float, ...], (1.0, 0.5)),
        ([], tuple[float, ...], ()),
    ],
)
def test_a_value_becomes_the_type_of_its_field(value: Any, annotation: Any, expected: Any) -> None:
    found = typed("key", value, annotation)
    assert (type(found), found) == (type(expected), expected)


@pytest.mark.parametrize(
    "value, annotation, words",
    [
        (1.0, int, "an integer"),
        (True, float, "a number"),
        ("1", float, "a number"),
        (10**400, float, "a number"),
        ([1, "a"], tuple[float, ...], "a list of numbers"),
        (0.5, tuple[float, ...], "a list of numbers"),
        ({"a": 1}, str | None, "text or null"),
        ([1], int | str, "an integer or text"),
    ],
)
def test_a_value_of_another_type_is_refused(value: Any, annotation: Any, words: str) -> None:
    with pytest.raises(SettingError, match=f"^key=.*: must be {words}$"):
        typed("key", value, annotation)


def test_not_a_number_is_a_number_here_and_refused_where_it_makes_no_sense() -> None:
    assert math.isnan(typed("lr", math.nan, float))


@pytest.mark.parametrize(
    "value, text",
    [(None, "null"), (True, "true"), ([1, None], "[1,null]"), ({"a": False}, "{a: false}"), (0.1, "0.1")],
)
def test_a_value_is_shown_as_it_is_typed(value: Any, text: str) -> None:
    assert shown(value) == text


def test_depth_and_activation_are_the_models_own_unless_given() -> None:
    own = setting("model=lstm", "data=adding").composed
    assert (own.depth, own.act.name) == (1, "tanh")
    given = setting("model=lstm", "data=adding", "depth=2", "act=relu").composed
    assert (given.depth, given.act.name) == (2, "relu")
    assert setting("act=null").composed.act.name == "relu"
