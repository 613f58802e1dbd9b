"""What was typed, held against the names that exist, before Hydra sees it: its messages name too little."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, QuotedString
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from vanishgrad.config.location import choice_file, choice_names
from vanishgrad.config.typed import shown
from vanishgrad.errors import SettingError, one_of, require

NULLABLE = ("act", "loss")  # groups that the model or the data chooses for when nobody else does
NULL = "null"  # the name under which Hydra finds the choice `loss=null`
LONGEST = 100  # characters of an override that are repeated in a message
QUOTED_NULL = f"'{NULL}'"
BARE_NULL = re.compile(r"""(?<![\w'"])null(?![\w'"])""", re.IGNORECASE)

Groups = Mapping[str, Sequence[str]]


def parse(texts: Sequence[str], groups: Groups) -> list[Override]:
    """Overrides in Hydra's grammar."""
    for text in texts:
        require("=" in text or text.startswith("~"), _bare(text, groups))
    return [_parsed(text) for text in texts]


def check_names(override: Override, groups: Groups, numbers: Sequence[str]) -> None:
    """Refuse a key, or a choice, that does not exist; `numbers` are the keys that are no groups."""
    if is_hydra(override):
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
    return f"{key}={NULL}" if key in NULLABLE and value == QUOTED_NULL else override


def is_parameter(override: Override) -> bool:
    """Whether it is a `group.parameter`."""
    return "." in override.key_or_group and not is_hydra(override)


def is_hydra(override: Override) -> bool:
    return bool(override.is_hydra_override()) or override.key_or_group == "hydra"


def _parsed(text: str) -> Override:
    try:
        return OverridesParser.create().parse_overrides([text])[0]
    except (HydraException, ValueError) as error:  # ValueError: an integer of thousands of digits
        lines = [line for line in str(error).splitlines() if not line.startswith(("Error parsing", "See "))]
        message = (
            f"{_short(text)}: not understood ({lines[0]}); write key=value, special characters in quotes"
        )
        raise SettingError(message) from None


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _normalised(override: Override, swept: set[str]) -> str:
    text = override.input_line or ""
    key, _, value = text.partition("=")
    if key in NULLABLE:
        return f"{key}={BARE_NULL.sub(QUOTED_NULL, value)}"
    late = is_parameter(override) and key.partition(".")[0] in swept and not override.is_sweep_override()
    return f"{key}=choice({value})" if late else text


def _check_choice(group: str, value: Any, choices: Sequence[str]) -> None:
    name = value if isinstance(value, str) else shown(value)
    meant = value is None and name not in choices and "none" in choices
    require(not meant, f"{group}=null: choose one of {', '.join(choices)} (did you mean none?)")
    one_of(group, name, choices)


def _valid(name: str, names: Sequence[str]) -> str:
    near = get_close_matches(name, names, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return f"valid are {', '.join(names)}{hint}"


def _owners(group: str, parameter: str) -> str:
    """`; act=leaky_relu, prelu have it`."""
    owners = [name for name in choice_names(group) if parameter in (file_parameters(group, name) or ())]
    return f"; {group}={' or '.join(owners)} {'has' if len(owners) == 1 else 'have'} it" if owners else ""


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
    return f"{text}: write key=value, such as depth=20 or act=sigmoid{hint}"
