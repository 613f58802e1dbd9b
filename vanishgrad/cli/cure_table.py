"""What `vanishgrad cure` prints: the diagnosis in a sentence, the ranking, and what to type."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vanishgrad.cli.cure_command import as_command
from vanishgrad.cli.cure_files import Document
from vanishgrad.cli.plain import show
from vanishgrad.cure import Cure, Stage, Standing
from vanishgrad.cure.candidates import ALREADY
from vanishgrad.records import CURE_TABLE_FILE
from vanishgrad.report.labels import counted

MOST_OUT = 12  # treatments that a round left behind and that are shown, of each round
NOTHING = "–"


def told(stage: Stage, seeds: int) -> str:
    """`round 1 of 3: 30 treatments, 3 seeds each, 110 steps`."""
    each = f"{counted(seeds, 'seed')}, {counted(stage.steps, 'step')}"
    if stage.number == 0:
        return f"untreated: {each}"
    count = counted(stage.treatments, "treatment")
    return f"round {stage.number} of {stage.of}: {count}, {each}"


def show_cure(console: Console, found: Cure, answer: Document) -> None:
    """Print the diagnosis, all treatments and the commands; the last line is the folder."""
    show(console, Text(diagnosis_sentence(found), style="bold"))
    if found.standings:
        show(console, _table(found))
        for one in found.left_out:
            if one.reason != ALREADY:
                show(console, Text(f"left out: {one.label}: {one.reason}", style="dim"))
    for line in _verdict(found, answer):
        console.print(line, soft_wrap=True, markup=False)
    if answer.page is not None:
        console.print(str(answer.page), soft_wrap=True, markup=False)
    console.print(answer.content["folder"], soft_wrap=True, markup=False)


def diagnosis_sentence(found: Cure) -> str:
    """`Vanishing, saturated: ...; learns with 0 of 3 seeds, accuracy 0.100.`"""
    trial = found.untreated.trial
    learns = (
        f"learns with {trial.learned} of {counted(len(trial.courses), 'seed')}, {reached(found.untreated)}"
    )
    names = ", ".join(one.words for one in found.diagnosis.findings)
    if not names:
        return f"Nothing was found wrong; {learns}."
    first = found.diagnosis.findings[0].sentence.rstrip(".")
    return f"{names.capitalize()}: {first}; {learns}."


def reached(one: Standing) -> str:
    """`accuracy 0.912`, or the loss."""
    (accuracy, _), (loss, _) = one.accuracy, one.loss
    return f"accuracy {accuracy:.3f}" if math.isfinite(accuracy) else f"loss {loss:.4g}"


def _verdict(found: Cure, answer: Document) -> Iterator[str]:
    if found.healthy:
        yield "healthy: nothing to cure"
        return
    if answer.winner is None:
        best = found.standings[0] if found.standings else found.untreated
        steps = counted(best.trial.steps, "step")
        yield f"no cure within {steps}: the best, {best.treatment.label}, came to {reached(best)}"
        return
    yield f"cure: {as_command(answer.winner)}"
    if answer.runner_up is not None:
        yield f"runner-up: {as_command(answer.runner_up)}"


def _table(found: Cure) -> Table:
    with_accuracy = math.isfinite(found.untreated.accuracy[0]) or any(
        math.isfinite(one.accuracy[0]) for one in found.standings
    )
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("override", overflow="fold")
    for heading in ("learns", "accuracy" if with_accuracy else "loss", "to 90 %", "cost", "slope"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row, style in _rows(found, with_accuracy):
        table.add_row(*row, style=style)
    return table


def _rows(found: Cure, with_accuracy: bool) -> Iterator[tuple[list[str], str]]:
    """Those of the last round, the untreated setting, and what each earlier round left behind."""
    numbered = list(enumerate(found.standings, 1))
    for round_, some in groupby(numbered, key=lambda one: one[1].round):
        members = list(some)
        last = round_ == found.untreated.round
        if not last:
            steps = members[0][1].trial.steps
            yield ["", f"left behind after {counted(steps, 'step')}:"], "dim"
        for rank, one in members if last else members[:MOST_OUT]:
            yield _cells(str(rank), one, with_accuracy), "" if last and one.cures else "dim"
        if not last and len(members) > MOST_OUT:
            yield ["", f"... {len(members) - MOST_OUT} more in {CURE_TABLE_FILE}"], "dim"
        if last:
            yield _cells("", found.untreated, with_accuracy), "italic"


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
