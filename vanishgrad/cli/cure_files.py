"""What `vanishgrad cure` leaves behind beside the runs: cure.json, cure.csv and the report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vanishgrad.cli.cure_command import as_command, shortest
from vanishgrad.cure import Cure, Standing
from vanishgrad.cure.record import COLUMNS, plain, rows
from vanishgrad.records import CURE_FILE, CURE_TABLE_FILE, SCHEMA_VERSION, lines, replace_file, strict
from vanishgrad.report import write_report
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
    def text(self) -> str:
        """Strict JSON: numbers that are not finite are strings."""
        found = strict(self.content)
        return json.dumps(found, indent=2, allow_nan=False, ensure_ascii=False) + "\n"

    def having(self, **more: Any) -> Document:
        """With more content."""
        return replace(self, content=self.content | more)


def document(typed: Sequence[str], search: Sequence[str], run: Run, found: Cure, folder: Path) -> Document:
    """What was found, with the commands that train it."""

    def overrides(standing: Standing | None) -> list[str] | None:
        return None if standing is None else shortest(typed, run, standing.treatment, search)

    winner, second = overrides(found.winner), overrides(found.runner_up)
    content = {
        "schema_version": SCHEMA_VERSION, "folder": str(folder), "overrides": list(typed),
        "cure": _command(winner), "runner_up": _command(second), **plain(found, folder.absolute()),
        "applied": None, "report": None,
    }  # fmt: skip
    return Document(content, winner, second)


def write_files(answer: Document, found: Cure, folder: Path, *, report: bool) -> Document:
    """Write all files; the report is about the last round, and the untreated setting."""
    write_document(answer, folder)
    if not found.standings:
        return answer
    table = [[one[name] for name in COLUMNS] for one in rows(found)]
    text = ",".join(COLUMNS) + "\n" + lines([[_cell(cell) for cell in row] for row in table])
    replace_file(folder / CURE_TABLE_FILE, text.encode())
    if not report:
        return answer
    shown = (found.untreated, *(one for one in found.standings if one.round == found.untreated.round))
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
