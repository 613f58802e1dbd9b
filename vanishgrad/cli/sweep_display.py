"""A sweep on the terminal while it goes on: how far it is, or a line for each run that ends."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from threading import Lock
from typing import NamedTuple

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from vanishgrad.printing import printable
from vanishgrad.report.labels import counted
from vanishgrad.sweeps.job import Job, Outcome

PER_SECOND = 2  # drawings by themselves: the clock goes on while a stack trains in this process
LONGEST = 200  # characters of an error
FINISHED = ("completed", "diverged")
STYLES = {"running": "cyan", "diverged": "yellow", "interrupted": "yellow", "failed": "red"}
WORDS = {"val_accuracy": "accuracy {:.3f}", "val_loss": "loss {:.4g}"}
FURTHER = {"bits_per_character": "bits per character {:.3f}", "gradient_slope": "slope {:+.3f}"}


class BestSetting(NamedTuple):
    """What a setting has reached so far: the mean of `metric` over `runs` runs."""

    setting: str
    metric: str
    mean: float
    runs: int

    def __str__(self) -> str:
        return (
            f"{WORDS[self.metric].format(self.mean)} ({counted(self.runs, 'run')})  {self.setting}".rstrip()
        )


class Tally:
    """Which runs of a sweep have ended and how, which go on, and how long the others will take.

    Arguments:
        jobs: of the sweep.
        already: what has ended before.
        now: seconds of a clock that does not go back.
    """

    def __init__(self, jobs: Sequence[Job], already: Mapping[int, Outcome], now: float) -> None:
        self.jobs = {job.number: job for job in jobs}
        self._done = {number: one for number, one in already.items() if number in self.jobs}
        self._running: set[int] = set()
        self._ended: set[int] = set()
        self._began = self._last = now

    def started(self, numbers: Sequence[int]) -> None:
        """These runs go on now; one that has ended since the beginning stays ended."""
        fresh = set(numbers) - self._ended
        self._running |= fresh
        for number in fresh:
            self._done.pop(number, None)

    def ended(self, outcome: Outcome, now: float) -> None:
        """A run has ended."""
        self._done[outcome.number] = outcome
        self._running.discard(outcome.number)
        self._ended.add(outcome.number)
        self._last = now

    @property
    def done(self) -> int:
        """How many runs have ended, now or before."""
        return len(self._done)

    def counts(self) -> dict[str, int]:
        """How many runs go on, and how many did not end well, where there are any."""
        states = Counter(outcome.status for outcome in self._done.values())
        states["running"] = len(self._running)
        return {name: states[name] for name in STYLES if states[name]}

    def elapsed(self, now: float) -> float:
        """Seconds since the beginning."""
        return now - self._began

    def remaining(self, now: float) -> float | None:
        """Seconds left at the pace of the runs that have ended; None before the first, and when overdue."""
        if not self._ended:
            return None
        pace = (self._last - self._began) / len(self._ended)
        left = pace * (len(self.jobs) - self.done) - (now - self._last)
        return left if left >= 0 else None

    def standings(self) -> list[BestSetting]:
        """Settings with a finite mean over their runs, the best first; by loss where none has an accuracy."""
        for metric, sign in (("val_accuracy", -1), ("val_loss", 1)):
            values: dict[str, list[float]] = defaultdict(list)
            for number, outcome in self._done.items():
                value = outcome.metrics.get(metric)
                if outcome.status in FINISHED and value is not None and math.isfinite(value):
                    values[setting(self.jobs[number].label)].append(value)
            if values:
                standings = [
                    BestSetting(name, metric, sum(one) / len(one), len(one)) for name, one in values.items()
                ]
                return sorted(standings, key=lambda one: sign * one.mean)
        return []


class SweepDisplay:
    """Tells of runs as they end.

    Arguments:
        console: where.
        tally: of the runs.
        live: whether the console can be drawn on again and again; a line per run otherwise.
    """

    def __init__(self, console: Console, tally: Tally, live: bool) -> None:
        self._console, self._tally = console, tally
        self._lock = Lock()  # the thread of `Live` draws while runs end
        self._width = max((len(job.label) for job in tally.jobs.values()), default=0)
        self.live = (
            Live(console=console, get_renderable=self._view, refresh_per_second=PER_SECOND, transient=True)
            if live
            else None
        )

    def started(self, numbers: Sequence[int]) -> None:
        """These runs are trained now; those of them that are known to go on already may be among them."""
        with self._lock:
            self._tally.started(numbers)

    def ended(self, outcome: Outcome) -> None:
        """A run has ended."""
        with self._lock:
            self._tally.ended(outcome, time.monotonic())
        if self.live is None:
            job = self._tally.jobs[outcome.number]
            text = f"{job.number:>3}  {job.label:<{self._width}}  {outcome_text(outcome)}"
            print(printable(text), file=self._console.file, flush=True)

    def refresh(self) -> None:
        """Show the state of now."""
        if self.live is not None:
            self.live.refresh()

    def _view(self) -> RenderableType:
        with self._lock:
            return drawn(self._tally, time.monotonic())


@contextmanager
def sweep_display(
    console: Console, jobs: Sequence[Job], already: Mapping[int, Outcome]
) -> Iterator[SweepDisplay]:
    """Shows the runs inside as they end; in a terminal it goes away afterwards.

    Arguments:
        console: a terminal, or a file that gets a line per run.
        jobs: of the sweep.
        already: how runs ended that are not trained again, by number.
    """
    can_be_redrawn = console.is_terminal and not console.is_dumb_terminal
    display = SweepDisplay(console, Tally(jobs, already, time.monotonic()), can_be_redrawn)
    if display.live is None:
        yield display
        return
    with display.live:
        yield display


def drawn(tally: Tally, now: float) -> RenderableType:
    """Counts, a bar, the time, and the best and the worst setting so far."""
    head = Text(f"{tally.done} of {counted(len(tally.jobs), 'run')} done")
    for name, count in tally.counts().items():
        head.append(f" · {count} {name}", style=STYLES[name])
    ranked = tally.standings()
    ends = {"best ": ranked[:1], "worst": ranked[1:][-1:]}
    lines = [f"{word}  {standing}" for word, names in ends.items() for standing in names]
    return Group(
        head,
        _bar_and_times(tally, now),
        *map(_cut, lines),
    )


def _cut(text: str) -> Text:
    return Text(printable(text), overflow="ellipsis", no_wrap=True)


def _bar_and_times(tally: Tally, now: float) -> Table:
    left = tally.remaining(now)
    times = f"{_clock(tally.elapsed(now))} elapsed, {'?' if left is None else _clock(left)} left"
    line = Table.grid(padding=(0, 1), expand=True)
    line.add_column(ratio=1)
    line.add_column(no_wrap=True)
    line.add_row(ProgressBar(total=max(1, len(tally.jobs)), completed=tally.done), times)
    return line


def outcome_text(outcome: Outcome) -> str:
    """`completed  accuracy 0.917  slope +0.021`; what is not finite is left out."""
    if outcome.status == "failed":
        return f"failed: {one_line(outcome.error or 'for an unknown reason')}"
    at, metrics = outcome.diverged_at, outcome.metrics
    metric = "val_loss" if metrics.get("val_accuracy") is None else "val_accuracy"
    forms = {metric: WORDS[metric], **FURTHER}
    figures = [(form, metrics.get(name)) for name, form in forms.items()]
    parts = [form.format(x) for form, x in figures if x is not None and math.isfinite(x)]
    return "  ".join([outcome.status if at is None else f"diverged at step {at}", *parts])


def one_line(error: str) -> str:
    """An error's message without line ends, cut where it is too long."""
    text = " ".join(error.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def setting(label: str) -> str:
    """A job's label without its seed."""
    return " ".join(part for part in label.split(" ") if not part.startswith("seed="))


def _clock(seconds: float) -> str:
    """`0:01:05`."""
    return str(timedelta(seconds=round(max(0.0, seconds))))
