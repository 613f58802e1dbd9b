"""What differs between the setting that a sweep recorded and the one that it is asked to go on with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

JOBS, KEYS = 3, 4  # as many are shown

Entry = Mapping[str, Any]


def changes(then: Sequence[Entry], now: Sequence[Entry]) -> str:
    """`job 3: lr 0.1 -> 0.2, act tanh -> relu; and 12 more jobs`; empty where nothing has changed.

    Arguments:
        then: the jobs of a sweep as sweep.json has them, each with its number, folder and setting.
        now: as many others.
    """
    found = {old["number"]: _of_job(old, new) for old, new in zip(then, now, strict=True)}
    told = [f"job {number}: {_first(keys, KEYS, ', ')}" for number, keys in found.items() if keys]
    return _first(told, JOBS, "; ", " jobs")


def changed_keys(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """`lr 0.1 -> 0.2` for every key; what only one version of vanishgrad knows has not changed."""
    old, new = _flat(then), _flat(now)
    return [f"{key} {old[key]} -> {new[key]}" for key in old if key in new and old[key] != new[key]]


def _of_job(old: Entry, new: Entry) -> list[str]:
    moved = old["folder"] != new["folder"]
    folder = [f"folder {old['folder']} -> {new['folder']}"] if moved else []
    return folder + changed_keys(old["setting"], new["setting"])


def _flat(setting: Mapping[str, Any]) -> dict[str, Any]:
    """One key per number: a choice stands as `act`, its parameters as `act.slope`."""
    found: dict[str, Any] = {}
    for key, value in setting.items():
        if isinstance(value, Mapping):
            found[key] = value["name"]
            found |= {f"{key}.{name}": item for name, item in value.items() if name != "name"}
        else:
            found[key] = value
    return found


def _first(parts: Sequence[str], count: int, between: str, unit: str = "") -> str:
    rest = len(parts) - count
    return between.join([*parts[:count], *([f"and {rest} more{unit}"] if rest > 0 else [])])
