"""`vanishgrad cure`."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from vanishgrad.cli.cure_command import composed
from vanishgrad.cli.cure_files import Document, document, write_document, write_files
from vanishgrad.cli.cure_options import CureOptions, cure_options
from vanishgrad.cli.cure_table import show_cure, told
from vanishgrad.cli.footprint import folder_of
from vanishgrad.cli.hydra_app import CommandLine, command_line
from vanishgrad.cli.interruption import Interruption
from vanishgrad.cli.jobs import checked
from vanishgrad.cli.notes import notes
from vanishgrad.cli.progress import progress_bar
from vanishgrad.cli.run_table import show_run
from vanishgrad.cli.sweep import Sweep
from vanishgrad.cli.sweep_options import SweepOptions
from vanishgrad.config.plan import Plan as Composition
from vanishgrad.config.plan import plan_of
from vanishgrad.config.setting import Setting
from vanishgrad.cure import Cure, Plan, Stage, Trials, find_cure
from vanishgrad.cure.course import yardstick
from vanishgrad.cure.diagnosing import diagnosed
from vanishgrad.errors import SettingError, require
from vanishgrad.sweep.pool import Workers
from vanishgrad.training import check, train
from vanishgrad.training.batches import steps_of

PLACE = "hydra.run."
APPLIED = "applied"  # the folder of the full training, inside


@dataclass(frozen=True)
class Asked:
    """A failing setting, and how its cure is looked for.

    Arguments:
        typed: the overrides of the setting.
        search: overrides that extend Hydra's search path.
        setting: that they compose to.
        total: updates that it trains for.
        options: of the search.
    """

    typed: Sequence[str]
    search: Sequence[str]
    setting: Setting
    total: int
    options: CureOptions


def cure(arguments: Sequence[str]) -> int:
    """Look for a cure of a setting; the exit status is 1 when a run failed."""
    typed = command_line(arguments)
    _refuse_flags(typed)
    options, overrides = cure_options(typed.overrides)
    with notes():
        plan = plan_of(overrides, False, typed.search)
        require(not plan.swept, _sweep(overrides))
        own = [text for text in overrides if not text.startswith(PLACE)]  # a cure has a folder of its own
        asked = _asked(own, typed.search, checked(plan.config), options)
        place = plan if options.out is None else replace(plan, folder=options.out, dated=False)
        with _place(place) as folder:
            return _cure(asked, folder)


def _refuse_flags(typed: CommandLine) -> None:
    require(not typed.multirun, "-m: cure looks at one setting; leave it out, seeds are cure.seeds=N")
    require(not typed.shows, f"{' '.join(typed.flags)}: is for vanishgrad train")


def _sweep(overrides: Sequence[str]) -> str:
    experiments = [text for text in overrides if text.startswith("experiment=")]
    return (
        f"{' '.join(experiments)}: is a sweep, cure looks at one setting; add hydra.mode=RUN to take its base"
    )


def _asked(typed: Sequence[str], search: Sequence[str], setting: Setting, options: CureOptions) -> Asked:
    run = setting.effective
    total, _ = steps_of(run, len(check(run).train_x))
    require(
        total > 0, f"epochs={run.epochs}: a setting that is not trained has nothing to cure; give it steps"
    )
    return Asked(typed, search, setting, total, options)


@contextmanager
def _place(plan: Composition) -> Iterator[Path]:
    with folder_of(plan) as folder:
        try:
            yield folder
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"; what was tried so far is in {folder}") from None


def _cure(asked: Asked, folder: Path) -> int:
    options = asked.options
    console = Console(highlight=False, stderr=options.json)
    found, failed = _found(asked, folder.absolute(), console)
    answer = document(asked.typed, asked.search, asked.setting.effective, found, folder)
    answer = write_files(answer, found, folder, report=options.report)
    if not options.json:
        show_cure(console, found, answer)
    if options.apply and answer.winner is not None:
        answer, problem = _apply(asked, answer, folder, console)
        failed += problem
        write_document(answer, folder)
    if options.json:
        print(answer.text, end="")
    for line in failed:
        print(f"failed: {line}", file=sys.stderr)
    return 1 if failed else 0


def _found(asked: Asked, folder: Path, console: Console) -> tuple[Cure, list[str]]:
    """What was found, and the runs that failed."""
    run, options = asked.setting.effective, asked.options
    watched = console if console.is_terminal else Console(file=io.StringIO())
    sweep = Sweep(folder, SweepOptions(typed=tuple(asked.typed)), watched)
    trials = Trials(
        folder, [run.seed + number for number in range(options.seeds)], asked.total,
        yardstick(run, check(run)), lambda jobs: sweep.train(jobs, Workers()), asked.typed,
    )  # fmt: skip

    def tell(stage: Stage) -> None:
        console.print(told(stage, options.seeds), soft_wrap=True)

    found = find_cure(run, trials, Plan(options.steps(asked.total), options.pairs), diagnosed, check, tell)
    folders = {job.number: job.folder for job in sweep.jobs}
    ended = sweep.outcomes.values()
    return found, [f"{folders[one.number]}: {one.error}" for one in ended if one.status == "failed"]


def _apply(asked: Asked, answer: Document, folder: Path, console: Console) -> tuple[Document, list[str]]:
    """Train the best treatment as the setting asks for; what came of it, and what went wrong."""
    overrides, place = answer.winner or [], folder / APPLIED
    setting = composed(overrides, asked.search)
    assert setting is not None
    try:
        with progress_bar(console) as observe, Interruption() as stop:
            result = train(
                setting.effective, place, provenance=setting.provenance(overrides),
                observe=stop.observing(observe),
            )  # fmt: skip
    except SettingError:
        raise
    except Exception as error:
        return answer, [f"{place}: {type(error).__name__}: {error}"]
    if not asked.options.json:
        show_run(console, result, place)
    applied: dict[str, Any] = {
        "folder": str(place), "status": result.status, "steps": result.steps, "metrics": result.final,
    }  # fmt: skip
    return answer.having(applied=applied), []
