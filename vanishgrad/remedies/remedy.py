"""What every remedy is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from vanishgrad.run import Run


class Remedy(Protocol):
    """A treatment of a setting."""

    name: ClassVar[str]

    def __call__(self, run: Run) -> Run:
        """The treated twin of `run`."""
        ...


@dataclass(frozen=True)
class Untreated(Remedy):
    """The setting as it is."""

    name: ClassVar[str] = "none"

    def __call__(self, run: Run) -> Run:
        return run
