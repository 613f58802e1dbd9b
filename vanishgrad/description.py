"""A run as plain data: what run.json holds, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from vanishgrad.choices import named
from vanishgrad.errors import one_of
from vanishgrad.run import GROUPS, Run


def describe(run: Run) -> dict[str, Any]:
    """Every field of `run`: numbers as they are, a choice as `{"name": ..., parameter: value, ...}`.

    The learning rate and the loss stand as resolved, not as null.
    """
    found: dict[str, Any] = {item.name: getattr(run, item.name) for item in fields(run)}
    found |= {group: describe_choice(found[group]) for group in GROUPS if found[group] is not None}
    return found | {"lr": run.rate, "loss": describe_choice(run.criterion)}


def describe_choice(choice: Any) -> dict[str, Any]:
    """One choice with its parameters."""
    parameters = {item.name: getattr(choice, item.name) for item in fields(choice)}
    return {"name": choice.name} | parameters


def described(record: Mapping[str, Any]) -> Run:
    """The run that `describe` described; a field that the record lacks, of an older version, has its default.

    Raises:
        SettingError: for a choice that does not exist, or a value that makes no sense.
    """
    names = [item.name for item in fields(Run) if item.name in record]
    return Run(**{name: _restored(name, record[name]) for name in names})


def _restored(field: str, value: Any) -> Any:
    if field not in GROUPS or value is None:
        return value
    kinds = choices_of(field)
    one_of(field, value["name"], kinds)
    kind = kinds[value["name"]]
    given = {item.name: value[item.name] for item in fields(kind) if item.name in value}
    return kind(**{name: tuple(item) if isinstance(item, list) else item for name, item in given.items()})


def choices_of(group: str) -> dict[str, Any]:
    """Every choice of a group by its name."""
    return named.choices_of(named.protocols_of(Run, GROUPS)[group])
