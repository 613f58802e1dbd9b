"""What `vanishgrad lab` prints of a chapter: every claim, its verdict, and the numbers behind it."""

from __future__ import annotations

import io
import math
import shlex
import webbrowser
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vanishgrad.cli.arguments import keywords, several, truth
from vanishgrad.cli.jobs import checked_setting
from vanishgrad.cli.report import compute_activation_curves, compute_activation_inputs, landscapes
from vanishgrad.cli.sweep import job_of, train_shown
from vanishgrad.cli.terminal import PrintableConsole, notes, say, show, working
from vanishgrad.config.batch import alone, numbered
from vanishgrad.config.overrides import as_typed
from vanishgrad.config.plan import jobs_of, plan_of
from vanishgrad.errors import one_of, require
from vanishgrad.folders import written_folder
from vanishgrad.folders.content import is_run
from vanishgrad.lab import (
    CHAPTERS,
    PROBE,
    PROFILES,
    Chapter,
    Conclusion,
    Evidence,
    Profile,
    RunTables,
    Training,
    is_written,
    trainings,
    write_book,
    write_chapter,
)
from vanishgrad.lab.chapter import probes
from vanishgrad.lab.page import three_digits
from vanishgrad.printing import printable
from vanishgrad.report.labels import counted
from vanishgrad.report.loading import load_runs
from vanishgrad.sweeps.job import Job
from vanishgrad.sweeps.ledger import begin
from vanishgrad.sweeps.pool import Workers
from vanishgrad.sweeps.sweep import Sweep

STYLES = {"holds": "green", "fails": "red", "holds only if": "yellow"}


def show_claims(console: Console, conclusions: Sequence[Conclusion]) -> None:
    """The verdict of each claim, and under it what was measured."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for one in conclusions:
        table.add_row(Text(one.kind, style=STYLES[one.kind]), one.claim.text)
        table.add_row("", Text(_measured(one), style="dim"))
    show(console, table)


def _measured(one: Conclusion) -> str:
    """`R², at least 0.98: norm=batch 0.99 ± 0.01; norm=none 0.82 ± 0.1 ✗`."""
    cases = "; ".join(_case(one, condition) for condition in one.values)
    return f"{one.claim.quantity}, {one.claim.expected}: {cases}"


def _case(one: Conclusion, condition: str) -> str:
    spread = one.spread(condition)
    around = f" ± {three_digits(spread)}" if math.isfinite(spread) else ""
    mark = "" if one.holds_if(condition) else " ✗"
    return f"{condition} {three_digits(one.mean(condition))}{around}{mark}".strip()


KEYS = ("chapter", "profile", "out", "open")
OUTPUTS = Path("outputs") / "lab"
COMPUTED = {
    "activations": compute_activation_curves, "landscape": landscapes,
    "activation_inputs": compute_activation_inputs,
}  # fmt: skip

Jobs = Mapping[str, Sequence[Job]]  # of each sweep of a chapter


@dataclass(frozen=True)
class Lab:
    """What is to be run.

    Arguments:
        chapters: those that are asked for.
        profile: full or quick.
        folder: of the lab; what is there already is not trained again.
        typed: the arguments.
    """

    chapters: Sequence[Chapter]
    profile: Profile
    folder: Path
    typed: Sequence[str]


def lab(arguments: Sequence[str]) -> int:
    """Run chapters of the lab and write the book; the exit status is 1 when a run failed."""
    values = keywords(arguments, KEYS)
    asked = _asked(values, arguments)
    is_shown = truth("open", values.get("open", "false"))
    console = PrintableConsole()
    failed: list[str] = []
    page = None
    with notes(), _interruptible(arguments), written_folder("out", asked.folder, whole=True):
        _refuse_foreign(asked)
        with working("checking the runs"):
            chapters = [(chapter, _jobs(asked, chapter)) for chapter in asked.chapters]
        for chapter, jobs in chapters:
            failed += _run(asked, chapter, jobs, console)
        if any(is_written(asked.folder, chapter) for chapter in CHAPTERS):
            page = write_book(asked.folder, CHAPTERS, asked.profile)
    for failure in failed:
        say(f"failed: {failure}")
    if page is not None:
        print(printable(str(page)))
        if is_shown:
            webbrowser.open(page.resolve().as_uri())
    return 1 if failed else 0


@contextmanager
def _interruptible(arguments: Sequence[str]) -> Iterator[None]:
    """An interrupted lab goes on by the same command."""
    try:
        yield
    except KeyboardInterrupt:
        again = shlex.join(["vanishgrad", "lab", *arguments])
        raise KeyboardInterrupt(f"; what was measured so far is kept; go on with: {again}") from None


def _asked(values: Mapping[str, str], arguments: Sequence[str]) -> Lab:
    profile = values.get("profile", PROFILES[0])
    one_of("profile", profile, PROFILES)
    folder = Path(values["out"]).expanduser() if "out" in values else OUTPUTS / profile
    names = [_name(text) for text in several(values["chapter"])] if "chapter" in values else None
    require(names is None or bool(names), "chapter=[]: name at least one chapter")
    chosen = [one for one in CHAPTERS if names is None or one.name in names]
    return Lab(chosen, cast(Profile, profile), folder, arguments)


def _refuse_foreign(asked: Lab) -> None:
    """Refuse a folder in which the runs of a chapter would take the place of somebody's own."""
    for place in (asked.folder / chapter.name for chapter in asked.chapters):
        own = not place.is_dir() or not (is_run(place) or any(map(is_run, place.iterdir())))
        require(own, f"out={asked.folder}: {place} holds runs that are not of the lab; name another folder")


