"""The folder of a command, and its removal when the command is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vanishgrad.config.plan import Plan
from vanishgrad.errors import SettingError
from vanishgrad.records import reserve_folder

# What Hydra writes before a task function or a launcher can refuse anything.
HYDRAS = ("multirun.yaml", ".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml", ".hydra")


@contextmanager
def folder_of(plan: Plan) -> Iterator[Path]:
    """The folder of `plan`: nobody else's, unless the user chose its name.

    A `SettingError` inside takes away what is new in the file system, except for files of a run.
    """
    new = [path for path in plan.folder.parents if not path.exists()]
    if plan.dated:
        folder = reserve_folder(plan.folder.parent, plan.folder.name)
        new.insert(0, folder)
    else:
        folder = plan.folder
        new[:0] = [] if folder.exists() else [folder]
    new[:0] = [folder / name for name in HYDRAS if not (folder / name).exists()]
    try:
        yield folder
    except SettingError:
        for path in new:
            _remove(path)
        raise


def _remove(path: Path) -> None:
    """A file, or a folder that is empty."""
    with suppress(OSError):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()
