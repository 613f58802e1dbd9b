"""A run as plain data and as overrides, and back: what run.json holds, a run with overrides or a remedy."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import lru_cache
from importlib import import_module
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from vanishgrad.choices import named
from vanishgrad.choices.protocol import Activation
from vanishgrad.errors import SettingError, one_of, require, short
from vanishgrad.records import flatten, strict
from vanishgrad.remedies import CHOICES, TABLE, Change, Remedy, filled, holds, lookup, parsed, typed_text
from vanishgrad.run import GROUPS, Run
from vanishgrad.theory import critical_point

FIELDS = tuple(item.name for item in fields(Run))


def describe(run: Run) -> dict[str, Any]:
    """Every field of `run`: numbers as they are, a choice as `{"name": ..., parameter: value, ...}`.

    The learning rate and the loss stand as resolved, not as null.
    """
    values = described_fields(run)
    return values | {group: describe_choice(values[group]) for group in GROUPS}


def described_fields(run: Run) -> dict[str, Any]:
    """What `describe` describes: numbers and choices."""
    values = {name: getattr(run, name) for name in FIELDS}
    return values | {"lr": run.rate, "loss": run.criterion}


def describe_choice(choice: Any) -> dict[str, Any]:
    """One choice with its parameters."""
    kind: Any = type(choice)
    return {"name": choice.name} | {name: getattr(choice, name) for name in _parameter_names(kind)}


@lru_cache(maxsize=1024)
def _parameter_names(kind: Any) -> tuple[str, ...]:
    return tuple(item.name for item in fields(kind))


def changed_keys(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """`lr 0.1 -> 0.2` for every key; what only one version of vanishgrad knows has not changed."""
    old, new = flatten(strict(then), unused=True), flatten(strict(now), unused=True)
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
    values = {name: _restored(name, record[name], own.get(name), trust) for name in names}
    try:
        return Run(**values)
    except (TypeError, OverflowError) as error:  # of a class of the user's own, whose types say little
        raise SettingError(f"is not the setting of a run: {error}") from None


def _restored(field: str, value: Any, target: str | None, trust: bool) -> Any:
    if field not in GROUPS or value is None:
        _check_type(field, value, _hints(Run)[field])
        return value
    require(isinstance(value, Mapping), f"{field}={short(value)}: must be a choice with its name")
    kind = _kind(field, value.get("name")) if target is None else _own_kind(field, target, trust)
    parameters = {item.name: value[item.name] for item in fields(kind) if item.name in value}
    hints = _hints(kind) if target is None else {}
    for name, item in parameters.items():
        _check_type(f"{field}.{name}", item, hints.get(name, Any))
    return kind(
        **{name: tuple(item) if isinstance(item, list) else item for name, item in parameters.items()}
    )


def _check_type(key: str, value: Any, hint: Any) -> None:
    require(_is_of(value, hint), f"{key}={short(value)}: must be {_in_words(hint)}")


def _is_of(value: Any, hint: Any) -> bool:
    """Whether a value of JSON is one of a field: an integer is a number, a list a tuple."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_is_of(value, part) for part in parts)
    if origin is Literal:
        return value in parts
    if origin is tuple:
        return isinstance(value, list | tuple) and all(_is_of(item, parts[0]) for item in value)
    if isinstance(value, bool) and hint in (int, float):
        return False
    kinds: dict[Any, Any] = {float: int | float, int: int, str: str, bool: bool, NoneType: NoneType}
    return isinstance(value, kinds.get(hint, object))


def _in_words(hint: Any) -> str:
    words = {float: "a number", int: "an integer", str: "text", bool: "true or false", NoneType: "null"}
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(map(_in_words, get_args(hint)))
    return words.get(hint, str(hint))


def _kind(field: str, name: object) -> Any:
    kinds = choices_in(field)
    one_of(field, name, kinds)
    return kinds[str(name)]


def _own_kind(field: str, target: str, trust: bool) -> Any:
    """A class that is not vanishgrad's own."""
    if trust:
        try:
            import_module(target.rpartition(".")[0])
        except Exception as error:  # code of the user's
            raise SettingError(f"{field}: {target} cannot be imported ({error})") from None
    protocol = named.protocols_of(Run, GROUPS)[field]
    kinds = {f"{kind.__module__}.{kind.__qualname__}": kind for kind in named.kinds_of(protocol)}
    require(
        target in kinds,
        f"{field}: {target} is a class of its own that is not imported; import it first, give --config-dir "
        "again, or trust=True if its code may run",
    )
    return kinds[target]


def choices_in(group: str) -> dict[str, Any]:
    """Every choice of a group by its name."""
    return named.choices_of(named.protocols_of(Run, GROUPS)[group])


DIGITS = 6  # of a number that nobody typed, such as a tenth of a rate
REMEDY = "remedy"
ANSWERS = ("act.bounded", "act.half_linear", "model.recurrent", "model.gated", "model.feedforward")


def applied(run: Run, overrides: str | Mapping[str, Any]) -> Run:
    """`run` with overrides as they are typed, separated by blanks, or as a mapping; a `remedy=` comes last.

    Raises:
        SettingError: for what does not exist, or makes no sense together.

    Example:
        >>> from vanishgrad import Run
        >>> from vanishgrad.description import applied
        >>> applied(Run(lr=0.5), "act=tanh init=xavier remedy=small_rate").lr
        0.05
    """
    changes = _typed_pairs(overrides) if isinstance(overrides, str) else overrides
    plain = {key: value for key, value in changes.items() if key.partition(".")[0] != REMEDY}
    after = replace(run, **_fields(run, plain)) if plain else run
    return remedied(after, remedy_of(changes)) if len(plain) < len(changes) else after


