"""`vanishgrad report`."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Mapping, Sequence
from pathlib import Path

from vanishgrad.cli.activations import activation_curves
from vanishgrad.cli.computed_arrays import activation_inputs, landscapes
from vanishgrad.cli.keywords import keywords, listed, several, truth
from vanishgrad.errors import require
from vanishgrad.report import Wanted, newest_runs, write_report

KEYS = ("runs", "out", "figures", "format", "style", "open")
COMPUTED = {"activations": activation_curves, "landscape": landscapes}
ASKED_FOR = {"activation_inputs": activation_inputs}  # runs every network once: only for who names the figure


def report(arguments: Sequence[str]) -> int:
    """Write a report and print where it is."""
    given = keywords(arguments, KEYS)
    show = truth("open", given.get("open", "false"))
    wanted = _wanted(given)
    folders = (
        [Path(folder).expanduser() for folder in listed(given["runs"])]
        if "runs" in given
        else [newest_runs()]
    )
    require(bool(folders), "runs=[]: name at least one folder")
    out = Path(given["out"]).expanduser() if "out" in given else _shared(folders) / "report"
    named = {name: compute for name, compute in ASKED_FOR.items() if name in (wanted.figures or ())}
    written = write_report(folders, out, wanted, COMPUTED | named)
    for folder, reason in written.skipped:
        print(f"note: skipped {folder}: {reason}", file=sys.stderr)
    for folder, reason in written.cut_short:
        print(f"note: {folder}: {reason}", file=sys.stderr)
    print(written.page)
    if show:
        webbrowser.open(written.page.resolve().as_uri())
    return 0


def _wanted(given: Mapping[str, str]) -> Wanted:
    """Which figures, in which files and style; what is not given is as `Wanted` has it."""
    lists = {"figures": "figures", "format": "formats"}
    chosen = {field: tuple(several(given[key])) for key, field in lists.items() if key in given}
    return Wanted(**chosen, **({"style": given["style"]} if "style" in given else {}))  # type: ignore[arg-type]


def _shared(folders: Sequence[Path]) -> Path:
    """The folder itself; of several the one that holds them all."""
    return (
        folders[0]
        if len(folders) == 1
        else Path(os.path.commonpath([folder.absolute() for folder in folders]))
    )
