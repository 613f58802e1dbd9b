"""What all tests share: one torch thread, and where the data outside the package lies."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings

from vanishgrad.choices import named

REPOSITORY = Path(__file__).parents[1]

# Small layers gain nothing from threads and lose much on busy cores.
torch.set_num_threads(1)


# The same examples every time: what is found once is found by everybody.
settings.register_profile("tests", derandomize=True, max_examples=60, deadline=None, database=None)
settings.load_profile("tests")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data sets (`mnist/`, ...): VANISHGRAD_DATA, else shared/data beside the checkout."""
    root = Path(os.environ.get("VANISHGRAD_DATA", REPOSITORY.parent / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"no data in {root}: set VANISHGRAD_DATA to a folder with mnist/")
    return root


_every_kind, _own = named.kinds_of, [False]


def _kinds(protocol: type) -> Iterator[Any]:
    return (kind for kind in _every_kind(protocol) if _own[0] or kind.__module__.startswith("vanishgrad."))


# A choice that a test defines counts once it is imported: elsewhere the shipped ones are all there are.
named.kinds_of = _kinds


@pytest.fixture
def own_choices() -> Iterator[None]:
    """Choices that tests define are known by name, as the user's own are."""
    _own[0] = True
    yield
    _own[0] = False


class Disk:
    """A disk that has so much room left, once that is said.

    What a file gives up by being cut short can be used again.

    Arguments:
        folder: what is below it is on the disk.
        patch: takes the place of the system's functions.
    """

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.left: int | None = None  # bytes; None for no end of them
        self.only = ""  # what is full, if not all: a part of a path
        self.error = errno.ENOSPC
        self.dead = False  # whether nothing can be written whatever is given up
        self._write, self._truncate = os.write, os.ftruncate
        patch.setattr(os, "write", self.write)
        patch.setattr(os, "ftruncate", self.truncate)

    def fill(self, left: int = 0, only: str = "") -> None:
        self.left, self.only = left, only

    def empty(self) -> None:
        self.left, self.dead = None, False

    def write(self, descriptor: int, content: bytes) -> int:
        if self.left is None or not self._holds(descriptor):
            return self._write(descriptor, content)
        if self.left == 0 or self.dead:
            raise OSError(self.error, os.strerror(self.error))
        done = self._write(descriptor, content[: self.left])
        self.left -= done
        return done

    def truncate(self, descriptor: int, size: int) -> None:
        if self.left is not None and self._holds(descriptor):
            self.left += max(0, os.fstat(descriptor).st_size - size)
        self._truncate(descriptor, size)

    def _holds(self, descriptor: int) -> bool:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        return path.startswith(f"{self.folder}/") and self.only in path


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    """A disk at `tmp_path/disk`, for writes in this process."""
    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc")
    (tmp_path / "disk").mkdir()
    return Disk(tmp_path / "disk", monkeypatch)
