"""Between runs and what is typed: the overrides that make one of another, and a run with overrides."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, get_args, get_type_hints

from vanishgrad import remedies
from vanishgrad.description import choices_of
from vanishgrad.errors import one_of, require
from vanishgrad.run import GROUPS, Run

KINDS = get_type_hints(Run)
REMEDY = "remedy"
DIGITS = 6  # of a number that nobody typed, such as a tenth of a rate


def changed(before: Run, after: Run) -> dict[str, Any]:
    """The fields in which `after` differs from `before`, with the values of `after`."""
    pairs = ((item.name, getattr(before, item.name), getattr(after, item.name)) for item in fields(Run))
    return {name: new for name, old, new in pairs if new != old}


def overrides_of(before: Run, changes: Mapping[str, Any]) -> tuple[str, ...]:
    """What to type for `changes` of the run `before`: `act=leaky_relu act.slope=0.1`.

    Of another choice those parameters are mentioned that are not its defaults, of the same one those that
    change.
    """
    return tuple(text for key, value in changes.items() for text in _typed(key, getattr(before, key), value))


def kept(typed: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """Of what was typed, all that `overrides` do not replace; with a choice go its parameters."""
    keys = [text.partition("=")[0] for text in overrides]
    choices = tuple(f"{key}." for key in keys if key in GROUPS)
    return [
        text
        for text in typed
        if text.partition("=")[0] not in keys and not text.startswith(choices or ("=",))
    ]


def treated(run: Run, text: str) -> Run:
    """`run` with the overrides in `text`, separated by blanks, applied; a `remedy=` comes last.

    Raises:
        SettingError: for what does not exist, or makes no sense together.
    """
    given = [_parsed(part) for part in text.split()]
    plain = {key: value for key, value in given if key.partition(".")[0] != REMEDY}
    treatment = {key: value for key, value in given if key.partition(".")[0] == REMEDY}
    changes = {
        key: _choice(run, key, plain) if key in GROUPS else _number(key, plain[key])
        for key in dict.fromkeys(key.partition(".")[0] for key in plain)
    }
    return rounded(run, _remedy(treatment)(replace(run, **changes)))


def rounded(before: Run, after: Run) -> Run:
    """`after` with a learning rate that can be typed: 0.01 for a tenth of 0.1."""
    if after.lr is None or after.lr == before.lr:
        return after
    return replace(after, lr=float(f"{after.lr:.{DIGITS}g}"))


def _typed(key: str, before: Any, value: Any) -> list[str]:
    if key not in GROUPS or value is None:
        return [f"{key}={_shown(value)}"]
    same = type(before) is type(value)
    known = {item.name: getattr(before, item.name) if same else item.default for item in fields(value)}
    numbers = {name: getattr(value, name) for name in known}
    texts = [f"{key}.{name}={_shown(item)}" for name, item in numbers.items() if item != known[name]]
    return texts if same else [f"{key}={value.name}", *texts]


def _shown(value: Any) -> str:
    """A value as Hydra's grammar has it."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_shown, value))}]"
    return str(value)


def _parsed(text: str) -> tuple[str, Any]:
    key, sign, value = text.partition("=")
    require(bool(sign), f"{text}: write key=value")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _choice(run: Run, group: str, given: Mapping[str, Any]) -> Any:
    """The choice of a group with its parameters; without a name the one that `run` has."""
    parameters = {key.partition(".")[2]: value for key, value in given.items() if key.startswith(f"{group}.")}
    if group not in given:
        return _with(group, getattr(run, group), parameters)
    name = given[group]
    if name is None:
        return None
    kinds = choices_of(group)
    one_of(group, name, kinds)
    return _with(group, kinds[name](), parameters)


def _with(group: str, choice: Any, parameters: Mapping[str, Any]) -> Any:
    """`choice` with `parameters` of the types that it wants."""
    hints = get_type_hints(type(choice))
    names = [item.name for item in fields(choice)]
    for name in parameters:
        one_of(f"{group}.{name}", name, names)
    return replace(choice, **{name: _cast(value, hints[name]) for name, value in parameters.items()})


def _number(key: str, value: Any) -> Any:
    one_of(key, key, KINDS)
    return _cast(value, KINDS[key])


def _cast(value: Any, hint: Any) -> Any:
    """An integer where a float is wanted, a list where a tuple is; all else is checked by its owner."""
    if isinstance(value, list):
        return tuple(map(float, value))
    kinds = get_args(hint) or (hint,)
    wants_float = float in kinds and int not in kinds
    return float(value) if wants_float and isinstance(value, int) and not isinstance(value, bool) else value


def _remedy(given: Mapping[str, Any]) -> remedies.Remedy:
    kinds = {kind.name: kind for kind in vars(remedies).values() if hasattr(kind, "name")}
    name = given.get(REMEDY, remedies.Untreated.name)
    one_of(REMEDY, name, kinds)
    parameters = {key.partition(".")[2]: value for key, value in given.items() if key != REMEDY}
    found: remedies.Remedy = _with(REMEDY, kinds[name](), parameters)
    return found
