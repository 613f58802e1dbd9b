"""The run folder: file names, columns, writing and reading. The only place that names a column."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, get_args

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

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
STATUSES = ("running", "completed", "diverged", "interrupted", "failed")

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
NOT_A_NUMBER = {
    name: ["", "nan"]
    for columns in (GRADIENT_COLUMNS, METRIC_COLUMNS, *EXTRA_COLUMNS.values())
    for name in columns
    if name not in TEXT_COLUMNS
}

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
    """`text` as a field of its own, in quotes when it holds a comma, a quote or a line break."""
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in ',"\r\n') else text


@lru_cache(maxsize=1024)
def _format(kinds: tuple[type, ...]) -> str:
    """The format string of a row: several times quicker than formatting cell by cell."""
    return ",".join(FORMATS[kind] for kind in kinds) + "\n"


class Table:
    """A CSV file that grows while a run goes on, by whole rows in one write: a kill leaves complete rows.

    Rows of a fifth of a second are formatted and written together, which takes half the time of doing it
    step by step.

    Arguments:
        path: of the file.
        columns: its head.
        before: keep the rows of steps before this one, which an earlier process wrote; None begins anew.
    """

    def __init__(self, path: Path, columns: Sequence[str], before: int | None = None) -> None:
        self.path, self.columns = path, tuple(columns)
        kept = 0 if before is None else _bytes_before(path, before)
        if kept:
            os.truncate(path, kept)
        self._file = open(path, "ab" if kept else "wb", buffering=0)  # noqa: SIM115
        if not kept:
            self._file.write((",".join(columns) + "\n").encode())
        self._waiting: list[Sequence[Cell]] = []
        self._written = time.monotonic()

    def append(self, rows: Iterable[Sequence[Cell]]) -> None:
        """Add rows whose cells are in the order of the columns."""
        self._waiting += rows
        self.flush(WAIT)

    def flush(self, wait: float = 0.0) -> None:
        """Write what is waiting, if the last time was `wait` seconds ago or more."""
        now = time.monotonic()
        if self._waiting and now - self._written >= wait:
            self._file.write(lines(self._waiting).encode())
            self._waiting.clear()
            self._written = now

    def close(self) -> None:
        """Write what is waiting, and close the file."""
        self.flush()
        self._file.close()


def _bytes_before(path: Path, step: int) -> int:
    """Bytes of a table, whose first column is the step, that come before the first row of `step` or later."""
    if not path.exists():
        return 0
    kept = 0
    with open(path, "rb") as file:
        for number, line in enumerate(file):
            if not line.endswith(b"\n") or (number and int(line.partition(b",")[0]) >= step):
                break
            kept += len(line)
    return kept


class Columns:
    """A table in memory as arrays: what a run needs of its own tables, without the second that pandas takes.

    `columns[name]`, `name in columns` and `len(columns)` are those of the DataFrame.

    Arguments:
        arrays: by the name of the column, all of one length.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._arrays = dict(arrays)

    @classmethod
    def of(cls, cells: Iterable[Sequence[Any]], names: Sequence[str]) -> Columns:
        """Rows in memory, or as they were written."""
        rows = list(cells)
        columns = zip(*rows, strict=True) if rows else itertools.repeat((), len(names))
        return cls({name: _array(name, column) for name, column in zip(names, columns, strict=True)})

    @classmethod
    def read(cls, table: pd.DataFrame) -> Columns:
        """A DataFrame."""
        return cls({str(name): table[name].to_numpy() for name in table})

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._arrays[name]

    def __contains__(self, name: object) -> bool:
        return name in self._arrays

    def __len__(self) -> int:
        return len(next(iter(self._arrays.values()), ()))

    def frame(self) -> pd.DataFrame:
        """The same as a DataFrame."""
        import pandas as pd

        return _typed(pd.DataFrame(self._arrays))


