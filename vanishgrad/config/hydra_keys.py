"""Hydra's own settings, `hydra.KEY` and `hydra/GROUP`: which there are, their values, and when they count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, flag_override
from omegaconf.errors import OmegaConfBaseException

from vanishgrad.errors import SettingError, cut, meant, require

OF_SWEEPS = ("hydra.sweep", "hydra.launcher", "hydra/launcher", "hydra.sweeper", "hydra/sweeper")
CHOSEN = ("launcher", "sweeper")  # by a group, whose choice has these keys and no others
NOT_SET = {
    "hydra.runtime": "is what Hydra finds; it cannot be set",
    "hydra.overrides": "is what was typed; it cannot be set",
    "hydra.launcher._target_": "a launcher is chosen by hydra/launcher=NAME",
    "hydra.sweeper._target_": "a sweeper is chosen by hydra/sweeper=NAME",
    "hydra.callbacks": "callbacks have no place here",
}
OF_RUNS = ("hydra.run",)
WORDS = {bool: "true or false", int: "an integer", float: "a number", str: "text"}


def check(overrides: Iterable[Override], node: DictConfig) -> None:
    """Set what is typed, and refuse a key that Hydra does not have, and a value that it cannot have.

    Arguments:
        overrides: those of Hydra's own settings that are no groups.
        node: Hydra's settings without them; afterwards with them.

    Raises:
        SettingError: for the first one that is wrong.
    """
    for override in overrides:
        text, path = cut(override.input_line or ""), override.key_or_group.split(".")[1:]
        require(bool(path), f"{text}: Hydra's settings are set one by one, such as hydra.run.dir=DIR")
        for root, reason in NOT_SET.items():
            require(not _below(override.key_or_group, (root,)), f"{text}: {reason}")
        require(not override.is_delete(), f"{text}: a setting of Hydra's cannot be deleted; give it a value")
        _check_settable(text, path, node)
        if _is_open(path, node):
            there = OmegaConf.select(node, ".".join(path)) is not None
            added = override.is_add() or override.is_force_add()
            require(there or added, f"{text}: is new there; write +{text}")
            continue
        require(
            not (override.is_add() or override.is_force_add()),
            f"{text}: write it without +: {text.lstrip('+')}",
        )
        _check_key(text, path, node)
        _check_value(text, path, override.value(), node)


def check_groups(overrides: Iterable[Override], below: Callable[[str], Sequence[str]]) -> None:
    """Refuse `hydra/GROUP=NAME`, or `hydra/GROUP/GROUP=NAME`, of a group that there is not.

    Arguments:
        overrides: those of Hydra's groups.
        below: the groups in another, such as `hydra/sweeper`.
    """
    for override in overrides:
        text, (above, *names) = cut(override.input_line or ""), override.key_or_group.split("/")
        for name in names:
            groups = below(above)
            there = f"valid are {', '.join(groups)}{meant(name, groups)}" if groups else "there is none"
            require(name in groups, f"{text}: {above} has no group {name}; {there}")
            above = f"{above}/{name}"


def check_search(folders: object, text: str) -> None:
    """Refuse a search path that is no list of folders that are there."""
    right = isinstance(folders, list) and all(isinstance(folder, str) for folder in folders)
    require(right, f"{cut(text)}: must be a list of folders, hydra.searchpath=['file://DIR']")
    assert isinstance(folders, list)
    for folder in folders:
        path = folder.removeprefix("file://")
        require("://" in path or Path(path).is_dir(), f"{cut(text)}: there is no folder {path}")


def check_use(overrides: Iterable[Override], swept: bool, alone: str = "") -> None:
    """Refuse what has no effect: settings of sweeps for one run, and those of one run for a sweep."""
    for override in overrides:
        key, text = override.key_or_group, cut(override.input_line or "")
        advice = f"{alone}; leave it out" if alone else "add -m, or leave it out"
        require(swept or not _below(key, OF_SWEEPS), f"{text}: is for a sweep; {advice}")
        require(
            not swept or not _below(key, OF_RUNS),
            f"{text}: is for one run; the folder of a sweep is hydra.sweep.dir=DIR",
        )


def stands_alone(override: Override) -> bool:
    """Whether nothing else in a configuration follows from it: a folder, how jobs are launched."""
    key = override.key_or_group
    return _below(key, (*OF_RUNS, *OF_SWEEPS)) and key.count(".") == 2  # below that is what takes any key


def _below(key: str, roots: Sequence[str]) -> bool:
    return any(key == root or key.startswith(f"{root}.") for root in roots)


def _is_open(path: Sequence[str], node: DictConfig) -> bool:
    """Whether the key is in a part that takes any keys, such as the variables of `hydra.job.env_set`."""
    within: Any = node
    for place, name in enumerate(path[:-1]):
        if not OmegaConf.is_dict(within) or name not in within:
            return False
        within = within._get_node(name)
        if OmegaConf.is_dict(within) and within._metadata.object_type is dict:
            return place > 0 or name not in CHOSEN
    return False


def _check_settable(text: str, path: Sequence[str], node: DictConfig) -> None:
    """Refuse a key of what Hydra leaves unset, a set of values to which its own overrides cannot add."""
    within: Any = node
    for depth, name in enumerate(path, 1):
        if not OmegaConf.is_dict(within) or name not in within:
            return
        within = within._get_node(name)
        unset = OmegaConf.is_dict(within) and within._is_none()
        require(not unset, f"{text}: {'.'.join(['hydra', *path[:depth]])} can be set in a config file only")


def _check_key(text: str, path: Sequence[str], node: DictConfig) -> None:
    within: Any = node
    for depth, name in enumerate(path):
        above = ".".join(["hydra", *path[:depth]])
        require(OmegaConf.is_dict(within), f"{text}: {above} has no settings of its own")
        names = [str(key) for key in within]
        there = f"valid are {', '.join(names)}{meant(name, names)}" if names else "it has none"
        require(name in within, f"{text}: {above} has no setting {name}; {there}")
        within = within._get_node(name)


def _check_value(text: str, path: Sequence[str], value: Any, node: DictConfig) -> None:
    try:
        with flag_override(node, "readonly", False):
            OmegaConf.update(node, ".".join(path), value, merge=True)
    except (OmegaConfBaseException, ValueError, TypeError):
        parent: Any = OmegaConf.select(node, ".".join(path[:-1])) if path[1:] else node
        kind = parent._get_node(path[-1])._metadata
        raise SettingError(f"{text}: must be {_words(kind.ref_type, kind.optional)}") from None


def _words(kind: Any, optional: bool) -> str:
    """A type in words: `an integer or null`."""
    kinds = get_args(kind) if get_origin(kind) is Union else (kind,)
    said = [_of_kind(one) for one in kinds] + ["null"] * optional
    return " or ".join(dict.fromkeys(said))


def _of_kind(kind: Any) -> str:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return f"one of {', '.join(kind.__members__)}"
    if get_origin(kind) is list:
        return "a list, [A,B]"
    return WORDS.get(kind, "a set of values, {KEY: VALUE}")
