"""The curves of the activations that runs were trained with, for the report, which cannot compute them."""

from __future__ import annotations

import os
import webbrowser
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vanishgrad.cli.arguments import keywords, listed, several, truth
from vanishgrad.cli.terminal import say, working
from vanishgrad.errors import require
from vanishgrad.printing import printable
from vanishgrad.report import Wanted, newest_runs, write_report

if TYPE_CHECKING:
    import pandas as pd

    from vanishgrad.report import Runs


def compute_activation_curves(runs: Runs) -> pd.DataFrame:
    """`act, x, value, slope` of each activation of `runs`, from the modules that train; imports torch."""
    import pandas as pd

    from vanishgrad.choices.activation import curve
    from vanishgrad.description import described
    from vanishgrad.errors import SettingError
    from vanishgrad.report.labels import typed_value

    tables = {}
    for run in runs:
        recorded = (run.record.get("effective") or run.choices).get("act")
        if not isinstance(recorded, dict):
            continue  # of a monitor
        parameters = [f"{key}={typed_value(value)}" for key, value in recorded.items() if key != "name"]
        label = " ".join([str(recorded.get("name")), *parameters])
        if label in tables:
            continue
        try:
            act = described({"act": recorded}).act
        except SettingError:
            continue  # of a version that knew other activations
        tables[label] = pd.DataFrame(curve(act)).assign(act=label)
    return pd.concat(tables.values(), ignore_index=True) if tables else pd.DataFrame()


MOST_SETTINGS = 4  # that the figure shows


def landscapes(runs: Runs) -> pd.DataFrame:
    """The table of loss landscapes; those that are missing of runs with snapshots are computed."""
    from vanishgrad.engine.computed_arrays import write_landscape
    from vanishgrad.records import LANDSCAPE_ARRAYS, SNAPSHOTS

    kept = {run.folder for run in runs if (run.folder / SNAPSHOTS).is_dir()}
    _complete(runs, kept, LANDSCAPE_ARRAYS, write_landscape)
    return runs.extra("landscape")


def compute_activation_inputs(runs: Runs) -> pd.DataFrame:
    """The table of what enters activations; those that are missing are computed."""
    from vanishgrad.engine.computed_arrays import write_activation_inputs
    from vanishgrad.records import ACTIVATIONS_ARRAYS

    _complete(runs, {run.folder for run in runs}, ACTIVATIONS_ARRAYS, write_activation_inputs)
    return runs.extra("activation_inputs")


def _complete(runs: Runs, among: set[Path], file: str, write: Callable[[Path], None]) -> None:
    """Write the file of one completed run of each of the first settings, where it is missing.

    A run that cannot have it costs the others nothing.
    """
    from vanishgrad.errors import SettingError

    chosen: dict[str, Path] = {}
    for run, label in zip(runs, runs.labels, strict=True):
        if run.status == "completed" and run.folder in among:
            chosen.setdefault(label, run.folder)
    for folder in list(chosen.values())[:MOST_SETTINGS]:
        try:
            if not (folder / file).exists():
                write(folder)
        except (SettingError, OSError) as error:
            say(f"note: no {file}: {error}")


KEYS = ("runs", "out", "figures", "format", "style", "open")
COMPUTED = {"activations": compute_activation_curves, "landscape": landscapes}
ASKED_FOR = {
    "activation_inputs": compute_activation_inputs
}  # runs every network once: only for who names the figure


def report(arguments: Sequence[str]) -> int:
    """Write a report and print where it is."""
    values = keywords(arguments, KEYS)
    show = truth("open", values.get("open", "false"))
    wanted = _wanted(values)
    folders = (
        [Path(folder).expanduser() for folder in listed(values["runs"])]
        if "runs" in values
        else [newest_runs()]
    )
    require(bool(folders), "runs=[]: name at least one folder")
    out = Path(values["out"]).expanduser() if "out" in values else _shared(folders) / "report"
    named = {name: compute for name, compute in ASKED_FOR.items() if name in (wanted.figures or ())}
    with working("reading the runs and drawing the figures"):
        written = write_report(folders, out, wanted, COMPUTED | named)
    for folder, reason in written.skipped:
        say(f"note: skipped {folder}: {reason}")
    for folder, reason in (*written.cut_short, *written.damaged):
        say(f"note: {folder}: {reason}")
    print(printable(str(written.page)))
    if show:
        webbrowser.open(written.page.resolve().as_uri())
    return 0


def _wanted(values: Mapping[str, str]) -> Wanted:
    """Which figures, in which files and style; what is not given is as `Wanted` has it."""
    lists = {"figures": "figures", "format": "formats"}
    chosen = {field: tuple(several(values[key])) for key, field in lists.items() if key in values}
    return Wanted(**chosen, **({"style": values["style"]} if "style" in values else {}))  # type: ignore[arg-type]


def _shared(folders: Sequence[Path]) -> Path:
    """The folder itself; of several the one that holds them all."""
    return (
        folders[0]
        if len(folders) == 1
        else Path(os.path.commonpath([folder.absolute() for folder in folders]))
    )
