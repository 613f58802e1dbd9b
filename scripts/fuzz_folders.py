"""Folders with damage of every kind, and what reads them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import random
import re
import shutil
import signal
import socket
import stat
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

LIMIT, WAITING = 10, 60  # seconds of computing that a case may take, and seconds in which it ends
ODD_TEXT = (
    "", " ", "=1+1", "@SUM(A1)", "$\\frac{", "$x^{2$", "\\alpha_", "<script>alert(1)</script>",
    "\x1b[31mred\x07", "\x00", "a\nb\r\tc", "\u202e\u0645\u0631", "\U0001f600", "x" * 5000, "nan",
    "../../etc", "'", '"', "%s{}", "-", "é" * 300,
)  # fmt: skip
ODD = (
    None, True, False, [], {}, [[]], [None], {"a": {"b": []}}, -1, 0, 1.5, 2**31, 2**63, 2**64, 10**300,
    1e308, -1e-308,
)  # fmt: skip
RAW = ("1" + "0" * 5000, "1e999", "NaN", "-Infinity", "[" * 3000 + "]" * 3000, '"\\ud800"', "{", "tru", "01")


class Done(NamedTuple):
    """A case: what was done, how it ended, and what does not hold; empty where all does."""

    what: str
    status: object
    wrong: str = ""


# Any file.


def cut(path: Path, chance: random.Random) -> str:
    content = path.read_bytes()
    path.write_bytes(content[: chance.randrange(len(content) + 1)])
    return "cut"


def flipped(path: Path, chance: random.Random) -> str:
    content = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 3, 30))):
        if content:
            content[chance.randrange(len(content))] = chance.randrange(256)
    path.write_bytes(content)
    return "bytes changed"


def zeros(path: Path, chance: random.Random) -> str:
    size, start = path.stat().st_size, 0
    start = chance.choice((0, size // 2, max(0, size - 512)))
    path.write_bytes(path.read_bytes()[:start] + bytes(size - start))
    return "zeros at its end"


def noise(path: Path, chance: random.Random) -> str:
    path.write_bytes(chance.choice((b"", b"\n", b"{}", b"[]", b"null", b"0", chance.randbytes(3000))))
    return "other bytes"


def gone(path: Path, chance: random.Random) -> str:
    path.unlink()
    return "gone"


def other_kind(path: Path, chance: random.Random) -> str:
    path.unlink()
    kind = chance.choice(
        ("pipe", "folder", "loop", "link to nothing", "link to a device", "link to a pipe", "socket")
    )
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "loop":
            path.symlink_to(path.name)
        case "link to nothing":
            path.symlink_to("absent")
        case "link to a device":
            path.symlink_to("/dev/zero")
        case "link to a pipe":
            os.mkfifo(path.with_name("pipe"))
            path.symlink_to("pipe")
        case "socket":
            here = Path.cwd()
            os.chdir(path.parent)  # its path may be too long
            with socket.socket(socket.AF_UNIX) as one:
                one.bind(path.name)
            os.chdir(here)
    return f"a {kind}"


def huge(path: Path, chance: random.Random) -> str:
    os.truncate(path, chance.choice((10**9, 10**13)))
    return "huge"


def coded(path: Path, chance: random.Random) -> str:
    content = path.read_bytes()
    text = content.decode(errors="replace")
    path.write_bytes(
        chance.choice((b"\xef\xbb\xbf" + content, text.encode("utf-16"), content.replace(b"\n", b"\r\n")))
    )
    return "other coding"


# JSON.


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in items:
        yield from _places(one, (*path, key))


def other_value(path: Path, chance: random.Random) -> str:
    """One value becomes another; of runs.jsonl in one line."""
    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    which = chance.randrange(len(lines))
    document = json.loads(lines[which])
    places = list(_places(document))
    place = chance.choice([one for one in places if len(one) <= chance.choice((1, 2, 9))])
    value = document
    for key in place[:-1]:
        value = value[key]
    how = chance.randrange(5)
    odd: Any = chance.choice(ODD)
    if how == 0:
        del value[place[-1]]
        odd = "deleted"
    elif how in (1, 2):
        value[place[-1]] = odd
    elif how == 3:
        value[place[-1]] = odd = chance.choice(ODD_TEXT)
    else:
        value[place[-1]] = "@RAW@"
    text = json.dumps(document)
    if how == 4:
        odd = chance.choice(RAW)
        text = text.replace('"@RAW@"', odd)
    lines[which] = text
    path.write_text("\n".join(lines) + "\n")
    return f"{'.'.join(map(str, place))} = {str(odd)[:30]!r}"


def key_twice(path: Path, chance: random.Random) -> str:
    text = path.read_text()
    path.write_text(text.replace("{", '{"status": "completed", "number": 0,', 1))
    return "a key twice"


# Tables.


def _table(path: Path) -> list[list[str]]:
    return [line.split(",") for line in path.read_text().splitlines()]


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def other_cell(path: Path, chance: random.Random) -> str:
    rows = _table(path)
    if len(rows) < 2:
        return "as it was"
    row, column = chance.randrange(1, len(rows)), chance.randrange(len(rows[0]))
    cell = chance.choice((
        "", "text", "-1", "1e400", "-1e308", "1e308", "inf", "-inf", "nan", "0.5", "1" + "0" * 30, "True",
        "0x10", "1_0", " 3", "1+2j", "9007199254740993", *(_quoted(text) for text in ODD_TEXT),
    ))  # fmt: skip
    if column < len(rows[row]):
        rows[row][column] = cell
    path.write_text("\n".join(map(",".join, rows)) + "\n")
    return f"{rows[0][column]} = {cell[:30]!r}"


def whole_column(path: Path, chance: random.Random) -> str:
    """All cells of a column are the same odd number, as after a bad conversion."""
    rows = _table(path)
    column, cell = (
        chance.randrange(len(rows[0])),
        chance.choice(("", "0", "nan", "inf", "-1", "1e308", "1e-320", "7")),
    )
    for row in rows[1:]:
        if column < len(row):
            row[column] = cell
    path.write_text("\n".join(map(",".join, rows)) + "\n")
    return f"all {rows[0][column]} = {cell!r}"


def other_columns(path: Path, chance: random.Random) -> str:
    rows = _table(path)
    column, how = (
        chance.randrange(len(rows[0])),
        chance.choice(("dropped", "twice", "more", "renamed", "swapped")),
    )
    for number, row in enumerate(rows):
        if column >= len(row):
            continue
        match how:
            case "dropped":
                del row[column]
            case "twice":
                row.append(row[column])
            case "more":
                row.append("extra" if not number else "1")
            case "renamed" if not number:
                row[column] = chance.choice(ODD_TEXT)
            case "swapped":
                row[0], row[column] = row[column], row[0]
    path.write_text("\n".join(map(",".join, rows)) + "\n", errors="replace")
    return f"column {column} {how}"


def other_rows(path: Path, chance: random.Random) -> str:
    lines = path.read_text().splitlines(keepends=True)
    head, rows = lines[0], lines[1:]
    how = chance.choice(("shuffled", "none", "twice", "backwards", "ragged", "without head", "half", "one"))
    match how:
        case "shuffled":
            chance.shuffle(rows)
        case "none":
            rows = []
        case "twice":
            rows += rows
        case "backwards":
            rows.reverse()
        case "ragged" if rows:
            place = chance.randrange(len(rows))
            rows[place] = chance.choice(
                (rows[place].rstrip("\n") + ",1\n", rows[place].split(",")[0] + "\n", "\n", '"\n')
            )
        case "without head" if rows:
            head, *rows = rows
        case "half":
            rows = rows[::2]
        case "one":
            rows = rows[:1]
    path.write_text(head + "".join(rows))
    return f"rows {how}"


def separated(path: Path, chance: random.Random) -> str:
    path.write_text(path.read_text().replace(",", sign := chance.choice((";", "\t", "|", ", "))))
    return f"separated by {sign!r}"


# Arrays and weights.


def other_arrays(path: Path, chance: random.Random) -> str:
    with path.open("rb") as file, np.load(file) as stored:
        arrays: dict[str, Any] = {name: stored[name] for name in stored.files}
    name = chance.choice(list(arrays))
    array, how = (
        arrays[name],
        chance.choice(("objects", "text", "complex", "shape", "nan", "inf", "huge", "empty", "gone")),
    )
    changes: dict[str, Callable[[], Any]] = {
        "objects": lambda: np.array([_Code()], dtype=object), "text": lambda: np.array(["a", "b"]),
        "complex": lambda: array.astype(complex),
        "shape": lambda: array.reshape(-1)[: chance.randrange(1, 5)],
        "nan": lambda: np.full(array.shape, np.nan), "inf": lambda: np.full(array.shape, np.inf),
        "huge": lambda: np.full(array.shape, 1e308), "empty": lambda: array[:0],
    }  # fmt: skip
    if how == "gone":
        del arrays[name]
    else:
        arrays[name] = changes[how]()
    np.savez(path, **arrays)
    return f"{name} {how}"


class _Code:
    """What runs code when it is unpickled: a file that must never appear."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(CODE_RAN),)