def _array(name: str, cells: Sequence[Any]) -> NDArray[Any]:
    """A column: counts as integers, names as text, everything else as float64; what is empty is NaN."""
    import numpy as np

    if name in TEXT_COLUMNS:
        return np.array(cells, dtype=object)
    if name in COUNT_COLUMNS:
        return np.array(list(map(int, cells)), dtype=np.int64)
    return np.array([math.nan if cell in ("", None) else float(cell) for cell in cells], dtype=np.float64)


MANY = 1 << 22  # bytes of a table that pandas reads more quickly, its import included


def read_columns(folder: Path, file: str) -> Columns:
    """A table of a run folder that this version has written; what `frame` of it holds, pandas reads as well.

    Raises:
        UnreadableRun: when it is no table of a run.
    """
    path = folder / file
    if not path.exists() or path.stat().st_size > MANY:
        return Columns.read(read_extra(folder, file))
    with open(path, newline="", encoding="utf-8") as text:
        names, *rows = csv.reader(text)
    return Columns.of(rows, names)


def frame(rows: Iterable[Sequence[Cell]], columns: Sequence[str]) -> pd.DataFrame:
    """Rows in memory as the DataFrame that reading them back would give."""
    import pandas as pd  # half a second that a run's first step need not wait for

    table = pd.DataFrame(list(rows), columns=list(columns))
    return _typed(table)


def read_gradients(
    folder: Path, columns: Sequence[str] | None = None, most_steps: int | None = None
) -> pd.DataFrame:
    """gradients.csv of a run folder; `columns` reads only those, `most_steps` only `evenly_spaced` steps."""
    return _read_table(folder, GRADIENTS_FILE, columns, most_steps)


def evenly_spaced(steps: Sequence[Any], most: int) -> Sequence[Any]:
    """At most about `most` of the logged steps, evenly spaced, always the first and the last.

    Strides are powers of two, so that runs of one length keep the same steps.
    """
    if len(steps) <= most:
        return steps
    stride = 1
    while len(steps) > stride * most:
        stride *= 2
    return [*steps[:-1:stride], steps[-1]]


