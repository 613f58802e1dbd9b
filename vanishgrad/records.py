"""The run folder: file names, columns, writing and reading. The only place that names a column."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, get_args

from vanishgrad.files import append_whole, replace_file, writing
from vanishgrad.rows import Columns, Layout, harmless, needs, read_each, typed
from vanishgrad.rows import read as read_rows
from vanishgrad.schema import RUN, THEORY, Fault, Kind, checked, content, is_there

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1
RUN_FILE = "run.json"
SWEEP_FILE = "sweep.json"
SWEEP_RUNS_FILE = "runs.jsonl"
CURE_FILE = "cure.json"
CURE_TABLE_FILE = "cure.csv"
CLAIMS_FILE = "claims.csv"
GRADIENTS_FILE = "gradients.csv"
METRICS_FILE = "metrics.csv"
CHECKPOINT_FILE = "checkpoint.pt"
TIME_GRADIENTS_FILE = "time_gradients.csv"
GATES_FILE = "gates.csv"
RESIDUAL_FILE = "residual_gradients.csv"
PRETRAIN_FILE = "pretrain.csv"
DIAGNOSIS_FILE = "diagnosis.json"
THEORY_FILE = "theory.json"
DEAD_UNITS_FILE = "dead_units.csv"
INPUT_GRADIENTS_FILE = "input_gradients.csv"
FRAMES_FILE = "frames.csv"
SAMPLE_FILE = "sample.txt"
LOG_FILE = "error.log"
SUMMARY_FILE = "sweep_summary.csv"
FILTERS_ARRAYS = "filters.npz"
FRAMES_ARRAYS = "frames.npz"
LANDSCAPE_ARRAYS = "landscape.npz"
ACTIVATIONS_ARRAYS = "activations.npz"
SNAPSHOTS = "snapshots"
Pathology: TypeAlias = Literal[
    "vanishing", "exploding", "dead_units", "saturated", "stalled_layers", "oscillating", "not_learning",
    "diverged",
]  # fmt: skip
FINDINGS: tuple[Pathology, ...] = get_args(Pathology)  # of a diagnosis

GRADIENT_COLUMNS = (
    "step", "epoch", "layer", "name", "grad_norm", "bias_grad_norm", "delta_norm", "weight_norm",
    "update_ratio", "weight_drift", "act_mean", "act_std", "saturation", "dead_fraction",
)  # fmt: skip
METRIC_COLUMNS = (
    "step", "epoch", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "penalty",
    "grad_norm", "clipped_grad_norm", "seconds",
)  # fmt: skip
EXTRA_COLUMNS = {  # of the tables that not every run has
    TIME_GRADIENTS_FILE: ("step", "layer", "t", "grad_norm", "cell_grad_norm"),
    GATES_FILE: ("step", "layer", "gate", "t", "near_zero", "near_one", "mean"),
    RESIDUAL_FILE: ("step", "block", "layer", "stream_norm", "shortcut_norm", "branch_norm", "cosine"),
    PRETRAIN_FILE: ("layer", "epoch", "loss"),
    DEAD_UNITS_FILE: ("step", "layer", "units", "dead_fraction"),
    INPUT_GRADIENTS_FILE: ("step", "lag", "correlation"),
    FRAMES_FILE: ("step", "frame", "cross_entropy", "mean_frame_cross_entropy", "floor_cross_entropy"),
}
TEXT_COLUMNS = ("name", "gate")
COUNT_COLUMNS = ("step", "epoch", "layer", "t", "block", "units", "frame", "lag")
LAYOUT = Layout(
    TEXT_COLUMNS,
    COUNT_COLUMNS,
    {*GRADIENT_COLUMNS, *METRIC_COLUMNS, *(name for columns in EXTRA_COLUMNS.values() for name in columns)}
    - {*TEXT_COLUMNS, *COUNT_COLUMNS},
)
KEYS = {GRADIENTS_FILE: ("step", "layer"), METRICS_FILE: ("step",)}  # without which a table says nothing

WAIT = 0.2  # seconds that a row waits for others at the most, while a run goes on

Cell = float | int | str | None


@dataclass(frozen=True)
class Baseline:
    """What an answer that ignores the input scores on held-out data, under the data's own loss.

    Arguments:
        metric: val_loss or val_accuracy.
        value: what it is, of a loss in nats or squared units.
        source: which answer, and who published it.
    """

    metric: str
    value: float
    source: str = ""

    @classmethod
    def read(cls, given: object) -> Baseline | None:
        """The entry `baseline` of run.json; None where it says nothing."""
        if not isinstance(given, Mapping) or given.get("value") is None or "metric" not in given:
            return None
        return cls(str(given["metric"]), float(given["value"]), str(given.get("source") or ""))


class Plain(Protocol):
    """What can be told in plain data."""

    def plain(self) -> Any: ...


class UnreadableRun(Exception):
    """A folder that does not hold a readable run."""

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(f"{folder}: {reason}")
        self.folder, self.reason = folder, reason


FORMATS: dict[type, str] = {float: "%.9g", int: "%d", str: "%s", type(None): "%.0s"}


def lines(rows: Iterable[Sequence[Cell]]) -> str:
    """Rows of CSV: nine significant digits, `inf` and `nan` as such, empty for what does not exist."""
    texts = ([quoted(cell) if type(cell) is str else cell for cell in row] for row in rows)
    return "".join([_format(tuple(map(type, row))) % tuple(row) for row in texts])


@lru_cache(maxsize=1 << 16)
def quoted(text: str) -> str:
    """`text` as a field of its own, in quotes when it holds a comma, a quote or a line break.

    No spreadsheet takes it for a formula; reading gives the text back.
    """
    text = harmless(text)
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in ',"\r\n') else text


@lru_cache(maxsize=1024)
def _format(kinds: tuple[type, ...]) -> str:
    """The format string of a row: several times quicker than formatting cell by cell."""
    return ",".join(FORMATS[kind] for kind in kinds) + "\n"


class Table:
    """A CSV file that grows while a run goes on, by whole rows in one write: a kill leaves complete rows.

    Rows of a fifth of a second are formatted and written together, which takes half the time of doing it
    step by step. Rows that a full disk does not take are not in the file, nor is a part of them.

    Arguments:
        path: of the file.
        columns: its head.
        before: keep the rows of steps before this one, which an earlier process wrote; None begins anew.

    Raises:
        WriteError: here and later, when the file cannot be written.
    """

    def __init__(self, path: Path, columns: Sequence[str], before: int | None = None) -> None:
        self.path, self.columns = path, tuple(columns)
        self._waiting: list[Sequence[Cell]] = []
        self._written = time.monotonic()
        with writing(path):
            self._size = 0 if before is None else _bytes_before(path, before)
            if self._size:
                os.truncate(path, self._size)
            self._file = open(path, "ab" if self._size else "wb", buffering=0)  # noqa: SIM115
            try:
                if not self._size:
                    self._append((",".join(columns) + "\n").encode())
            except OSError:
                self._file.close()
                raise

    def append(self, rows: Iterable[Sequence[Cell]]) -> None:
        """Add rows whose cells are in the order of the columns."""
        self._waiting += rows
        self.flush(WAIT)

    def flush(self, wait: float = 0.0) -> None:
        """Write what is waiting, if the last time was `wait` seconds ago or more."""
        now = time.monotonic()
        if self._waiting and now - self._written >= wait:
            with writing(self.path):
                self._append(lines(self._waiting).encode())
            self._waiting.clear()
            self._written = now

    def close(self) -> None:
        """Write what is waiting, and close the file; a second time does nothing."""
        if self._file.closed:
            return
        try:
            self.flush()
        finally:
            self._waiting.clear()
            with writing(self.path):
                self._file.close()

    def _append(self, content: bytes) -> None:
        self._size = append_whole(self._file.fileno(), content, self._size)


def _bytes_before(path: Path, step: int) -> int:
    """Bytes of a table, whose first column is the step, that come before the first row of `step` or later."""
    if not path.exists():
        return 0
    kept = 0
    with open(path, "rb") as file:
        for number, line in enumerate(_lines(file)):
            if not line.endswith(b"\n") or (number and float(line.partition(b",")[0]) >= step):
                break
            kept += len(line)
    return kept


def _lines(file: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a table, a quoted field of which may have line breaks."""
    whole = b""
    for line in file:
        whole += line
        if whole.count(b'"') % 2 == 0:
            yield whole
            whole = b""


