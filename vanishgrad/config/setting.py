"""A composed configuration -> `Run`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from importlib import import_module
from typing import Any, get_args, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vanishgrad.choices.named import choices_of, is_choice
from vanishgrad.config.interpolation import plainly
from vanishgrad.config.location import choice_names, own_folders
from vanishgrad.config.typed import shown, typed
from vanishgrad.description import describe, describe_choice, remedied
from vanishgrad.engine.evaluate import OBJECTIVES
from vanishgrad.engine.recorder import Provenance
from vanishgrad.errors import SettingError, one_of, require
from vanishgrad.remedies import Remedy
from vanishgrad.run import GROUPS, OPTIONAL, Run, reseeded

KINDS = get_type_hints(Run)
KEYS = (*KINDS, "remedy", "objective")


@dataclass(frozen=True, eq=False)
class ComposedRun:
    """What was asked for.

    Arguments:
        composed: the run as composed.
        remedy: what is done to it.
        effective: the run that is trained.
        config: the configuration, resolved.
        objective: the number that a search looks at: val_accuracy, val_loss or gradient_slope.
    """

    composed: Run
    remedy: Remedy
    effective: Run
    config: dict[str, Any]
    objective: str

    def provenance(self, overrides: Sequence[str], seed: int | None = None) -> Provenance:
        """What run.json says about where the run came from, or one that differs from it in the seed."""
        return Provenance(self._choices, self.config, list(overrides), seed)

    def seeded(self, seed: int | None) -> Run:
        """The run that is trained, with another seed; its own for None."""
        return self.effective if seed is None else reseeded(self.effective, seed)

    @cached_property
    def _choices(self) -> dict[str, Any]:
        return describe(self.composed) | {"remedy": describe_choice(self.remedy)}


def to_setting(config: DictConfig) -> ComposedRun:
    """The setting that `config` describes; the remedy is applied last.

    Raises:
        SettingError: for anything in it that is not a setting, or makes no sense.
    """
    return setting_of(resolved(config))


def setting_of(values: Mapping[str, Any]) -> ComposedRun:
    """The setting that plain values describe, as `to_setting` reads it.

    Raises:
        SettingError: for anything in it that is not a setting, or makes no sense.
    """
    for key in values:
        require(key in KEYS, f"{key}: there is no such setting; valid are {', '.join(KEYS)}")
    composed = Run(**{key: _field(key, values) for key in KINDS})
    remedy: Remedy = _choice("remedy", _given("remedy", values), Remedy)
    return ComposedRun(composed, remedy, _treated(composed, remedy), dict(values), _objective(values))


def _objective(values: Mapping[str, Any]) -> str:
    name = shown(_given("objective", values))
    one_of("objective", name, OBJECTIVES)
    return name


def resolved(config: DictConfig) -> dict[str, Any]:
    """A composed configuration as plain data.

    Raises:
        SettingError: for a value that is missing, or that refers to nothing.
    """
    try:
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise SettingError(plainly(error)) from None
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def _given(key: str, values: Mapping[str, Any]) -> Any:
    require(key in values, f"{key}: was deleted; give it a value")
    return values[key]


def _field(key: str, values: Mapping[str, Any]) -> Any:
    value, kind = _given(key, values), KINDS[key]
    if value is None and key in OPTIONAL:
        return None
    return _choice(key, value, (get_args(kind) or (kind,))[0]) if key in GROUPS else typed(key, value, kind)


def _choice(group: str, value: Any, protocol: Any) -> Any:
    """The choice that `value` names, with its parameters."""
    if not isinstance(value, dict) or "_target_" not in value:
        raise SettingError(f"{group}={shown(value)}: choose one of {', '.join(choice_names(group))}")
    kind = _located(group, value["_target_"], protocol)
    hints = _parameters(kind)
    parameters_given = {key: item for key, item in value.items() if key != "_target_"}
    for key, item in parameters_given.items():
        if key not in hints:
            raise SettingError(no_parameter(group, kind.name, key, item, list(hints)))
    return kind(**{key: typed(f"{group}.{key}", item, hints[key]) for key, item in parameters_given.items()})


@lru_cache(maxsize=1024)
def _parameters(kind: type) -> dict[str, Any]:
    """The parameters of a choice and their types."""
    hints = get_type_hints(kind)
    return {item.name: hints[item.name] for item in fields(kind)}


def no_parameter(group: str, choice: str, parameter: str, value: Any, valid: Sequence[str]) -> str:
    """`act.slope=1: act=relu has no parameter slope; it has none`."""
    there = ", ".join(valid) or "none"
    return (
        f"{group}.{parameter}={shown(value)}: {group}={choice} has no parameter {parameter}; it has {there}"
    )


def import_own() -> None:
    """Import the user's own choices, whose configuration files are in the folder of --config-dir.

    Raises:
        SettingError: for a file that names none.
    """
    for group, kind in ((group, KINDS[group]) for group in GROUPS):
        for folder in own_folders():
            for file in sorted((folder / group).glob("*.yaml")):
                target = OmegaConf.select(OmegaConf.load(file), "_target_")
                _located(group, target, (get_args(kind) or (kind,))[0])


def _located(group: str, target: Any, protocol: Any) -> Any:
    """The dataclass `target` names: a choice of the group, the user's own only with --config-dir."""
    module, _, name = str(target).rpartition(".")
    own = bool(module) and module.partition(".")[0] != "vanishgrad"
    kind = getattr(_imported(group, target, module), name, None) if own_folders() or not own else None
    if isinstance(kind, type) and is_choice(kind, protocol):
        return kind
    raise SettingError(f"{group}._target_={shown(target)}: {_no_choice(own, protocol)}")


def _imported(group: str, target: Any, module: str) -> Any:
    try:
        return import_module(module or "vanishgrad")
    except Exception as error:  # code of the user's: whatever it raises, the message names it
        reason = f"{type(error).__name__}: {error}"
        raise SettingError(f"{group}._target_={shown(target)}: cannot be imported ({reason})") from None


def _no_choice(own: bool, protocol: Any) -> str:
    """What a target must be: one of the choices, or with --config-dir a class of the user's own."""
    names = f"must be one of the choices {', '.join(choices_of(protocol))}"
    if own and not own_folders():
        return f"{names}; a class of your own needs --config-dir DIR, the folder of its configuration file"
    if not own:
        return names
    base = f"{protocol.__module__}.{protocol.__name__}"
    return f"{names}, or a frozen dataclass with a `name` that inherits {base}"


def _treated(run: Run, remedy: Remedy) -> Run:
    try:
        return remedied(run, remedy)
    except SettingError as error:
        raise SettingError(f"remedy={remedy.name}: {error}") from None