def _name(text: str) -> str:
    """The name of a chapter, which may be given by its number."""
    names = [one.name for one in CHAPTERS]
    if text in map(str, range(1, len(names) + 1)):
        return names[int(text) - 1]
    one_of("chapter", text, names)
    return text


def _jobs(asked: Lab, chapter: Chapter) -> Jobs:
    """The jobs of all sweeps of a chapter, numbered through; every one of them checked."""
    jobs: dict[str, list[Job]] = {}
    for training in trainings(chapter.experiments):
        first = sum(map(len, jobs.values()))
        folder = (asked.folder / chapter.name / training.name).absolute()
        jobs[training.name] = _sweep(training, asked.profile, folder, first)
    return jobs


def _sweep(training: Training, profile: Profile, folder: Path, first: int) -> list[Job]:
    plan = plan_of(training.typed(profile), multirun=True)
    jobs = []
    for place, config in enumerate(jobs_of(plan)):
        numbered(config, place).hydra.sweep.dir = str(folder)
        label = " ".join(as_typed(override) for override in config.hydra.overrides.task)
        jobs.append(job_of(alone(config, first + place), checked_setting(config), folder, label))
    return jobs


def _run(asked: Lab, chapter: Chapter, jobs: Jobs, console: Console) -> list[str]:
    """Run a chapter, print and keep what it found; the runs that failed."""
    number = CHAPTERS.index(chapter) + 1
    every = [job for some in jobs.values() for job in some]
    show(console, Text(f"{number}. {chapter.title}: {counted(len(every), 'run')}", style="bold"))
    failed = _train(asked, chapter, every, console)
    if failed:
        return [f"{chapter.name}/{line}" for line in failed]
    with working("measuring and drawing"):
        evidence = _evidence(asked, chapter, jobs)
        conclusions = write_chapter(asked.folder, number, chapter, evidence, asked.profile)
    show_claims(console, conclusions)
    return []


def _train(asked: Lab, chapter: Chapter, jobs: Sequence[Job], console: Console) -> list[str]:
    """Train what is left to do: a run of the same setting that has ended is kept."""
    if not jobs:
        return []
    folder = (asked.folder / chapter.name).absolute()
    typed = tuple(asked.typed)
    begin(folder, jobs, typed)
    watched = console if console.is_terminal else PrintableConsole(file=io.StringIO())
    sweep = Sweep(folder, resumed=True, typed=typed)
    ended = train_shown(sweep, jobs, Workers(), watched)
    names = {job.number: f"{job.folder.parent.name}/{job.folder.name}" for job in jobs}
    return [
        f"{names[number]}: {outcome.error}" for number, outcome in ended.items() if outcome.status == "failed"
    ]


def _evidence(asked: Lab, chapter: Chapter, jobs: Jobs) -> Evidence:
    """The tables of all experiments of a chapter."""
    swept = {
        name: RunTables(load_runs(*(job.folder for job in some)), COMPUTED) for name, some in jobs.items()
    }
    probed = {one.name: {PROBE: one.table(asked.profile)} for one in probes(chapter.experiments)}
    return swept | probed
