"""A run as plain data: what run.json holds, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from typing import Any

from vanishgrad.choices import named
from vanishgrad.errors import SettingError, one_of, require
from vanishgrad.records import strict
from vanishgrad.run import GROUPS, Run


def describe(run: Run) -> dict[str, Any]:
    """Every field of `run`: numbers as they are, a choice as `{"name": ..., parameter: value, ...}`.

    The learning rate and the loss stand as resolved, not as null.
    """
    values: dict[str, Any] = {item.name: getattr(run, item.name) for item in fields(run)}
    values |= {group: describe_choice(values[group]) for group in GROUPS if values[group] is not None}
    return values | {"lr": run.rate, "loss": describe_choice(run.criterion)}


def describe_choice(choice: Any) -> dict[str, Any]:
    """One choice with its parameters."""
    parameters = {item.name: getattr(choice, item.name) for item in fields(choice)}
    return {"name": choice.name} | parameters


def flat(setting: Mapping[str, Any]) -> dict[str, Any]:
    """What `describe` gives with one key per number: a choice stands as `act`, its numbers as `act.slope`."""
    keys: dict[str, Any] = {}
    for key, value in setting.items():
        if isinstance(value, Mapping):
            keys[key] = value["name"]
            keys |= {f"{key}.{name}": item for name, item in value.items() if name != "name"}
        else:
            keys[key] = value
    return keys


def changed_keys(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """`lr 0.1 -> 0.2` for every key; what only one version of vanishgrad knows has not changed."""
    old, new = flat(strict(then)), flat(strict(now))
    return [f"{key} {old[key]} -> {new[key]}" for key in old if key in new and old[key] != new[key]]


def targets(run: Run) -> dict[str, str]:
    """Where the choices live that are not vanishgrad's own, `group -> module.Class`."""
    kinds = {group: type(getattr(run, group)) for group in GROUPS if getattr(run, group) is not None}
    return {
        group: f"{kind.__module__}.{kind.__qualname__}"
        for group, kind in kinds.items()
        if kind.__module__.partition(".")[0] != "vanishgrad"
    }


def described(
    record: Mapping[str, Any], targets: Mapping[str, str] | None = None, trust: bool = False
) -> Run:
    """The run that `describe` described; a field that the record lacks, of an older version, has its default.

    Arguments:
        record: of the run.
        targets: as `targets` gave them. Such a class must have been imported, unless the record is trusted.
        trust: whether code that the record names may be imported, which runs it.

    Raises:
        SettingError: for a choice that does not exist, or a value that makes no sense.
    """
    names = [item.name for item in fields(Run) if item.name in record]
    own = {} if targets is None else targets
    return Run(**{name: _restored(name, record[name], own.get(name), trust) for name in names})


def _restored(field: str, value: Any, target: str | None, trust: bool) -> Any:
    if field not in GROUPS or value is None:
        return value
    kind = _kind(field, value["name"]) if target is None else _own_kind(field, target, trust)
    given = {item.name: value[item.name] for item in fields(kind) if item.name in value}
    return kind(**{name: tuple(item) if isinstance(item, list) else item for name, item in given.items()})


def _kind(field: str, name: str) -> Any:
    kinds = choices_of(field)
    one_of(field, name, kinds)
    return kinds[name]


def _own_kind(field: str, target: str, trust: bool) -> Any:
    """A class that is not vanishgrad's own."""
    if trust:
        try:
            import_module(target.rpartition(".")[0])
        except Exception as error:  # code of the user's
            raise SettingError(f"{field}: {target} cannot be imported ({error})") from None
    kinds = {f"{kind.__module__}.{kind.__qualname__}": kind for kind in choices_of(field).values()}
    require(
        target in kinds,
        f"{field}: {target} is a class of its own that is not imported; import it first, give --config-dir "
        "again, or trust=True if its code may run",
    )
    return kinds[target]


def choices_of(group: str) -> dict[str, Any]:
    """Every choice of a group by its name."""
    return named.choices_of(named.protocols_of(Run, GROUPS)[group])