CODE_RAN = Path("/tmp") / f"fuzz-code-ran-{os.getpid()}"


def other_weights(path: Path, chance: random.Random) -> str:
    state = torch.load(path, weights_only=True)
    how = chance.choice(("code", "pickle", "gone", "odd", "shape", "nan", "type", "more", "list", "sparse"))
    places = [one for one in _places(state) if len(one) <= 3]
    place = chance.choice(places)
    parent = state
    for key in place[:-1]:
        parent = parent[key]
    tensors = list(state["model"])
    name = chance.choice(tensors)
    weight = state["model"][name]
    match how:
        case "code":
            state["more"] = _Code()
        case "pickle":
            path.write_bytes(pickle.dumps(_Code()))
            return "a pickle with code"
        case "gone":
            del parent[place[-1]]
        case "odd":
            parent[place[-1]] = chance.choice((*ODD, *ODD_TEXT))
        case "shape" if isinstance(weight, torch.Tensor):
            state["model"][name] = weight.reshape(-1)[:1] if chance.random() < 0.5 else torch.zeros(7, 7, 7)
        case "nan" if isinstance(weight, torch.Tensor) and weight.is_floating_point():
            state["model"][name] = torch.full_like(weight, float("nan"))
        case "type" if isinstance(weight, torch.Tensor):
            state["model"][name] = weight.to(
                chance.choice((torch.int64, torch.complex64, torch.bool, torch.float64))
            )
        case "more":
            state["model"]["linear_99.weight"] = torch.zeros(2, 2)
        case "list":
            state = [state]
        case "sparse" if isinstance(weight, torch.Tensor):
            state["model"][name] = weight.to_sparse()
    torch.save(state, path)
    return f"weights {how} at {'.'.join(map(str, place)) if how in ('gone', 'odd') else name}"


