"""What a run is called: the choices in which it differs from the other runs of a report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from vanishgrad.diagnosis.finding import counted
from vanishgrad.records import Value, flatten

__all__ = ["Flat", "counted", "run_labels", "setting_label", "summary", "typed_value", "varied_keys"]

Flat: TypeAlias = Mapping[str, Value]

# The seed and the name; and what tables of runs call their own columns, should a foreign record use the name.
NOT_A_SETTING = frozenset(
    {"seed", "name", "run", "runs", "setting", "status", "diverged", "diverged_at", "verdict"}
)
ALWAYS_NAMED = ("model", "depth", "act")
NAMED_UNLESS_NONE = ("norm", "residual", "clip", "reg", "pretrain", "remedy")


def varied_keys(
    choices: Sequence[Mapping[str, Any]], overrides: Sequence[Iterable[str]] = ()
) -> tuple[str, ...]:
    """The keys in which runs differ, choices before numbers; the seed and the name are no setting.

    A key that some runs do not have (`act.slope`) counts when those that have it disagree. A key that nobody
    typed and that follows from the others (the optimizer's own learning rate) is left out; without overrides
    nothing is.

    Example:
        >>> varied_keys([{"depth": 5, "act": {"name": "relu"}}, {"depth": 9, "act": {"name": "tanh"}}])
        ('act', 'depth')
    """
    flats = [flatten(one) for one in choices]
    keys = dict.fromkeys(key for flat in flats for key in flat if key not in NOT_A_SETTING)
    varied = [key for key in keys if len({flat[key] for flat in flats if key in flat}) > 1]
    names = {key for one in choices for key, value in one.items() if isinstance(value, Mapping)}
    varied.sort(key=lambda key: key not in names)
    typed = {override.lstrip("+~").split("=")[0] for run in overrides for override in run}
    return _without_implied(flats, varied, typed) if typed else tuple(varied)


def setting_label(flat: Flat, keys: Iterable[str]) -> str:
    """`act=sigmoid norm=batch` for the `keys` that the run has."""
    return " ".join(f"{key}={typed_value(flat[key])}" for key in keys if key in flat)


def run_labels(
    choices: Sequence[Mapping[str, Any]],
    overrides: Sequence[Iterable[str]] = (),
    names: Sequence[str | None] = (),
) -> list[str]:
    """One label per run; runs of the same setting share it.

    Where nothing varied it is the run's name, or a summary of the setting.
    """
    keys = varied_keys(choices, overrides)
    flats = [flatten(one) for one in choices]
    own_names = list(names) or [None] * len(flats)
    return [
        setting_label(flat, keys) or name or summary(flat)
        for flat, name in zip(flats, own_names, strict=True)
    ]


def summary(flat: Flat) -> str:
    """The setting in a few words, such as `depth=20 act=sigmoid`."""
    keys = [key for key in ALWAYS_NAMED if key in flat and flat[key] != "mlp"]
    keys += [key for key in NAMED_UNLESS_NONE if flat.get(key) not in (None, "none")]
    return setting_label(flat, keys) or "one setting"


def typed_value(value: object) -> str:
    """A value as it is typed in an override: `null`, `true`, `0.01`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _without_implied(flats: Sequence[Flat], varied: Sequence[str], typed: set[str]) -> tuple[str, ...]:
    kept = list(varied)
    for key in reversed(varied):
        others = [other for other in kept if other != key]
        if key not in typed and _follows(flats, key, others):
            kept = others
    return tuple(kept)


def _follows(flats: Sequence[Flat], key: str, others: Sequence[str]) -> bool:
    """Whether the values of `others` fix the value of `key` in every run."""
    values: dict[tuple[Value, ...], Value] = {}
    return all(
        values.setdefault(tuple(flat.get(other) for other in others), flat.get(key)) == flat.get(key)
        for flat in flats
    )
