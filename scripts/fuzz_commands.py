"""What becomes of random command lines: each ends with its work or one clear message.

    python scripts/fuzz.py commands [--cases 3000] [--seed 0] [--first 0]

Each is checked for a traceback, for more than 10 CPU seconds, for its exit status, for exactly one `error:`
line that names no parser and no class, for what a refused command leaves behind, and, where it trained, for
overrides that had no effect.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import shlex
import shutil
import signal
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("COLUMNS", "100")

from command_lines import command_line
from hydra.core.global_hydra import GlobalHydra

from vanishgrad.cli import main
from vanishgrad.sweeps import processes

LIMIT, WAIT = 10.0, 120.0  # CPU seconds of a command; wall seconds, on a machine that does other things
STATUSES = (0, 2, 3, 130)  # 1 is a run that failed: nothing that is typed may make one
FORBIDDEN = re.compile(
    r"\b\w+Exception\b|\b[A-Z]\w+Error\b|antlr|omegaconf|mismatched input|no viable|extraneous input|<EOF>"
    r"|_SWEEP\b|HydraConf|NoneType|Union\[|DictConfig|ListConfig|Config(Store|Loader)|RunDir|<class|"
    r"Traceback|object has no|not supported between|type annotation|merging override|Could not override"
)


@dataclass(frozen=True)
class Done:
    """How a command ended; `crash` is what it raised."""

    status: int | None
    out: str
    err: str
    seconds: float
    crash: str = ""


class TookTooLong(BaseException):
    """Nothing that catches errors catches it."""


def run(typed: Sequence[str]) -> Done:
    """Run a command line in this process and the working directory."""
    GlobalHydra.instance().clear()
    out, err = io.StringIO(), io.StringIO()
    before, status, crash = time.process_time(), None, ""
    with redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings(), _limited():
        try:
            status = main(list(typed))
        except SystemExit as stop:  # Hydra's own help
            status = 0 if stop.code is None else int(stop.code)
        except TookTooLong:
            crash = f"took more than {LIMIT:g} CPU seconds or {WAIT:g} seconds"
        except BaseException:
            crash = traceback.format_exc()
    return Done(status, out.getvalue(), err.getvalue(), time.process_time() - before, crash)


@contextmanager
def _limited() -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise TookTooLong

    signals, timers = (signal.SIGPROF, signal.SIGALRM), (signal.ITIMER_PROF, signal.ITIMER_REAL)
    before = [signal.signal(one, stop) for one in signals]
    began = time.monotonic()
    left = [signal.setitimer(timer, limit)[0] for timer, limit in zip(timers, (LIMIT, WAIT), strict=True)]
    try:
        yield
    finally:
        for timer, one, handler in zip(timers, signals, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(one, handler)
        if left[1]:  # of the test that this is a part of
            signal.setitimer(signal.ITIMER_REAL, max(0.01, left[1] - (time.monotonic() - began)))


def faults(typed: Sequence[str], done: Done, folder: Path, there: set[str]) -> Iterator[str]:
    """What is wrong with how a command ended.

    Arguments:
        typed: the command line.
        done: how it ended.
        folder: in which it ran.
        there: names of what was in it before.
    """
    if done.crash:
        yield done.crash
        return
    if done.status not in STATUSES:
        yield f"exit status {done.status}: {done.err.strip()}"
        return
    said = done.err.splitlines()
    lines = [line for line in said if not line.startswith("note: ") and not line.endswith(" ...")]
    if done.status == 2:
        if len(lines) != 1 or not lines[0].startswith("error: "):
            yield f"not one error: {done.err!r}"
        if found := FORBIDDEN.search(done.err):
            yield f"speaks of {found[0]!r}: {done.err.strip()}"
        if left := {path.name for path in folder.iterdir()} - there:
            yield f"left {sorted(left)}: {done.err.strip()}"
    elif lines:
        yield f"status {done.status} with {lines}"
    elif typed[:1] == ["train"]:
        yield from ignored(typed, [json.loads(file.read_text()) for file in records(folder, there)], done.err)


def records(folder: Path, there: set[str]) -> list[Path]:
    """run.json of every run that a command trained."""
    new = [path for path in folder.iterdir() if path.name not in there]
    return [file for path in new for file in sorted(path.rglob("run.json"))]


def ignored(typed: Sequence[str], runs: Sequence[dict[str, Any]], said: str) -> Iterator[str]:
    """Overrides that did not reach the runs, by a reading of values that shares nothing with the package."""
    if not runs or "--cfg" in typed:
        return
    for text in typed[1:]:
        key, sign, value = text.partition("=")
        if not sign or key.startswith(
            ("hydra", "sweep.", "resume", "-", "objective", "remedy", "experiment")
        ):
            continue
        wanted = [_read(key, one) for one in _listed(value)]
        if any("${" in str(one) for one in wanted) or wanted == [None]:
            continue
        found = [_recorded(key, one["choices"]) for one in runs]
        missing = [one for one in wanted if not any(_same(one, other) for other in found)]
        if missing and f"{key}=" not in said:
            yield f"{text}: has {missing}, but the runs have {found[:4]}"


CALL = re.compile(r"\s*(choice|shuffle|sort|float|int|str)\((.*)\)\s*", re.DOTALL)
COUNTED = re.compile(r"\s*(?:shuffle\()?range\((.*?)\)\)?\s*")


def _listed(value: str) -> list[str]:
    if counted := COUNTED.fullmatch(value):
        numbers = [float(one) for one in counted[1].split(",")]
        start, stop = (0.0, numbers[0]) if len(numbers) == 1 else numbers[:2]
        step = numbers[2] if len(numbers) > 2 else 1.0
        return [repr(start + step * place) for place in range(max(0, math.ceil((stop - start) / step)))]
    if value.strip().startswith("glob("):
        return []
    if called := CALL.fullmatch(value):
        value = called[2]
    if value.strip()[:1] in ("[", "{"):
        return [value]
    return re.findall(r"""'[^']*'|"[^"]*"|[^,]+""", value) or [value]


