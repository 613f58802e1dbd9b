"""`vanishgrad cure`: a thin layer over `vanishgrad.cure`, with a display, files and a report."""

from __future__ import annotations

import io
import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from vanishgrad.cli.arguments import integer, keywords, truth
from vanishgrad.cli.cure_table import (
    Document,
    announcement,
    composed,
    document,
    show_cure,
    write_document,
    write_files,
)
from vanishgrad.cli.hydra_app import CommandLine, command_line, folder_of
from vanishgrad.cli.jobs import checked_setting
from vanishgrad.cli.progress import progress_bar
from vanishgrad.cli.run_table import show_run
from vanishgrad.cli.sweep import train_shown
from vanishgrad.cli.terminal import PrintableConsole, line, notes, print_json, say, working
from vanishgrad.config.plan import Composition, plan_of
from vanishgrad.config.setting import ComposedRun
from vanishgrad.cures import Cure, Stage
from vanishgrad.cures import cure as find
from vanishgrad.cures.search import trained_steps
from vanishgrad.engine import Result, resume, train
from vanishgrad.engine.run_folder import load_result
from vanishgrad.engine.session import Callback
from vanishgrad.errors import SettingError, error_line, one_of, require
from vanishgrad.folders import clear_run, is_empty
from vanishgrad.records import CHECKPOINT_FILE, SWEEP_FILE, read_run
from vanishgrad.run import Run
from vanishgrad.sweeps.ledger import recorded
from vanishgrad.sweeps.pool import Workers
from vanishgrad.sweeps.sweep import Sweep

PREFIX = "cure."
OWN = ("budget", "seeds", "pairs")
BARE = ("apply", "out", "report", "format", "resume")
REMEDY = ("remedy=", "remedy.")


@dataclass(frozen=True)
class CureOptions:
    """How a cure is looked for.

    Arguments:
        budget: steps of a trial in the last round; None for those of the setting, at most 1000.
        seeds: of every treatment.
        pairs: whether pairs are tried.
        apply: whether the best treatment is trained in full afterwards.
        report: whether a report is written.
        out: the folder; None for a dated one in outputs/.
        resumed: whether a cure was begun in it, which goes on.
        json: whether the answer is one JSON document.
    """

    budget: int | None = None
    seeds: int = 3
    pairs: bool = True
    apply: bool = False
    report: bool = True
    out: Path | None = None
    resumed: bool = False
    json: bool = False


def cure_options(texts: Sequence[str]) -> tuple[CureOptions, list[str]]:
    """The options among `texts`, and the others: the setting.

    Raises:
        SettingError: for an option that there is not, or a value that it cannot have.
    """
    own = [text for text in texts if _is_own(text)]
    others = [text for text in texts if not _is_own(text)]
    for text in others:
        require(not text.startswith(REMEDY), f"{text}: cure tries the remedies itself; leave it out")
        require(
            not text.startswith("sweep."), f"{text}: is for vanishgrad train -m; of cure there are {_valid()}"
        )
    values = keywords(own, [*(f"{PREFIX}{name}" for name in OWN), *BARE])
    style = values.get("format", "text")
    one_of("format", style, ("text", "json"))
    return CureOptions(
        integer("cure.budget", values["cure.budget"], 1) if "cure.budget" in values else None,
        integer("cure.seeds", values.get("cure.seeds", "3"), 1),
        truth("cure.pairs", values.get("cure.pairs", "true")),
        truth("apply", values.get("apply", "false")),
        truth("report", values.get("report", "true")),
        _folder(values["out"]) if "out" in values else None,
        json=style == "json",
    ), others  # fmt: skip


def _is_own(text: str) -> bool:
    return text.startswith(PREFIX) or text.partition("=")[0] in BARE


def _valid() -> str:
    return ", ".join([*(f"{PREFIX}{name}" for name in OWN), *BARE])


def _folder(text: str) -> Path:
    folder = Path(text.strip("'\"")).expanduser()
    empty = not os.path.isdir(folder) or is_empty(folder)
    begun = os.path.exists(folder / SWEEP_FILE)
    on = f", or go on with vanishgrad cure {shlex.quote(RESUME + text)}" if begun else ""
    require(empty, f"out={text}: there is something in it; name a new folder{on}")
    return folder


ALONE = "cure looks at one setting"
PLACE = "hydra.run."
RESUME = "resume="
APPLIED = "applied"  # the folder of the full training, inside


@dataclass(frozen=True)
class Asked:
    """A failing setting, and how its cure is looked for.

    Arguments:
        line: what was typed of both, but for where and in which form the answer goes.
        typed: the overrides of the setting.
        search: overrides that extend Hydra's search path.
        setting: that they compose to.
        options: of the search.
    """

    line: Sequence[str]
    typed: Sequence[str]
    search: Sequence[str]
    setting: ComposedRun
    options: CureOptions


def cure(arguments: Sequence[str]) -> int:
    """Look for a cure of a setting; the exit status is 1 when a run failed."""
    typed = command_line(arguments)
    _refuse_flags(typed)
    texts, begun = _whole(typed.overrides)
    options, overrides = cure_options(texts)
    if begun is not None:
        options = replace(options, out=begun, resumed=True)
    elif options.out is not None:
        for text in overrides:
            require(not text.startswith(PLACE), f"{text} out={options.out}: are two folders; leave one out")
    with notes():
        with working("checking the setting and reading its data"):
            plan = plan_of(overrides, False, typed.search, ALONE)
            require(not plan.swept, _sweep(overrides))
            line = [text for text in texts if not text.startswith(("out=", "format=", PLACE))]
            own = [text for text in overrides if not text.startswith(PLACE)]  # a cure has its own folder
            asked = Asked(line, own, typed.search, checked_setting(plan.config), options)
            trained_steps(asked.setting.effective)  # or refused, before there is a folder
        place = plan if options.out is None else replace(plan, folder=options.out, dated=False)
        with _place(place, typed, options) as folder:
            return _cure(asked, folder)


