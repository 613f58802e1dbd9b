"""One rule for choices: a frozen dataclass and a config file are the same thing seen twice."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from omegaconf import OmegaConf

from vanishgrad.config.catalogue import groups

CONF = Path(__file__).parents[1] / "conf"
GROUPS = {
    "act": "vanishgrad.choices.activation",
    "clip": "vanishgrad.choices.clipping",
    "data": "vanishgrad.choices.data",
    "init": "vanishgrad.choices.initialization",
    "loss": "vanishgrad.choices.loss",
    "model": "vanishgrad.choices.model",
    "norm": "vanishgrad.choices.normalization",
    "optim": "vanishgrad.choices.optimizer",
    "pretrain": "vanishgrad.choices.pretraining",
    "reg": "vanishgrad.choices.regularization",
    "remedy": "vanishgrad.remedies",
    "residual": "vanishgrad.choices.residual",
    "schedule": "vanishgrad.choices.schedule",
}
# experiment/ holds overrides of the whole setting, hydra/ belongs to Hydra.
NOT_CHOICES = {"experiment", "hydra"}
CONFIG_FILES = sorted(file for file in CONF.glob("*/*.yaml") if file.parent.name not in NOT_CHOICES)


def is_choice(thing: object) -> bool:
    """A frozen dataclass with a `name: ClassVar`."""
    return (
        isinstance(thing, type)
        and dataclasses.is_dataclass(thing)
        and bool(getattr(thing, "__dataclass_params__").frozen)  # noqa: B009 (typeshed hides it)
        and isinstance(getattr(thing, "name", None), str)
        and "name" not in {field.name for field in dataclasses.fields(thing)}
    )


def choices_in(module: ModuleType) -> Iterator[type]:
    """The choices that `module`, or a package's modules, define; imported ones belong to their own module."""
    for thing in vars(module).values():
        if is_choice(thing) and f"{thing.__module__}.".startswith(f"{module.__name__}."):
            yield thing


def defaults(choice: type) -> dict[str, Any]:
    """Field -> default, as a config file writes it: '???' where the user must give the value."""

    def default(field: dataclasses.Field[Any]) -> Any:
        if field.default_factory is not dataclasses.MISSING:
            return field.default_factory()
        return "???" if field.default is dataclasses.MISSING else field.default

    return {field.name: default(field) for field in dataclasses.fields(choice)}


def with_types(values: dict[str, Any]) -> dict[str, tuple[str, Any]]:
    """1, 1.0 and True are equal in Python and different on a chart's label."""
    plain = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return {key: (type(value).__name__, value) for key, value in plain.items()}


def keys_of(file: Path) -> dict[str, Any]:
    """The keys of a config file; its defaults list, which speaks to Hydra, left out."""
    keys = OmegaConf.to_container(OmegaConf.load(file))
    assert isinstance(keys, dict), f"{file} is not a mapping"
    return {str(key): value for key, value in keys.items() if key != "defaults"}


@pytest.mark.parametrize("file", CONFIG_FILES, ids=lambda file: f"{file.parent.name}={file.stem}")
def test_a_config_file_and_its_dataclass_say_the_same(file: Path) -> None:
    keys = keys_of(file)
    module, _, name = keys.pop("_target_").rpartition(".")
    assert module == GROUPS[file.parent.name]
    choice = getattr(importlib.import_module(module), name)
    assert is_choice(choice)
    assert choice.name == file.stem
    assert with_types(keys) == with_types(defaults(choice))


@pytest.mark.parametrize("file", CONFIG_FILES, ids=lambda file: f"{file.parent.name}={file.stem}")
def test_a_config_file_opens_with_its_usage(file: Path) -> None:
    first = file.read_text().partition("\n")[0]
    assert first.startswith("# ")
    assert f"{file.parent.name}={file.stem}" in first


@pytest.mark.parametrize("file", sorted(CONF.glob("experiment/*.yaml")), ids=lambda file: file.stem)
def test_an_experiment_overrides_the_whole_setting(file: Path) -> None:
    assert "# @package _global_" in file.read_text().splitlines()


@pytest.mark.parametrize("group", GROUPS)
def test_every_choice_has_a_config_file(group: str) -> None:
    names = {choice.__name__ for choice in choices_in(importlib.import_module(GROUPS[group]))}
    assert names
    files = (CONF / group).glob("*.yaml")
    assert {keys_of(file)["_target_"].rpartition(".")[2] for file in files} == names


def test_every_module_of_choices_and_every_folder_of_conf_is_a_group() -> None:
    package = importlib.import_module("vanishgrad.choices")
    modules = [f"{package.__name__}.{found.name}" for found in pkgutil.iter_modules(package.__path__)]
    with_choices = {name for name in modules if any(choices_in(importlib.import_module(name)))}
    assert with_choices <= set(GROUPS.values())
    folders = {folder.name for folder in CONF.iterdir() if folder.is_dir()}
    assert folders - NOT_CHOICES == set(GROUPS)


def test_the_catalogue_lists_choices_as_they_stand_in_the_files_the_default_first() -> None:
    names = {group.name: [choice.name for choice in group.choices] for group in groups()}
    assert names["data"] == [
        "digits", "mnist", "fashion_mnist", "cifar10", "spirals", "adding", "copy", "temporal_order", "text",
        "moving_digits",
    ]  # fmt: skip
    assert names["pretrain"] == ["none", "rbm", "autoencoder", "denoising_autoencoder"]
