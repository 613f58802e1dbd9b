"""Where the configuration files are."""

from __future__ import annotations

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