ANY: tuple[Callable[[Path, random.Random], str], ...] = (
    cut,
    flipped,
    zeros,
    noise,
    gone,
    other_kind,
    huge,
    coded,
)
OWN: dict[str, tuple[Callable[[Path, random.Random], str], ...]] = {
    ".json": (other_value,) * 12 + (key_twice,),
    ".jsonl": (other_value,) * 4 + (key_twice,),
    ".csv": (other_cell, other_cell, whole_column, other_columns, other_rows, separated),
    ".npz": (other_arrays,) * 4,
    ".pt": (other_weights,) * 6,
}


def damage(folder: Path, chance: random.Random) -> str:
    """Change one file of a folder, as a word says."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    files = [path for path in files if path.suffix in OWN or chance.random() < 0.1]
    suffix = chance.choice(sorted({path.suffix for path in files}))
    path = chance.choice([path for path in files if path.suffix == suffix])
    own = OWN.get(path.suffix, ())
    change = chance.choice(own) if own and chance.random() < 0.7 else chance.choice(ANY)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return f"{path.relative_to(folder)}: {change(path, chance)}"
    except Exception:  # what cannot be read cannot be changed either
        return f"{path.relative_to(folder)}: damaged before"


# What is damaged, and what reads it.

SWEEP = (
    "train",
    "-m",
    "act=tanh,relu",
    "seed=0,1",
    "depth=2",
    "width=4",
    "max_steps=2",
    "hydra.launcher.n_jobs=1",
)


def originals(place: Path) -> dict[str, Path]:
    """Run folders of each kind, a sweep that has ended and one that was stopped."""
    from vanishgrad import Run, train
    from vanishgrad.choices import LSTM, RBM, Adam, Digits, MovingDigits, Text

    small: dict[str, Any] = {"width": 4, "max_steps": 4, "log_every": 1, "threads": 1, "batch_size": 8}
    digits = Digits(train_size=64)
    text = place / "text.txt"
    text.write_text("to be or not to be, that is the question\n" * 40)
    runs = {
        "mlp": Run(depth=3, act="relu", dead_every=2, input_gradients=8, snapshots=3, data=digits, **small),
        "pretrained": Run(
            depth=2, act="sigmoid", pretrain=RBM(epochs=1), data=Digits(train_size=64, scale="unit"), **small
        ),
        "residual": Run(
            depth=5, act="tanh", residual="identity", clip="norm", reg="l2", data=digits, **small
        ),
        "frames": Run(model="conv_lstm", data=MovingDigits(train_size=16), depth=1, **small),
        "text": Run(model=LSTM(), data=Text(path=str(text), length=8), save_every=2, optim=Adam(), **small),
    }
    folders = {name: place / name for name in runs}
    for name, run in runs.items():
        train(run, out=folders[name])
    for name, run in {
        "stopped": runs["text"],
        "stopped too": Run(depth=3, act="relu", optim=Adam(), save_every=2, **small),
    }.items():
        folders[name] = place / name
        with suppress(KeyboardInterrupt):
            train(run, out=folders[name], observe=_stop)
    folders["sweep"], folders["stopped sweep"] = place / "sweep", place / "stopped sweep"
    called([*SWEEP, f"hydra.sweep.dir={folders['sweep']}"])
    shutil.copytree(folders["sweep"], folders["stopped sweep"])
    record = folders["stopped sweep"] / "runs.jsonl"
    record.write_text("".join(record.read_text().splitlines(keepends=True)[:2]))
    shutil.rmtree(folders["stopped sweep"] / "3")
    return folders


def _stop(progress: Any) -> None:
    if getattr(progress, "step", 0) >= 2:
        raise KeyboardInterrupt


class TookTooLong(BaseException):
    """Of a case; nothing that is tried in the package catches it."""


@contextmanager
def limited(seconds: float, waiting: int) -> Iterator[None]:
    """Inside, what computes for longer is broken off, and what has not ended after `waiting` seconds."""

    def stop(*_: object) -> None:
        raise TookTooLong

    before = {kind: signal.signal(kind, stop) for kind in (signal.SIGALRM, signal.SIGPROF)}
    signal.alarm(waiting)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        for kind, handler in before.items():
            signal.signal(kind, handler)


@dataclass(frozen=True)
class Answer:
    """What a command gave: its exit status or exception, and what it printed."""

    status: object
    out: str
    err: str


def called(arguments: Sequence[str]) -> Answer:
    """A command in this process."""
    from vanishgrad.cli import main

    return answered(lambda: main(arguments))


def answered(call: Callable[[], object]) -> Answer:
    """What a call gives or raises."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings(), limited(LIMIT, WAITING):
        warnings.simplefilter("always", RuntimeWarning)
        try:
            status = call()
        except TookTooLong:
            status = "hang"
        except SystemExit as stop:
            status = stop.code
        except BaseException:
            status = "traceback"
            err.write(traceback.format_exc())
    return Answer(status, out.getvalue(), err.getvalue())


