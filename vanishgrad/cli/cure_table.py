"""What `vanishgrad cure` leaves behind next to the runs: cure.json, cure.csv and the report."""

from __future__ import annotations

import json
import math
import shlex
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vanishgrad.cli.terminal import line, show
from vanishgrad.config.plan import plan_of, without_hydra
from vanishgrad.config.setting import ComposedRun, to_setting
from vanishgrad.cures import Cure, Stage, Standing
from vanishgrad.cures.candidates import ALREADY, Treatment
from vanishgrad.cures.ranking import COLUMNS
from vanishgrad.description import kept, remedied, rounded
from vanishgrad.errors import SettingError
from vanishgrad.files import replace_file
from vanishgrad.records import CURE_FILE, CURE_TABLE_FILE, SCHEMA_VERSION, lines, strict
from vanishgrad.remedies import CHOICES, Remedy
from vanishgrad.report import write_report
from vanishgrad.report.labels import counted
from vanishgrad.run import Run


@dataclass(frozen=True)
class Document:
    """cure.json, and what is printed of it.

    Arguments:
        content: of the file.
        winner, runner_up: the overrides to type; None where nothing cures.
        page: of the report; None where there is none.
    """

    content: dict[str, Any]
    winner: list[str] | None = None
    runner_up: list[str] | None = None
    page: Path | None = None

    @property
    def plain(self) -> dict[str, Any]:
        """As JSON has it: numbers that are not finite are strings."""
        content: dict[str, Any] = strict(self.content)
        return content

    @property
    def text(self) -> str:
        """Strict JSON."""
        return json.dumps(self.plain, indent=2, allow_nan=False, ensure_ascii=False) + "\n"

    def having(self, **more: Any) -> Document:
        """With more content."""
        return replace(self, content=self.content | more)


def document(typed: Sequence[str], search: Sequence[str], run: Run, cure: Cure, folder: Path) -> Document:
    """What was found, with the commands that train it."""

    def overrides(standing: Standing | None) -> list[str] | None:
        return None if standing is None else shortest(typed, run, standing.treatment, search)

    winner, second = overrides(cure.winner), overrides(cure.runner_up)
    content = {
        "schema_version": SCHEMA_VERSION, "folder": str(folder), "overrides": list(typed),
        "cure": _command(winner), "runner_up": _command(second), **cure.plain(folder.absolute()),
        "applied": None, "report": None,
    }  # fmt: skip
    return Document(content, winner, second)


def write_files(answer: Document, cure: Cure, folder: Path, *, report: bool) -> Document:
    """Write all files; the report is about the last round, and the untreated setting."""
    write_document(answer, folder)
    if not cure.standings:
        return answer
    table = [[one[name] for name in COLUMNS] for one in cure.rows]
    text = ",".join(COLUMNS) + "\n" + lines([[_cell(cell) for cell in row] for row in table])
    replace_file(folder / CURE_TABLE_FILE, text.encode())
    if not report:
        return answer
    shown = (cure.untreated, *(one for one in cure.standings if one.round == cure.untreated.round))
    runs = [run.folder for one in shown for run in one.trial.courses]
    page = write_report(runs, folder / "report").page
    answer = replace(answer.having(report=str(page)), page=page)
    write_document(answer, folder)
    return answer


def write_document(answer: Document, folder: Path) -> None:
    """Write cure.json."""
    replace_file(folder / CURE_FILE, answer.text.encode())


def _command(overrides: list[str] | None) -> dict[str, Any] | None:
    return None if overrides is None else {"overrides": overrides, "command": as_command(overrides)}


def _cell(value: Any) -> float | int | str | None:
    return str(value).lower() if isinstance(value, bool) else value


def shortest(typed: Sequence[str], run: Run, treatment: Treatment, search: Sequence[str] = ()) -> list[str]:
    """Overrides that compose to the treated run, the shortest form of them that does.

    Where an experiment's file gets in the way of all of them, the plain one.

    Arguments:
        typed: the overrides of the setting.
        run: that they describe.
        treatment: of it.
        search: overrides that extend Hydra's search path.
    """
    for form in forms(typed, run, treatment):
        setting = composed(form, search)
        if setting is not None and setting.effective == treatment.run:
            return form
    return [*kept(typed, treatment.overrides), *treatment.overrides]


def forms(typed: Sequence[str], run: Run, treatment: Treatment) -> Iterator[list[str]]:
    """What may be typed for a treatment, the shortest first: in place of what it replaces, then next to it.

    An experiment's file may give numbers to the choice that is replaced: then only a remedy fits.
    """
    overrides = treatment.overrides
    yield [*kept(typed, overrides), *(text for text in overrides if not text.endswith("=null"))]
    yield [*kept(typed, overrides), *overrides]
    for one, others in _one_of(treatment):
        for remedy in CHOICES.values():
            if _treats(remedy, run, one):
                texts = [text for other in others for text in other.overrides]
                yield [*kept(typed, texts), *texts, f"remedy={remedy.name}"]