def _whole(texts: Sequence[str]) -> tuple[Sequence[str], Path | None]:
    """What was asked for when the cure of `resume=DIR` was begun, and that folder; else `texts` and None."""
    named = [text for text in texts if text.startswith(RESUME)]
    if not named:
        return texts, None
    form = [text for text in texts if text.startswith("format=")]
    others = [text for text in texts if text not in (named[0], *form)]
    require(
        not others, f"{named[0]}: goes on with what the cure was begun with; leave out {' '.join(others)}"
    )
    name = named[0].removeprefix(RESUME).strip("'\"")
    require(name != "", f"{RESUME}: must be the folder of a cure")
    folder = Path(name).expanduser()
    require(folder.is_dir(), f"{RESUME}{name}: there is no such folder")
    return [*map(str, recorded(folder, RESUME.removesuffix("="))["overrides"]), *form], folder


def _refuse_flags(typed: CommandLine) -> None:
    require(not typed.multirun, "-m: cure looks at one setting; leave it out, seeds are cure.seeds=N")
    require(not typed.shows, f"{' '.join(typed.flags)}: is for vanishgrad train")


def _sweep(overrides: Sequence[str]) -> str:
    experiments = [text for text in overrides if text.startswith("experiment=")]
    return (
        f"{' '.join(experiments)}: is a sweep, cure looks at one setting; add hydra.mode=RUN to take its base"
    )


@contextmanager
def _place(plan: Composition, typed: CommandLine, options: CureOptions) -> Iterator[Path]:
    """The folder of the cure; an interrupted one says how it goes on."""
    key = "resume" if options.resumed else None if options.out is None else "out"
    with folder_of(plan, "sweep", key, resumed=options.resumed) as folder:
        try:
            yield folder
        except KeyboardInterrupt:
            if not (folder / SWEEP_FILE).exists():
                raise KeyboardInterrupt from None
            form = ["format=json"] if options.json else []
            again = shlex.join(["vanishgrad", "cure", *typed.flags, f"{RESUME}{folder}", *form])
            raise KeyboardInterrupt(f"; what was tried so far is in {folder}; go on with: {again}") from None


def _cure(asked: Asked, folder: Path) -> int:
    options = asked.options
    console = PrintableConsole(stderr=options.json)
    result, failed = _searched(asked, folder.absolute(), console)
    answer = document(asked.typed, asked.search, asked.setting.effective, result, folder)
    answer = write_files(answer, result, folder, report=options.report)
    if not options.json:
        show_cure(console, result, answer)
    if options.apply and answer.winner is not None:
        answer, problem = _apply(asked, answer, folder, console)
        failed += problem
        write_document(answer, folder)
    if options.json:
        print_json(answer.plain)
    for failure in failed:
        say(f"failed: {failure}")
    return 1 if failed else 0


def _searched(asked: Asked, folder: Path, console: Console) -> tuple[Cure, list[str]]:
    """The cure, and the runs that failed."""
    options = asked.options
    sweep = Sweep(folder, options.resumed, typed=tuple(asked.line), key=RESUME.removesuffix("="))
    watched = console if console.is_terminal else PrintableConsole(file=io.StringIO())

    def tell(stage: Stage) -> None:
        line(console, announcement(stage, options.seeds))

    result = find(
        asked.setting.effective, folder, budget=options.budget, seeds=options.seeds, pairs=options.pairs,
        tell=tell, train=lambda jobs: train_shown(sweep, jobs, Workers(), watched), typed=asked.typed,
    )  # fmt: skip
    folders = {job.number: job.folder for job in sweep.jobs}
    failed = [one for one in sweep.outcomes.values() if one.status == "failed"]
    return result, [f"{folders[one.number]}: {one.error}" for one in failed]


def _apply(asked: Asked, answer: Document, folder: Path, console: Console) -> tuple[Document, list[str]]:
    """Train the best treatment as the setting asks for; what came of it, and what went wrong."""
    overrides, place = answer.winner or [], folder / APPLIED
    setting = composed(overrides, asked.search)
    assert setting is not None
    try:
        with progress_bar(console) as observe:
            if (place / CHECKPOINT_FILE).exists():
                result = _continued(setting.effective, place, observe)
            else:
                clear_run(place)  # of one that was stopped before its first step
                provenance = setting.provenance(overrides)
                result = train(setting.effective, place, provenance=provenance, observe=observe)
    except SettingError:
        raise
    except Exception as error:
        return answer, [f"{place}: {error_line(error)}"]
    if not asked.options.json:
        show_run(console, result, place)
    applied: dict[str, Any] = {
        "folder": str(place), "status": result.status, "steps": result.steps, "metrics": result.final,
    }  # fmt: skip
    return answer.having(applied=applied), []


def _continued(run: Run, place: Path, observe: Callback | None) -> Result:
    """The full training that was begun before, which may have come to its end."""
    if read_run(place)["status"] in ("completed", "diverged"):
        return load_result(run, place, in_memory=False)
    return resume(place, observe=observe)
