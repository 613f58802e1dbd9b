"""The command that trains a run again, with a remedy."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from vanishgrad.cli.arguments import keywords, listed
from vanishgrad.cli.terminal import PrintableConsole, line, print_json, say, show, working
from vanishgrad.diagnosis import Advice, Diagnosis, Finding
from vanishgrad.diagnosis import diagnose as diagnosed
from vanishgrad.errors import SettingError, one_of, require
from vanishgrad.printing import essential
from vanishgrad.records import UnreadableRun, flatten, strict
from vanishgrad.report.labels import counted, typed_value
from vanishgrad.report.loading import load_runs, newest_runs
from vanishgrad.report.runs import Runs, SavedRun


def treated_command(run: SavedRun, override: str) -> str | None:
    """What to type; None for a run that the command did not train, or that gets the words of PyTorch.

    What was typed before stands, but for the keys that the remedy sets. An earlier remedy comes last
    whatever is typed behind it: its changes are written out, so that the new one finds its place.
    """
    if run.record.get("fitting") is None or not (run.overrides or run.record.get("config")):
        return None
    new = override.split()
    typed = [text for text in run.overrides if _key(text).partition(".")[0] != "remedy"]
    if len(typed) < len(run.overrides):
        changed = _written_out(run.choices, run.record.get("effective") or {})
        typed = [*_without(typed, map(_key, changed)), *changed]
    return shlex.join(["vanishgrad", "train", *_without(typed, map(_key, new)), *new])


def _key(text: str) -> str:
    return text.lstrip("+~").partition("=")[0]


def _without(typed: Sequence[str], keys: Iterator[str]) -> list[str]:
    """What was typed, without the keys and the parameters of the choices that are replaced."""
    gone = set(keys)
    return [
        text
        for text in typed
        if not any(_key(text) == key or _key(text).startswith(f"{key}.") for key in gone)
    ]


def _written_out(choices: Mapping[str, Any], effective: Mapping[str, Any]) -> list[str]:
    """What the earlier remedy changed, as overrides."""
    before, after = flatten(choices), flatten(effective)
    return [f"{key}={typed_value(value)}" for key, value in after.items() if before.get(key) != value]


STYLES = {"vanishing": "blue", "stalled_layers": "blue", "learns": "green", "healthy": "green"}
BAD = "red"
MOST_STEPS = 120  # as many as the report reads


class Patient(NamedTuple):
    """A run and what is wrong with it; no `run` for a table without a folder."""

    name: str
    setting: str
    diagnosis: Diagnosis
    run: SavedRun | None = None


@essential()
def diagnose(arguments: Sequence[str]) -> int:
    """Name what is wrong in each run, with evidence and remedies, as text or as JSON."""
    options = keywords(arguments, ("runs", "format"))
    style = options.get("format", "text")
    one_of("format", style, ("text", "json"))
    named = [Path(one).expanduser() for one in listed(options["runs"])] if "runs" in options else []
    with working("reading the runs"):
        patients, read = _patients(named if "runs" in options else [newest_runs()])
    place = f"runs={options.get('runs', 'outputs')}"
    require(bool(patients), f"{place}: there is no run to diagnose{read.reasons}")
    for folder, reason in read.skipped:
        say(f"note: skipped {folder}: {reason}")
    for folder, reason in read.broken_extras:
        say(f"note: {folder}: {reason}")
    if style == "json":
        document = {
            "runs": list(map(_plain, patients)),
            "skipped": [[str(f), why] for f, why in read.skipped],
        }
        print_json(strict(document))
    else:
        _show(PrintableConsole(), patients)
    return 0


def _patients(places: Sequence[Path]) -> tuple[list[Patient], Runs]:
    """The runs below the folders and the tables that are named themselves, and what was read of folders."""
    files = [place for place in places if place.is_file()]
    alone = [Patient(str(file), str(file), _of_file(file)) for file in files]
    folders = [place for place in places if place not in files]
    runs = load_runs(*folders, most_steps=MOST_STEPS) if folders else Runs(())
    read = [
        Patient(name, label, run.diagnosis, run)
        for run, name, label in zip(runs, runs.names, runs.labels, strict=True)
    ]
    return alone + read, runs


def _of_file(file: Path) -> Diagnosis:
    try:
        return diagnosed(file)
    except UnreadableRun as error:
        raise SettingError(str(error)) from None
    except SettingError as error:
        raise SettingError(f"{file}: {error}") from None


def _plain(patient: Patient) -> dict[str, Any]:
    run, findings = patient.run, patient.diagnosis.plain()
    for finding in findings:
        for remedy in finding["remedies"]:
            remedy["command"] = None if run is None else treated_command(run, remedy["override"])
    return {
        "run": patient.name,
        "folder": None if run is None else str(run.folder),
        "setting": patient.setting,
        "seed": None if run is None else run.seed,
        "status": None if run is None else run.status,
        "verdict": patient.diagnosis.verdict,
        "learned": patient.diagnosis.learned,
        "findings": findings,
    }


def _show(console: Console, patients: Sequence[Patient]) -> None:
    """A block per setting: of its runs the one that is worst off speaks for all."""
    settings: dict[str, list[Patient]] = {}
    for patient in patients:
        settings.setdefault(patient.setting, []).append(patient)
    for setting, runs in settings.items():
        worst = max(runs, key=lambda one: max([finding.severity for finding in one.diagnosis], default=0.0))
        line(console, (setting, "bold"), "  ", *_verdicts(runs))
        for finding in worst.diagnosis:
            show(console, Padding(_told(finding), (0, 0, 0, 2)))
        if remedies := _remedies(worst.diagnosis):
            show(console, Padding(_grid(remedies), (0, 0, 0, 4)))
            if worst.run is not None and (command := treated_command(worst.run, remedies[0].override)):
                line(console, (f"    {command}", "cyan"))


def _verdicts(runs: Sequence[Patient]) -> Iterator[tuple[str, str]]:
    """`vanishing`, or over several runs `vanishing 2, learns 1 of 3 runs`."""
    counts = Counter(run.diagnosis.verdict for run in runs).most_common()
    for place, (verdict, count) in enumerate(counts):
        style = STYLES.get(verdict.split(" ")[0], BAD)
        yield (
            (", " if place else "") + verdict.replace("_", " ") + (f" {count}" if len(counts) > 1 else ""),
            style,
        )
    if len(runs) > 1:
        yield f"  ({counted(len(runs), 'run')})", "dim"


def _told(finding: Finding) -> Text:
    """What was found, and its evidence."""
    sureness = f"(severity {finding.severity:.2f}, confidence {finding.confidence:.2f})"
    said = f" from step {finding.first_step}: {finding.sentence} "
    return Text.assemble((finding.words, "bold"), said, (sureness, "dim"))


def _remedies(diagnosis: Diagnosis) -> list[Advice]:
    """Those against everything that was found, each once: the worst finding's first."""
    remedies: dict[str, Advice] = {}
    for finding in diagnosis:
        for advice in finding.remedies:
            remedies.setdefault(advice.override, advice)
    return list(remedies.values())


def _grid(remedies: Sequence[Advice]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="cyan")
    table.add_column()
    for advice in remedies:
        table.add_row(Text(advice.override), Text(advice.reason))
    return table
