"""The end of a sweep in the terminal: one row per setting, and what did not go well."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import pandas as pd
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from vanishgrad.cli.terminal import line, show, working
from vanishgrad.files import replace_file
from vanishgrad.printing import printable
from vanishgrad.records import SUMMARY_FILE, UnreadableRun, read_run
from vanishgrad.report.labels import counted
from vanishgrad.report.runs import load_runs, run_folders
from vanishgrad.report.tables import BEST, WORST, Column, best_first, settings_table, summary_table
from vanishgrad.rows import written
from vanishgrad.sweeps.job import Job, Outcome

LOGS = "logs"  # a folder next to those of the runs
MOST_STEPS = 120  # as many as the report reads
MOST_NAMED = 10  # runs that ended in one way


COLUMNS = (  # shown where some setting has it; the loss only without an accuracy
    Column("accuracy", "final_val_accuracy", "{:.3f}"),
    Column("loss", "final_val_loss", "{:.4g}"),
    Column("bits per character", "final_bits_per_character", "{:.3f}"),
    Column("slope at start", "gradient_slope", "{:+.3f}"),
    Column("slope through time", "time_slope", "{:+.3f}"),
)


def show_sweep(console: Console, folder: Path) -> None:
    """Print mean and spread over the seeds of every setting, the best first, and where the sweep is.

    The whole of it is left in the sweep's folder as `sweep_summary.csv`: `setting`, its keys, `runs`,
    `diverged`, `*_mean`, `*_spread` and `*_count` of every number, and `verdict`.

    Raises:
        WriteError: once all is printed, when that cannot be written.
    """
    with working("reading the runs"):
        runs = load_runs(folder, most_steps=MOST_STEPS)
        settings = (
            best_first(settings_table(_of_ended(summary_table(runs)), runs.keys)) if len(runs) else None
        )
    if settings is not None:
        show(console, _table(settings))
    line(console, str(folder))
    if settings is not None:
        replace_file(folder / SUMMARY_FILE, written(settings, 9))


def show_failures(console: Console, outcomes: Mapping[int, Outcome], jobs: Sequence[Job]) -> None:
    """Print how many runs ended in which way and what became of the failed and the diverged ones.

    Nothing where all completed.

    Arguments:
        console: where.
        outcomes: by number; a job without one has not begun.
        jobs: of the sweep.
    """
    ended = {job.number: (job, outcomes[job.number]) for job in jobs if job.number in outcomes}
    counts = Counter(outcome.status for _, outcome in ended.values())
    counts["not begun"] = len(jobs) - len(ended)
    if counts["completed"] == len(jobs):
        return
    names = dict.fromkeys(["completed", "diverged", "failed", "interrupted", *counts])
    summary = ", ".join(f"{counts[name]} {name}" for name in names if counts[name])
    line(console, summary)
    for status, describe in (("failed", _failed), ("diverged", _diverged)):
        alike = [one for one in ended.values() if one[1].status == status]
        for job, outcome in alike[:MOST_NAMED]:
            for text in describe(job, outcome):
                line(console, text)
        if len(alike) > MOST_NAMED:
            line(console, f"     and {len(alike) - MOST_NAMED} more {status}")


def failures(folder: Path, known: Mapping[Path, str] | None = None) -> list[str]:
    """The runs of a sweep that failed, and why.

    Arguments:
        folder: of the sweep.
        known: reasons by run folder, which may not stand there: a full disk does not take them.
    """
    reasons = {path: _failure(path) for path in run_folders(folder) if path != folder / LOGS}
    here = folder.absolute()
    reasons |= {folder / path.relative_to(here): reason for path, reason in (known or {}).items()}
    return [f"{path}: {reason}" for path, reason in reasons.items() if reason is not None]


def _of_ended(summary: pd.DataFrame) -> pd.DataFrame:
    """Of a run that failed or was interrupted nothing that it had reached counts; its verdict is that."""
    reached = [name for name in summary if str(name).startswith(("final_", "best_"))]
    unfinished = ~summary["status"].isin(FINISHED)
    summary.loc[unfinished, reached] = math.nan
    return summary.assign(verdict=summary["verdict"].mask(unfinished, summary["status"]))


def _failed(job: Job, outcome: Outcome) -> Iterator[str]:
    yield _line(job, f"failed: {one_line(outcome.error or 'for an unknown reason')}")
    if outcome.log is not None:
        yield f"     {_from_here(Path(outcome.log))}"


def _diverged(job: Job, outcome: Outcome) -> Iterator[str]:
    yield _line(job, f"diverged at step {outcome.diverged_at}")


def _line(job: Job, text: str) -> str:
    return "  ".join(part for part in (f"{job.number:>3}", job.label, text) if part)


def _from_here(path: Path) -> Path:
    """Below this directory as it would be typed."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _failure(folder: Path) -> str | None:
    try:
        record = read_run(folder)
    except UnreadableRun as error:
        return error.reason
    return str(record["error"]) if record["status"] == "failed" else None


def _table(settings: pd.DataFrame) -> Table:
    columns = _filled_columns(settings)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("setting", overflow="fold")
    for heading in (*(column.heading for column in columns), "runs"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict")
    left_out = len(settings) - BEST - WORST
    for number, (_, row) in enumerate(settings.iterrows()):
        if left_out > 0 and number == BEST:
            table.add_row(Text(f"... {left_out} more in {SUMMARY_FILE}", style="dim"))
        if left_out <= 0 or not BEST <= number < BEST + left_out:
            table.add_row(*_cells(row, columns))
    return table


def _filled_columns(settings: pd.DataFrame) -> list[Column]:
    """The columns in which some setting has a number."""
    nothing = pd.Series(dtype=float)
    columns = [column for column in COLUMNS if settings.get(f"{column.name}_mean", nothing).notna().any()]
    has_accuracy = any(column.name == "final_val_accuracy" for column in columns)
    return [column for column in columns if not (has_accuracy and column.name == "final_val_loss")]


def _cells(row: pd.Series[Any], columns: Iterable[Column]) -> list[Text]:
    numbers = [_number(row, column.name, column.form) for column in columns]
    return [
        Text(printable(cell))
        for cell in (str(row["setting"]), *numbers, str(row["runs"]), str(row["verdict"]).replace("_", " "))
    ]


def _number(row: pd.Series[Any], column: str, form: str) -> str:
    """`0.912 ± 0.004`; without a spread for a single run, a dash for nothing finite."""
    mean, spread = (float(row.get(f"{column}_{part}", math.nan)) for part in ("mean", "spread"))
    if not math.isfinite(mean):
        return "–"
    around = f" ± {form.replace('+', '').format(spread)}" if math.isfinite(spread) else ""
    return form.format(mean) + around


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