def remedied(run: Run, remedy: Change) -> Run:
    """`run` treated with a remedy.

    Raises:
        SettingError: when the treated run makes no sense.
    """
    changes = remedy.changes
    return applied(run, _in_place_of(run, changes) if "model" in changes else changes)


def remedy_of(given: Mapping[str, Any]) -> Remedy:
    """The remedy that `remedy=NAME` and its parameters `remedy.KEY` name."""
    name = given.get(REMEDY, "none")
    one_of(REMEDY, name, CHOICES)
    return cast(Remedy, _with(REMEDY, CHOICES[name], _parameters(REMEDY, given)))


def answers(run: Run) -> dict[str, bool]:
    """What the choices of a run say of themselves, for those who read its folder: see `ANSWERS`."""
    asked = ((key, *key.split(".")) for key in ANSWERS)
    return {key: bool(getattr(getattr(run, group), name)) for key, group, name in asked}


def fitting_remedies(run: Run) -> list[str]:
    """The remedies that are worth advising where they help: `run` accepts them, and they change it."""
    return list(_fitting(replace(run, seed=0, name=None, lr=None)))  # the runs of a sweep are asked once


@lru_cache(maxsize=1024)
def _fitting(run: Run) -> tuple[str, ...]:
    value = lookup(describe(run), answers(run))
    return tuple(name for name, one in TABLE.items() if holds(one.where, value) and _fits(run, one))


def check_start(before: Run, after: Run) -> None:
    """Refuse a critical start of which theory says that most units are saturated there.

    Raises:
        SettingError: with the reason.
    """
    if after.init.critical and not before.init.critical:
        _check_critical(after.act)


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


def rounded(before: Run, after: Run) -> Run:
    """`after` with a learning rate that can be typed: 0.01 for a tenth of 0.1."""
    if after.lr is None or after.lr == before.lr:
        return after
    return replace(after, lr=float(f"{after.lr:.{DIGITS}g}"))


def _typed_pairs(text: str) -> dict[str, Any]:
    for part in text.split():
        require("=" in part, f"{part}: write key=value")
    return parsed(text)


def _fields(run: Run, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a run that overrides change, with their new values."""
    try:
        values = filled(changes, lambda key: lookup(describe(run))(key))
    except KeyError as error:
        raise SettingError(f"{error.args[0]}: the setting has no such number") from None
    keys = dict.fromkeys(key.partition(".")[0] for key in values)
    return {key: _choice(run, key, values) if key in GROUPS else _number(key, values[key]) for key in keys}


def _in_place_of(run: Run, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What a remedy that is a recurrent cell changes: an orthogonal start is kept, as is the same cell."""
    cell = changes["model"]
    require(
        hasattr(run.model, "recurrent_init"),
        f"model={run.model.name}: {cell} takes the place of a recurrent cell; use model=rnn",
    )
    if run.model.name == cell:
        return {key: value for key, value in changes.items() if key.startswith("model.")}
    start = getattr(run.model, "recurrent_init")  # noqa: B009 (not every model has it)
    return {**changes, **({"model.recurrent_init": start} if start == "orthogonal" else {})}


def _fits(run: Run, remedy: Change) -> bool:
    """Whether there is such a run, and another one than before."""
    try:
        if remedy.name == "critical":  # asked first: a run that warns of its start warns only once
            _check_critical(run.act)
        return remedied(run, remedy) != run
    except SettingError:
        return False


def _check_critical(act: Activation) -> None:
    warned = _critical_warning(act)
    require(not warned, warned)


@lru_cache(maxsize=64)
def _critical_warning(act: Activation) -> str:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        critical_point(act.module())
    return str(caught[0].message) if caught else ""


def _typed(key: str, before: Any, value: Any) -> list[str]:
    if key not in GROUPS or value is None:
        return [f"{key}={typed_text(value)}"]
    same = type(before) is type(value)
    known = {item.name: getattr(before, item.name) if same else item.default for item in fields(value)}
    numbers = {name: getattr(value, name) for name in known}
    texts = [f"{key}.{name}={typed_text(item)}" for name, item in numbers.items() if item != known[name]]
    return texts if same else [f"{key}={value.name}", *texts]


def _parameters(group: str, given: Mapping[str, Any]) -> dict[str, Any]:
    return {key.partition(".")[2]: value for key, value in given.items() if key.startswith(f"{group}.")}


def _choice(run: Run, group: str, given: Mapping[str, Any]) -> Any:
    """The choice of a group with its parameters; without a name the one that `run` has."""
    if group not in given:
        return _with(group, getattr(run, group), _parameters(group, given))
    name = given[group]
    if name is None:
        return None
    kinds = choices_in(group)
    one_of(group, name, kinds)
    return _with(group, kinds[name](), _parameters(group, given))


def _with(group: str, choice: Any, parameters: Mapping[str, Any]) -> Any:
    """`choice` with `parameters` of the types that it wants."""
    kind: Any = type(choice)
    hints = _hints(kind)
    names = [item.name for item in fields(choice)]
    for name in parameters:
        one_of(f"{group}.{name}", name, names)
    return replace(choice, **{name: _cast(value, hints[name]) for name, value in parameters.items()})


def _number(key: str, value: Any) -> Any:
    kinds = _hints(Run)
    one_of(key, key, kinds)
    return _cast(value, kinds[key])


@lru_cache(maxsize=256)
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _cast(value: Any, hint: Any) -> Any:
    """An integer where a float is wanted, a list where a tuple is; all else is checked by its owner."""
    if isinstance(value, list):
        return tuple(map(float, value))
    kinds = get_args(hint) or (hint,)
    wants_float = float in kinds and int not in kinds
    return float(value) if wants_float and isinstance(value, int) and not isinstance(value, bool) else value
