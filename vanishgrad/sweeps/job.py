"""One run of a sweep, and what came of it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vanishgrad.engine import Provenance
from vanishgrad.errors import SettingError
from vanishgrad.run import Run


@dataclass(frozen=True, eq=False)
class TextFile:
    """A text file that jobs leave in their folders, but for the words in which they differ.

    Arguments:
        path: in the folder.
        parts: pieces of the text, and the numbers of the words between them.
    """

    path: str
    parts: tuple[str | int, ...]

    def filled(self, words: Sequence[str]) -> str:
        """The text of the job that has these words."""
        return "".join([words[part] if isinstance(part, int) else part for part in self.parts])


@dataclass(frozen=True)
class Job:
    """A run with its place in a sweep; travels to other processes.

    Arguments:
        number: in the sweep, from 0.
        run: the setting.
        folder: of the run.
        provenance: what run.json says about where the setting came from.
        label: the overrides that tell it from the other jobs.
        files: to be left in the run folder; shared with other jobs.
        words: of these files.
    """

    number: int
    run: Run
    folder: Path
    provenance: Provenance = field(default_factory=Provenance)
    label: str = ""
    files: tuple[TextFile, ...] = ()
    words: tuple[str, ...] = ()


def refuse_twice(runs: Sequence[Hashable], names: Sequence[str]) -> None:
    """Refuse a sweep with the same run twice: they end alike, and their spread would be none.

    Arguments:
        runs: what is asked for.
        names: what was typed for each; empty where nothing was.
    """
    first: dict[Hashable, int] = {}
    again = [
        (first[run], number) for number, run in enumerate(runs) if first.setdefault(run, number) != number
    ]
    if again:
        named = [f"{number} ({names[number]})" if names[number] else f"{number}" for number in again[0]]
        others = f" ({len(again)} of {len(runs)} are there already)" if len(again) > 1 else ""
        raise SettingError(
            f"runs {' and '.join(named)} of the sweep have the same setting and would end alike; "
            f"leave one out{others}"
        )


@dataclass(frozen=True)
class Outcome:
    """How a run of a sweep ended: a line of runs.jsonl.

    Arguments:
        number: of the job.
        status: completed, diverged, interrupted or failed.
        seconds: that it took; of a run in a stack its share.
        metrics: final values by name: val_accuracy, val_loss, gradient_slope, ...; those that are known.
        steps: updates done.
        diverged_at: the step at which a number stopped being finite.
        error: of a failed run, the last line.
        log: of a failed run, the file with the traceback.
    """

    number: int
    status: str
    seconds: float
    metrics: dict[str, float | None] = field(default_factory=dict)
    steps: int = 0
    diverged_at: int | None = None
    error: str | None = None
    log: str | None = None
