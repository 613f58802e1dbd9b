"""Where the configuration files are: those that are shipped, and the user's own of --config-dir."""

from __future__ import annotations

import sys
from pathlib import Path

from vanishgrad.errors import require

CONFIG_NAME = "config"
PACKAGE = Path(__file__).resolve().parents[1]

_own: list[Path] = []  # the folder of --config-dir, while a command that was given one goes on


def config_folder() -> Path:
    """`conf`: inside an installed package, next to the package in a checkout."""
    inside = PACKAGE / "conf"
    return inside if inside.is_dir() else PACKAGE.parent / "conf"


def use_own(folder: str | Path | None) -> None:
    """Let the files in a folder of the user's, as well as those shipped, name choices; None for no such.

    Their `_target_` may be a class of the user's own, which is imported: naming the folder is the user's word
    that its code may run. The folder and the working directory join the import path.

    Raises:
        SettingError: when there is no such folder.
    """
    require(folder is None or Path(folder).is_dir(), f"--config-dir {folder}: there is no such folder")
    _own[:] = [] if folder is None else [Path(folder).absolute()]
    for path in own_import_path():
        if path not in sys.path:
            sys.path.append(path)


def own_folders() -> list[Path]:
    """The folder of --config-dir, if one was given."""
    return list(_own)


def own_import_path() -> list[str]:
    """What --config-dir adds to the import path, here and in other processes."""
    return [*map(str, _own), str(Path.cwd())] if _own else []


def choice_file(group: str, choice: str) -> Path | None:
    """The configuration file of a choice; None where there is none."""
    files = (folder / group / f"{choice}.yaml" for folder in (config_folder(), *_own))
    return next((file for file in files if file.exists()), None)


def choice_names(group: str) -> list[str]:
    """The choices of a group, by the names of their files."""
    folders = (config_folder(), *_own)
    return sorted({file.stem for folder in folders for file in (folder / group).glob("*.yaml")})


def group_names() -> list[str]:
    """The groups, by the names of their folders."""
    return sorted(folder.name for folder in config_folder().iterdir() if folder.is_dir())
