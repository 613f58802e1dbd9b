"""Where the configuration files are, and where the choices that they name."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

CONFIG_NAME = "config"
PACKAGE = Path(__file__).resolve().parents[1]


def config_folder() -> Path:
    """`conf`: inside an installed package, beside the package in a checkout."""
    inside = PACKAGE / "conf"
    return inside if inside.is_dir() else PACKAGE.parent / "conf"


def choice_names(group: str) -> list[str]:
    """The choices of a group, by the names of their files."""
    return sorted(file.stem for file in (config_folder() / group).glob("*.yaml"))


def group_names() -> list[str]:
    """The groups, by the names of their folders."""
    return sorted(folder.name for folder in config_folder().iterdir() if folder.is_dir())


def home_of(protocol: type) -> str:
    """The module whose choices a group has: its protocol's, or the package around it that shows both."""
    package = protocol.__module__.rpartition(".")[0]
    shown = vars(import_module(package)).get(protocol.__name__) is protocol
    return package if shown else protocol.__module__


def within(home: str, kind: type) -> bool:
    """Whether `kind` is defined in the module `home`, or in a module of the package `home`."""
    return kind.__module__ == home or kind.__module__.startswith(f"{home}.")