def tree(folder: Path) -> dict[str, str]:
    """What is in a folder, by path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        large = stat.S_ISREG(mode) and path.stat().st_size > 10**8
        whole = hashlib.sha1(path.read_bytes()).hexdigest() if stat.S_ISREG(mode) and not large else ""
        found[str(path.relative_to(folder))] = f"{stat.S_IFMT(mode):o} {whole}"
    return found


FIGURES = (
    "flow_and_learning", "trainability_map", "gradient_through_time", "cell_gradient_through_time",
    "gradient_profile", "gradient_by_layer", "final_accuracy", "training_curves", "clipping",
    "gradient_terms", "shattered_gradients", "dead_units", "gate_activity", "pretraining", "filters",
    "predicted_frames", "frame_cross_entropy", "gradient_heatmap", "learning_speed", "saturation_by_layer",
    "update_ratio_by_layer", "weight_drift_by_layer", "weight_norm",
)  # fmt: skip
STOPPED = ("stopped", "stopped too")
LISTED = re.compile(r"(note|error): ")


class Folders:
    """Cases of damaged folders.

    Arguments:
        place: for the folders.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        self._originals = originals(place / "originals" if (place / "originals").mkdir() is None else place)

    def run(self, seed: int, number: int) -> Done:
        """One case: a folder, its damage, a command that reads it."""
        chance = random.Random(f"{seed} {number}")
        name = chance.choice(sorted(self._originals))
        folder = self._place / "case"
        shutil.copytree(self._originals[name], folder)
        said = "; ".join(damage(folder, chance) for _ in range(chance.choice((1, 1, 1, 2, 3))))
        before = tree(folder)
        what, call, writes = self._command(name, folder, chance)
        answer = answered(call)
        wrong = self._wrong(answer, folder, before if not writes or answer.status == 2 else None)
        for path in (folder, self._place / "out"):
            shutil.rmtree(path, ignore_errors=True)
        return Done(f"{what} of {name}, {said}", answer.status, wrong)

    def _command(
        self, name: str, folder: Path, chance: random.Random
    ) -> tuple[str, Callable[[], object], bool]:
        """What it is, and whether it may write into the folder when it is done."""
        from vanishgrad.cli import main

        how = ["report", "report", "diagnose", "load_run", "model"]
        how += ["resume"] * (5 if name in STOPPED else 0) + ["sample"] * (
            3 if "text" in name or name == "stopped" else 1
        )
        how += ["sweep.resume"] * (5 if "sweep" in name else 0)
        kind = chance.choice(how)
        figures = ",".join(chance.sample(FIGURES, 3))
        commands = {
            "report": ["report", f"runs={folder}", f"out={self._place / 'out'}", f"figures=[{figures}]"],
            "diagnose": ["diagnose", f"runs={folder}", f"format={chance.choice(('text', 'json'))}"],
            "resume": ["train", f"resume={folder}"],
            "sample": ["sample", f"run={folder}", "length=20"],
            "sweep.resume": [*SWEEP, f"sweep.resume={folder}"],
        }  # fmt: skip
        if kind in commands:
            return kind, lambda: main(commands[kind]), kind in ("resume", "sweep.resume")
        return kind, lambda: _loaded(folder, kind == "model"), False

    def _wrong(self, answer: Answer, folder: Path, before: dict[str, str] | None) -> str:
        """What does not hold."""
        if CODE_RAN.exists():
            CODE_RAN.rmdir()
            return "code of a file ran"
        if answer.status in ("hang", "traceback"):
            return f"{answer.status}: {answer.err[-1500:]}"
        if answer.status not in (0, 1, 2, 3):
            return f"exit status {answer.status!r}"
        lines = answer.err.splitlines()
        odd = [line for line in lines if not LISTED.match(line) and not line.startswith("failed: ")]
        if odd:
            return f"printed on stderr: {odd[:5]}"
        errors = [line for line in lines if line.startswith("error: ")]
        if len(errors) != (answer.status == 2):
            return f"{len(errors)} errors with exit status {answer.status}: {answer.err[-500:]}"
        if errors and folder.name not in errors[0]:
            return f"the error names no folder: {errors[0][:500]}"
        if before is not None and (after := tree(folder)) != before:
            return f"changed: {[path for path in before | after if before.get(path) != after.get(path)]}"
        return ""


def _loaded(folder: Path, model: bool) -> int:
    """`load_run`, as the command line would answer for it."""
    import sys

    from vanishgrad import load_run
    from vanishgrad.errors import SettingError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            loaded = load_run(folder)
            _ = (
                loaded.status,
                loaded.final,
                loaded.best,
                loaded.steps,
                loaded.seconds,
                loaded.diverged_at,
                loaded.error,
            )
            if model:
                loaded.model()
    except SettingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