def read_metrics(folder: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """metrics.csv of a run folder; `columns` reads only those."""
    return _read_table(folder, METRICS_FILE, columns)


def read_extra(folder: Path, file: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """One of the tables in `EXTRA_COLUMNS`; without rows where the run did not write it."""
    if not (folder / file).exists():
        return frame([], EXTRA_COLUMNS[file] if columns is None else columns)
    return _read_table(folder, file, columns)


def read_run(folder: Path) -> dict[str, Any]:
    """run.json of a run folder.

    Raises:
        UnreadableRun: when the file is absent or is not a run's.
    """
    try:
        record = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        empty = folder.is_dir() and not any(folder.iterdir())
        raise UnreadableRun(folder, "the folder is empty" if empty else f"no {RUN_FILE}") from None
    except OSError as error:
        raise UnreadableRun(folder, f"{RUN_FILE} is not readable: {error.strerror}") from None
    except ValueError:
        raise UnreadableRun(folder, f"{RUN_FILE} is not JSON") from None
    if not isinstance(record, dict) or record.get("status") not in STATUSES:
        raise UnreadableRun(folder, f"{RUN_FILE} is not the record of a run")
    return record


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
    _write_json(folder / THEORY_FILE, prediction.plain(), indent=None)


def _write_json(path: Path, content: Any, indent: int | None = 2) -> None:
    """Write strict JSON, atomically."""
    text = json.dumps(strict(content), indent=indent, allow_nan=False, ensure_ascii=False) + "\n"
    replace_file(path, text.encode())


def read_theory(folder: Path) -> dict[str, Any]:
    """theory.json; empty where there is none that can be read."""
    try:
        theory = json.loads((folder / THEORY_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return theory if isinstance(theory, dict) else {}


def numbers(metrics: Mapping[str, Any]) -> dict[str, float | None]:
    """Metrics read from JSON, where `nan` and `inf` are strings."""
    return {name: None if value is None else float(value) for name, value in metrics.items()}


def replace_file(path: Path, content: bytes) -> None:
    """Put `content` in place of `path` in one step, so that a reader sees the old file or the new one."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with open(partial, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


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


def reserve_folder(parent: Path, name: str) -> Path:
    """Create `parent/name`, or `parent/name_2`, `_3`, ...: the first that nobody else has taken."""
    parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        folder = parent / (name if number == 1 else f"{name}_{number}")
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            number += 1


def _read_table(
    folder: Path, file: str, columns: Sequence[str] | None, most_steps: int | None = None
) -> pd.DataFrame:
    import pandas as pd

    try:
        table = _typed(
            pd.read_csv(
                _complete_rows(folder / file) if most_steps is None else _few_rows(folder / file, most_steps),
                usecols=None if columns is None else list(columns),
                keep_default_na=False,
                na_values=NOT_A_NUMBER,
                dtype=dict.fromkeys(TEXT_COLUMNS, "str"),
            )
        )
    except FileNotFoundError:
        raise UnreadableRun(folder, f"no {file}") from None
    except OSError as error:
        raise UnreadableRun(folder, f"{file} is not readable: {error.strerror}") from None
    except pd.errors.EmptyDataError:
        raise UnreadableRun(folder, f"{file} is empty") from None
    except ValueError:  # pandas says where, in terms of its parser
        raise UnreadableRun(folder, f"{file} is not the table of a run") from None
    return table


def _complete_rows(path: Path) -> Path | io.BytesIO:
    """`path`, or its content without a last row that a crash cut short."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        if size == 0 or file.read(1) == b"\n":
            return path
        file.seek(0)
        content = file.read()
    return io.BytesIO(content[: content.rfind(b"\n") + 1])


def _few_rows(path: Path, most_steps: int) -> Path | io.BytesIO:
    """The rows of `evenly_spaced` steps; all where the step is not the first column. Saves time."""
    import numpy as np

    with open(path, "rb") as file:
        content = file.read()
    if not content.startswith(b"step,"):
        return _complete_rows(path)
    ends = np.flatnonzero(np.frombuffer(content, np.uint8) == ord("\n")) + 1  # of the head and the whole rows
    begins = _begins(content, ends.tolist())
    after = dict(itertools.pairwise(begins))
    kept = [content[begin : after[begin]] for begin in evenly_spaced(begins[:-1], most_steps)]
    return io.BytesIO(content[: ends[0] if len(ends) else None] + b"".join(kept))


def _begins(content: bytes, ends: Sequence[int]) -> list[int]:
    """Where the rows of each step begin, and where the last one ends.

    Every step of a network has as many rows: only the first and the last of as many are looked at, and all
    where they do not agree.
    """
    starts = ends[:-1]  # of the rows: each begins where the line before it ends

    def steps(places: Iterable[int]) -> Iterator[bytes]:
        return (content[start : content.find(b",", start)] for start in places)

    one = next(steps(starts), b"")
    count = next((place for place, step in enumerate(steps(starts)) if step != one), len(starts)) or 1
    firsts, lasts = list(steps(starts[::count])), list(steps(starts[count - 1 :: count]))
    if firsts == lasts and len(set(firsts)) == len(firsts):
        return [*starts[::count], *ends[-1:]]
    every = list(steps(starts))
    changes = (place for place, step in enumerate(every) if not place or step != every[place - 1])
    return [*(starts[place] for place in changes), *ends[-1:]]


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    """Counts as integers, names as text, everything else as float64 (an empty field is NaN)."""
    kinds = {
        name: "int64" if name in COUNT_COLUMNS else "str" if name in TEXT_COLUMNS else "float64"
        for name in table.columns
    }
    other = {name: kind for name, kind in kinds.items() if str(table[name].dtype) != kind}
    return table.astype(other) if other else table