def _read(key: str, text: str) -> Any:
    text = text.strip()
    if key == "name":
        return text.strip("'\"") if text.lower() != "null" else None
    if text.lower() in ("null", "true", "false"):
        return {"null": None, "true": True, "false": False}[text.lower()]
    try:
        return float(text)
    except ValueError:
        return text.strip("'\"") if text[:1] not in "[{" else text


def _recorded(key: str, choices: dict[str, Any]) -> Any:
    group, _, parameter = key.partition(".")
    value = choices.get(group)
    return value.get(parameter or "name") if isinstance(value, dict) else value


def _same(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, bool) or wanted is None or isinstance(found, bool):
        return wanted is found
    if isinstance(wanted, float):
        number = isinstance(found, int | float) and not isinstance(found, bool)
        return (number and math.isclose(wanted, found, rel_tol=1e-12)) or str(found) == f"{wanted:g}"
    return str(wanted) == str(found) or (str(wanted)[:1] in ("[", "{") and isinstance(found, list))


@dataclass(frozen=True)
class Case:
    """A case: what was typed, how it ended, and what does not hold; empty where all does."""

    what: str
    status: object
    wrong: str = ""


class Commands:
    """Random command lines, with runs that they may read: RUN, SWEEP and TEXT.

    Arguments:
        place: for the folders that they work in.
    """

    def __init__(self, place: Path) -> None:
        processes.warm = lambda *_, **__: processes.METHOD  # they would import torch for nothing
        self._place, self._given = place, place / "given"
        self._given.mkdir()
        (self._given / "letters.txt").write_text("a b c d e f " * 200)
        small = ["width=2", "depth=1", "max_steps=1"]
        of_text = ["data=text", "data.path=letters.txt", "data.length=4", "batch_size=4", "model=rnn"]
        for typed in (
            ["train", *small, "hydra.run.dir=RUN"],
            ["train", *small, *of_text, "hydra.run.dir=TEXT"],
            ["train", "-m", *small, "seed=0,1", "hydra.sweep.dir=SWEEP", "hydra.launcher.n_jobs=1"],
        ):
            done = _in(self._given, typed)
            assert done.status == 0, done

    def run(self, seed: int, number: int) -> Case:
        """The command line with this number, in a folder of its own."""
        typed, folder = command_line(number, seed), self._place / "case"
        if any(word in text for text in typed for word in ("RUN", "SWEEP", "TEXT")):
            shutil.copytree(self._given, folder)
        else:
            folder.mkdir()
        there = {path.name for path in folder.iterdir()}
        done = _in(folder, typed)
        wrong = "\n    ".join(faults(typed, done, folder, there))
        shutil.rmtree(folder)
        return Case(f"vanishgrad {shlex.join(typed)}", done.status, wrong)


def _in(folder: Path, typed: Sequence[str]) -> Done:
    """Run a command line in a folder."""
    here = Path.cwd()
    os.chdir(folder)
    try:
        return run(typed)
    finally:
        os.chdir(here)
