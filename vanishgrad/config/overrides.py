"""What was typed, held against the names that exist, before Hydra sees it: its messages name too little."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, get_args, get_type_hints

from hydra.core.override_parser.types import ChoiceSweep, Glob, Override, QuotedString, RangeSweep
from omegaconf import DictConfig, OmegaConf

from vanishgrad.config import grammar
from vanishgrad.config.location import choice_file, choice_names
from vanishgrad.config.typed import shown
from vanishgrad.description import choices_in
from vanishgrad.errors import SettingError, cut, meant, one_of, require, writable
from vanishgrad.remedies import CHOICES as REMEDIES
from vanishgrad.run import GROUPS

NULLABLE = ("act", "loss")  # groups that the model or the data chooses for when nobody else does
NULL = "null"  # the name under which Hydra finds the choice `loss=null`
QUOTED_NULL = f"'{NULL}'"
LATE_NULL = "${oc.decode:null}"  # what is null in a job, for choice(...), which takes no null
BARE_NULL = re.compile(r"""(?<![\w'"])null(?![\w'"])""", re.IGNORECASE)
NAMES = ("name", "hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir", "hydra.job.name")  # any text
MOST_RUNS = 1_000_000  # of a sweep

Groups = Mapping[str, Sequence[str]]


def parse(texts: Sequence[str], groups: Groups) -> list[Override]:
    """Overrides in Hydra's grammar: globs as the choices that they stand for, free text in quotes.

    Raises:
        SettingError: for what is none, and for a key that is given twice.
    """
    for text in texts:
        writable(text, text)
        require("=" in text or text.startswith("~"), _bare(text, groups))
        require(not text.lstrip("+~ ").startswith("="), f"{cut(text)}: has no key; {grammar.EXAMPLE}")
    parsed = [_expanded(grammar.parse(text, is_text(text)), groups) for text in texts]
    _check_once(parsed, texts)
    return parsed


def check_sweep(overrides: Iterable[Override]) -> None:
    """Refuse sweeps without values, of a value twice, and of more runs than there will ever be time for."""
    runs = 1
    for override in overrides:
        if override.is_sweep_override() and not override.is_interval_sweep():
            count = _count(override)
            require(count > 0, f"{_text(override)}: is a sweep over no values")
            runs *= count
            require(
                runs <= MOST_RUNS,
                f"{_text(override)}: makes {runs:,} runs; a sweep has at most {MOST_RUNS:,}",
            )
            _check_values(override)


def check_names(override: Override, groups: Groups, numbers: Sequence[str]) -> None:
    """Refuse a key, or a choice, that does not exist; `numbers` are the keys that are no groups."""
    if is_hydra(override):
        _check_hydra(override)
        return
    text, (head, _, parameter) = override.input_line or "", override.key_or_group.partition(".")
    names = [*numbers, *groups]
    require(head in names, f"{text}: there is no setting {head}; {_valid(head, names)}")
    require(
        not (override.is_add() or override.is_force_add()),
        f"{text}: {head} exists already; write it without +: {text.lstrip('+')}",
    )
    require(not override.is_delete(), f"{text}: {_no_deletion(head, parameter, groups)}")
    require(override.package is None, f"{text}: write {head}=CHOICE, without @{override.package}")
    require(not parameter or head in groups, f"{text}: {head} has no parameters; write {head}=VALUE")
    if head in groups and not parameter:
        for value in override_values(override):
            _check_choice(head, value, groups[head])


def check_text(override: Override) -> None:
    """Refuse a list or a set of values where text is wanted, whose brackets may have been meant as text."""
    text = override.input_line or ""
    require(
        not isinstance(override.value(), list | dict) or not is_text(text),
        f"{cut(text)}: must be text; if the brackets are part of it, quote it: {grammar.as_one(text)}",
    )


def check_parameters(override: Override, options: Sequence[str]) -> None:
    """Refuse `group.parameter=value` where one of the `options` chosen for the group lacks the parameter."""
    group, _, parameter = override.key_or_group.partition(".")
    for option in options:
        valid = file_parameters(group, option)
        if valid is not None and parameter not in valid:
            there = _valid(parameter, valid) if valid else "it has none"
            message = f"{override.input_line}: {group}={option} has no parameter {parameter}; {there}"
            raise SettingError(message + _owners(group, parameter))


def file_parameters(group: str, option: str) -> list[str] | None:
    """The parameters in the config file of a choice; None for a choice from elsewhere."""
    if option == NULL:
        return []
    file = choice_file(group, option)
    if file is None:
        return None
    config = OmegaConf.load(file)
    assert isinstance(config, DictConfig)
    return [str(key) for key in config if key not in ("_target_", "defaults")]


def override_values(override: Override) -> Iterator[Any]:
    """The values of an override, one or those of a sweep; none for an interval, which has no list."""
    if override.is_interval_sweep():
        return
    swept = override.is_sweep_override()
    listed: Iterable[Any] = override.sweep_iterator() if swept else [override.value()]
    yield from (value.text if isinstance(value, QuotedString) else value for value in listed)


def normalised(overrides: Sequence[Override]) -> list[str]:
    """The overrides as Hydra takes them.

    Hydra refuses null for a group, so `loss=null` names a choice; and it applies a parameter to the
    defaults of a sweep before the choice that has it, unless the parameter is swept as well.
    """
    swept = {override.key_or_group for override in overrides if override.is_sweep_override()}
    return [_normalised(override, swept) for override in overrides]


def as_typed(override: str) -> str:
    """An override of a job as the user would type it."""
    key, _, value = override.partition("=")
    is_null = value == QUOTED_NULL if key in NULLABLE else value.replace("\\", "") == LATE_NULL
    return f"{key}={NULL}" if is_null else override


def is_parameter(override: Override) -> bool:
    """Whether it is a `group.parameter`."""
    return "." in override.key_or_group and not is_hydra(override)


def is_hydra(override: Override) -> bool:
    return bool(override.is_hydra_override()) or override.key_or_group == "hydra"


def _text(override: Override) -> str:
    return cut(override.input_line or "")


def is_text(text: str) -> bool:
    """Whether the value is any text: a name, a folder, a file, or text of a choice that names no words."""
    key = text.partition("=")[0]
    group, _, parameter = key.partition(".")
    if group not in (*GROUPS, "remedy") or not parameter:
        return key in NAMES
    kinds = REMEDIES if group == "remedy" else choices_in(group)
    hints = [get_type_hints(kind).get(parameter) for kind in kinds.values()]
    return any(str in (get_args(hint) or (hint,)) for hint in hints)


def _expanded(override: Override, groups: Groups) -> Override:
    """`act=glob(s*)` as the choices of the group whose names the pattern fits."""
    pattern = override.value()
    if not isinstance(pattern, Glob):
        return override
    key = override.key_or_group
    require(key in groups, f"{_text(override)}: glob is over the choices of a group, such as act=glob(s*)")
    names = [name for name in groups[key] if name != NULL]
    found = pattern.filter(names)
    require(bool(found), f"{_text(override)}: fits none of {', '.join(names)}")
    return grammar.listed(override, found)


def _check_once(overrides: Sequence[Override], texts: Sequence[str]) -> None:
    """Refuse a key that is given twice: the last would win, and nobody may have meant that."""
    counts = Counter(override.key_or_group for override in overrides)
    for key, count in counts.items():
        same = [text for text, one in zip(texts, overrides, strict=True) if one.key_or_group == key]
        times = "twice" if count == 2 else f"{count} times"
        require(count == 1, f"{' '.join(map(cut, same))}: {key} is given {times}; leave one")


def _count(override: Override) -> int:
    """The values of a sweep, counted without making them."""
    value = override.value()
    if isinstance(value, ChoiceSweep):
        return len(value.list)
    assert isinstance(value, RangeSweep)
    start, stop, step = value.start, value.stop, value.step
    assert start is not None
    assert stop is not None
    numbers = f"{_text(override)}: the numbers of a range must be finite, and its step not 0"
    require(all(map(math.isfinite, (start, stop, step))) and step != 0, numbers)
    if isinstance(start, int) and isinstance(stop, int) and isinstance(step, int):
        return max(0, -((start - stop) // step))
    return max(0, math.ceil((Decimal(stop) - Decimal(start)) / Decimal(step)))


def _check_values(override: Override) -> None:
    """Refuse a value that a sweep has twice: two equal runs are no more evidence than one."""
    if isinstance(override.value(), RangeSweep):
        return
    counts = Counter(shown(value) for value in override_values(override))
    twice = [value for value, count in counts.items() if count > 1]
    require(not twice, f"{_text(override)}: has {', '.join(twice)} twice; leave one")


def _normalised(override: Override, swept: set[str]) -> str:
    text = override.input_line or ""
    key, _, value = text.partition("=")
    if key in NULLABLE:
        return f"{key}={BARE_NULL.sub(QUOTED_NULL, value)}"
    late = is_parameter(override) and key.partition(".")[0] in swept and not override.is_sweep_override()
    if not late:
        return text
    return f"{key}=choice({grammar.quoted(LATE_NULL) if override.value() is None else value})"


def _check_choice(group: str, value: Any, choices: Sequence[str]) -> None:
    name = value if isinstance(value, str) else shown(value)
    meant = value is None and name not in choices and "none" in choices
    require(not meant, f"{group}=null: choose one of {', '.join(choices)} (did you mean none?)")
    one_of(group, name, choices)


def _valid(name: str, names: Sequence[str]) -> str:
    return f"valid are {', '.join(names)}{meant(name, names)}"


def _owners(group: str, parameter: str) -> str:
    """`; act=leaky_relu, prelu have it`."""
    owners = [name for name in choice_names(group) if parameter in (file_parameters(group, name) or ())]
    return f"; {group}={' or '.join(owners)} {'has' if len(owners) == 1 else 'have'} it" if owners else ""


def _check_hydra(override: Override) -> None:
    """What holds for all of Hydra's own settings, groups too."""
    text = cut(override.input_line or "")
    key = override.key_or_group
    require(override.package is None, f"{text}: write {key}=VALUE, without @{override.package}")
    require(not override.is_sweep_override(), f"{text}: is the same for every run of a sweep; give one value")
    require(
        "/" not in key or not (override.is_add() or override.is_force_add() or override.is_delete()),
        f"{text}: write {key}=CHOICE",
    )


def _no_deletion(head: str, parameter: str, groups: Groups) -> str:
    """What to write in place of `~act`."""
    if head not in groups or parameter:
        key = f"{head}.{parameter}" if parameter else head
        return f"a setting cannot be deleted; write {key}=VALUE"
    return f"a group cannot be deleted; write {head}=CHOICE; choose one of {', '.join(groups[head])}"


def _bare(text: str, groups: Groups) -> str:
    """What to say about a word without `=`."""
    owners = [f"{group}={text}" for group, choices in groups.items() if text in choices]
    hint = f" (did you mean {' or '.join(owners)}?)" if owners else ""
    return f"{cut(text) if text.strip() else repr(text)}: {grammar.EXAMPLE}{hint}"