MANY = 1 << 22  # bytes of a table that pandas reads more quickly, its import included


def read_columns(folder: Path, file: str) -> Columns:
    """A table of a run folder that this version has written; what `frame` of it holds, pandas reads as well.

    Raises:
        UnreadableRun: when it is no table of a run.
    """
    path = folder / file
    if not path.exists() or path.stat().st_size > MANY:
        return Columns.read(read_extra(folder, file), LAYOUT)
    with open(path, newline="", encoding="utf-8") as text:
        names, *rows = csv.reader(text)
    return Columns.of(rows, names, LAYOUT)


def frame(rows: Iterable[Sequence[Cell]], columns: Sequence[str]) -> pd.DataFrame:
    """Rows in memory as the DataFrame that reading them back would give."""
    import pandas as pd  # half a second that a run's first step need not wait for

    return typed(pd.DataFrame(list(rows), columns=list(columns)), LAYOUT)


def read_gradients(
    folder: Path, columns: Sequence[str] | None = None, most_steps: int | None = None
) -> pd.DataFrame:
    """gradients.csv of a run folder; `columns` reads only those, `most_steps` only `evenly_spaced` steps."""
    return _read_table(folder, GRADIENTS_FILE, columns, most_steps)


def read_metrics(folder: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """metrics.csv of a run folder; `columns` reads only those."""
    return _read_table(folder, METRICS_FILE, columns)


def read_tables(
    folders: Sequence[Path], file: str, most_steps: int | None = None
) -> Iterator[pd.DataFrame | UnreadableRun]:
    """gradients.csv or metrics.csv of many run folders; in place of one that cannot be read the reason.

    A folder may have no metrics.csv: that is a table without rows.
    """
    tables = read_each((folder / file for folder in folders), LAYOUT, most_steps)
    for folder, table in zip(folders, tables, strict=True):
        if table is None:
            empty = file == METRICS_FILE
            yield frame([], METRIC_COLUMNS) if empty else UnreadableRun(folder, f"no {file}")
        elif isinstance(table, Fault):
            yield UnreadableRun(folder, table.of(file))
        else:
            yield _with_keys(folder, file, table)


def _with_keys(folder: Path, file: str, table: pd.DataFrame) -> pd.DataFrame | UnreadableRun:
    try:
        for name in KEYS[file]:
            needs(list(table.columns), name)
    except Fault as fault:
        return UnreadableRun(folder, fault.of(file))
    return table


def read_extra(folder: Path, file: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """One of the tables in `EXTRA_COLUMNS`; without rows where the run did not write it."""
    if not is_there(folder / file):
        return frame([], EXTRA_COLUMNS[file] if columns is None else columns)
    return _read_table(folder, file, columns)


def read_run(folder: Path) -> dict[str, Any]:
    """run.json of a run folder.

    Raises:
        UnreadableRun: when the file is absent or is not a run's.
    """
    try:
        record: dict[str, Any] = _json(folder, RUN_FILE, RUN)
    except FileNotFoundError:
        raise UnreadableRun(folder, _nothing_in(folder)) from None
    return record


def _nothing_in(folder: Path) -> str:
    try:
        empty = folder.is_dir() and not any(folder.iterdir())
    except OSError as error:
        return f"the folder is not readable: {error.strerror}"
    return "the folder is empty" if empty else f"no {RUN_FILE}"


def _json(folder: Path, file: str, kind: Kind) -> Any:
    """What a JSON file of a run holds; raises FileNotFoundError or UnreadableRun."""
    try:
        return checked(content(folder / file), kind)
    except Fault as fault:
        raise UnreadableRun(folder, fault.of(file)) from None


BOUNDED_IN_0_1 = dict.fromkeys(("sigmoid", "tanh", "softsign", "erf"), True) | dict.fromkeys(
    ("relu", "leaky_relu", "prelu", "elu", "selu", "gelu", "silu", "mish", "softplus", "identity"), False
)


def answers_of_0_1(setting: Mapping[str, Any]) -> dict[str, bool]:
    """What a setting of version 0.1, whose run.json has no `answers`, is known to answer."""
    act = setting.get("act")
    name = act.get("name") if isinstance(act, Mapping) else None
    return {"act.bounded": BOUNDED_IN_0_1[name]} if name in BOUNDED_IN_0_1 else {}


Value: TypeAlias = str | float | bool | None


def flatten(choices: Mapping[str, Any], *, unused: bool = False) -> dict[str, Value]:
    """The `choices` of run.json with one key per value: a choice as `act`, its parameter as `act.slope`.

    `unused`: keep the parameters of the choice `none` as well, which have no effect.

    Example:
        >>> flatten({"depth": 20, "act": {"name": "leaky_relu", "slope": 0.01}})
        {'depth': 20, 'act': 'leaky_relu', 'act.slope': 0.01}
    """
    flat: dict[str, Value] = {}
    for key, value in choices.items():
        if not isinstance(value, Mapping):
            flat[key] = _plain(value)
            continue
        flat[key] = _plain(value.get("name"))
        if unused or flat[key] != "none":
            flat.update({f"{key}.{name}": _plain(item) for name, item in value.items() if name != "name"})
    return flat


def _plain(value: Any) -> Value:
    return value if value is None or isinstance(value, str | int | float) else str(value)


def clear_optional(folder: Path) -> None:
    """Take away what an earlier run in the same folder left, and the next one need not write."""
    arrays = (FILTERS_ARRAYS, FRAMES_ARRAYS, LANDSCAPE_ARRAYS, ACTIVATIONS_ARRAYS)
    for file in (*EXTRA_COLUMNS, *arrays, SAMPLE_FILE, DIAGNOSIS_FILE, THEORY_FILE):
        (folder / file).unlink(missing_ok=True)


def write_run(folder: Path, record: Mapping[str, Any]) -> None:
    """Write run.json atomically, as strict JSON: numbers that are not finite become strings."""
    _write_json(folder / RUN_FILE, record)


def write_diagnosis(folder: Path, diagnosis: Plain) -> None:
    """Write diagnosis.json atomically: a list of findings, the worst first."""
    _write_json(folder / DIAGNOSIS_FILE, diagnosis.plain())


def write_theory(folder: Path, prediction: Plain) -> None:
    """Write theory.json: what was predicted of the initial network."""
    one: Any = prediction
    replace_file(folder / THEORY_FILE, _theory_text(one))


@lru_cache(maxsize=64)
def _theory_text(prediction: Any) -> bytes:
    """The runs of a sweep that differ in their seed alone have one prediction."""
    return f"{strict_json(prediction.plain())}\n".encode()


def _write_json(path: Path, content: Any, indent: int | None = 2) -> None:
    """Write strict JSON, atomically."""
    replace_file(path, f"{strict_json(content, indent)}\n".encode())


def strict_json(value: Any, indent: int | None = None, *, ascii_only: bool = False, level: int = 0) -> str:
    """JSON in which numbers that are not finite are text; a fourth of the time of `json` with an indent.

    Arguments:
        value: plain data.
        indent: blanks before what is inside of something; None for all of it on one line.
        ascii_only: whether other characters are escaped.
        level: how many blanks stand before what it is inside of.

    Example:
        >>> print(strict_json({"loss": float("inf"), "steps": [1]}, indent=1))
        {
         "loss": "inf",
         "steps": [
          1
         ]
        }
    """
    if indent is None:
        return json.dumps(strict(value), allow_nan=False, ensure_ascii=ascii_only)
    return _indented(value, "\n" + " " * level, " " * indent, QUOTES[ascii_only])


WORDS = {None: "null", True: "true", False: "false"}
QUOTES: tuple[Callable[[str], str], ...] = (
    json.encoder.encode_basestring,
    json.encoder.encode_basestring_ascii,
)


def _indented(value: Any, line: str, indent: str, quote: Callable[[str], str]) -> str:
    """A value, behind a line break with the blanks before it; the kinds that are many come first."""
    kind = type(value)
    if kind is str:
        return quote(value)
    if kind is float:
        return repr(value) if math.isfinite(value) else quote(str(value))
    if kind is int:
        return repr(value)
    if value is None or kind is bool:
        return WORDS[value]
    inner = line + indent
    if kind is dict or isinstance(value, Mapping):
        items = [f"{quote(str(key))}: {_indented(item, inner, indent, quote)}" for key, item in value.items()]
        return f"{{{inner}{f',{inner}'.join(items)}{line}}}" if items else "{}"
    if isinstance(value, list | tuple):
        items = [_indented(item, inner, indent, quote) for item in value]
        return f"[{inner}{f',{inner}'.join(items)}{line}]" if items else "[]"
    return json.dumps(strict(value), allow_nan=False)


def read_theory(folder: Path) -> dict[str, Any]:
    """theory.json; empty where there is none.

    Raises:
        UnreadableRun: when it is not a prediction.
    """
    try:
        theory: dict[str, Any] = _json(folder, THEORY_FILE, THEORY)
    except FileNotFoundError:
        return {}
    return theory


def as_number(value: Any) -> float:
    """A number of JSON, where those that are not finite are text; NaN for what is missing."""
    return float("nan") if value is None else float(value)


def numbers(metrics: Mapping[str, Any]) -> dict[str, float | None]:
    """Metrics read from JSON, where `nan` and `inf` are strings."""
    return {name: None if value is None else float(value) for name, value in metrics.items()}


def write_arrays(path: Path, **arrays: Any) -> None:
    """Write numpy arrays to an .npz file, atomically."""
    import numpy as np

    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    replace_file(path, buffer.getvalue())


def strict(value: Any) -> Any:
    """`value` with every number that JSON cannot write as a string: inf, -inf, nan."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [strict(item) for item in value]
    return value


def _read_table(
    folder: Path, file: str, columns: Sequence[str] | None, most_steps: int | None = None
) -> pd.DataFrame:
    try:
        table = read_rows(folder / file, LAYOUT, columns, most_steps)
        for name in KEYS.get(file, ()) if columns is None else ():
            needs(list(table.columns), name)
    except FileNotFoundError:
        raise UnreadableRun(folder, f"no {file}") from None
    except Fault as fault:
        raise UnreadableRun(folder, fault.of(file)) from None
    return table