def composed(texts: Sequence[str], search: Sequence[str] = ()) -> ComposedRun | None:
    """The setting that `texts` describe; None where they are refused."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return to_setting(without_hydra(plan_of(list(texts), False, search).config))
    except SettingError:
        return None


def as_command(overrides: Sequence[str]) -> str:
    """`vanishgrad train depth=20 act=relu`."""
    return shlex.join(["vanishgrad", "train", *overrides])


def _one_of(treatment: Treatment) -> Iterator[tuple[Treatment, list[Treatment]]]:
    """A part of the treatment, and the other parts."""
    parts = list(treatment.parts) or [treatment]
    for one in parts:
        yield one, [other for other in parts if other is not one]


def _treats(remedy: Remedy, run: Run, one: Treatment) -> bool:
    try:
        return rounded(run, remedied(run, remedy)) == one.run
    except SettingError:
        return False


MOST_OUT = 12  # treatments that a round left behind and that are shown, of each round
NOTHING = "–"


def announcement(stage: Stage, seeds: int) -> str:
    """`round 1 of 3: 30 treatments, 3 seeds each, 110 steps`."""
    each = f"{counted(seeds, 'seed')}, {counted(stage.steps, 'step')}"
    if stage.number == 0:
        return f"untreated: {each}"
    count = counted(stage.treatments, "treatment")
    return f"round {stage.number} of {stage.of}: {count}, {each}"


def show_cure(console: Console, cure: Cure, answer: Document) -> None:
    """Print the diagnosis, all treatments and the commands; the last line is the folder."""
    show(console, Text(diagnosis_sentence(cure), style="bold"))
    if cure.standings:
        show(console, _table(cure))
        for one in cure.left_out:
            if one.reason != ALREADY:
                show(console, Text(f"left out: {one.label}: {one.reason}", style="dim"))
    for text in _verdict(cure, answer):
        line(console, text)
    if answer.page is not None:
        line(console, str(answer.page))
    line(console, answer.content["folder"])


def diagnosis_sentence(cure: Cure) -> str:
    """`Vanishing, saturated: ...; learns with 0 of 3 seeds, accuracy 0.100.`"""
    trial = cure.untreated.trial
    learns = (
        f"learns with {trial.learned} of {counted(len(trial.courses), 'seed')}, {reached(cure.untreated)}"
    )
    names = ", ".join(one.words for one in cure.diagnosis.findings)
    if not names:
        return f"Nothing was found wrong; {learns}."
    first = cure.diagnosis.findings[0].sentence.rstrip(".")
    return f"{names.capitalize()}: {first}; {learns}."


def reached(one: Standing) -> str:
    """`accuracy 0.912`, or the loss."""
    (accuracy, _), (loss, _) = one.accuracy, one.loss
    return f"accuracy {accuracy:.3f}" if math.isfinite(accuracy) else f"loss {loss:.4g}"


def _verdict(cure: Cure, answer: Document) -> Iterator[str]:
    if cure.healthy:
        yield "healthy: nothing to cure"
        return
    if answer.winner is None:
        best = cure.standings[0] if cure.standings else cure.untreated
        steps = counted(best.trial.steps, "step")
        yield f"no cure within {steps}: the best, {best.treatment.label}, came to {reached(best)}"
        return
    yield f"cure: {as_command(answer.winner)}"
    if answer.runner_up is not None:
        yield f"runner-up: {as_command(answer.runner_up)}"


def _table(cure: Cure) -> Table:
    with_accuracy = math.isfinite(cure.untreated.accuracy[0]) or any(
        math.isfinite(one.accuracy[0]) for one in cure.standings
    )
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("override", overflow="fold")
    for heading in ("learns", "accuracy" if with_accuracy else "loss", "to 90 %", "cost", "slope"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row, style in _rows(cure, with_accuracy):
        table.add_row(*row, style=style)
    return table


def _rows(cure: Cure, with_accuracy: bool) -> Iterator[tuple[list[str], str]]:
    """Those of the last round, the untreated setting, and what each earlier round left behind."""
    numbered = list(enumerate(cure.standings, 1))
    for round_, some in groupby(numbered, key=lambda one: one[1].round):
        members = list(some)
        last = round_ == cure.untreated.round
        if not last:
            steps = members[0][1].trial.steps
            yield ["", f"left behind after {counted(steps, 'step')}:"], "dim"
        for rank, one in members if last else members[:MOST_OUT]:
            yield _cells(str(rank), one, with_accuracy), "" if last and one.cures else "dim"
        if not last and len(members) > MOST_OUT:
            yield ["", f"... {len(members) - MOST_OUT} more in {CURE_TABLE_FILE}"], "dim"
        if last:
            yield _cells("", cure.untreated, with_accuracy), "italic"


def _cells(rank: str, one: Standing, with_accuracy: bool) -> list[str]:
    trial = one.trial
    mean, spread = one.accuracy if with_accuracy else one.loss
    form = "{:.3f}" if with_accuracy else "{:.3g}"
    around = f" ± {form.format(spread)}" if math.isfinite(spread) else ""
    return [
        rank, one.treatment.label, f"{trial.learned} of {len(trial.courses)}",
        form.format(mean) + around if math.isfinite(mean) else NOTHING,
        NOTHING if one.speed is None else f"{one.speed:g}",
        NOTHING if one.cost is None else f"{one.cost:.2f} x",
        f"{one.slope:+.3f}" if math.isfinite(one.slope) else NOTHING,
    ]  # fmt: skip
