"""Run folders in memory: `load_runs` reads many, `newest_runs` names the last one."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from vanishgrad.diagnosis import Diagnosis, diagnose
from vanishgrad.diagnosis.describe import signal_of
from vanishgrad.diagnosis.layers import When, by_layer, moment, thin
from vanishgrad.errors import SettingError, instance_of, require
from vanishgrad.records import (
    CLAIMS_FILE,
    GRADIENT_COLUMNS,
    GRADIENTS_FILE,
    METRIC_COLUMNS,
    METRICS_FILE,
    RUN_FILE,
    Baseline,
    UnreadableRun,
    as_number,
    read_gradients,
    read_metrics,
    read_run,
    read_theory,
)
from vanishgrad.report.extras import EXTRAS, Condensed, condensed, read_sample
from vanishgrad.report.labels import run_labels, varied_keys
from vanishgrad.schema import is_there

SAMPLE_LENGTH = 600  # characters
MOST_REASONS = 3  # that are given where nothing could be read


@dataclass(frozen=True, eq=False)
class SavedRun:
    """One run folder in memory.

    `gradients`: one row per logged step and layer. `metrics`: one row per logged or evaluated step.
    `most_steps`: how many logged steps of the other tables are kept; None: all.
    """

    folder: Path
    record: dict[str, Any]
    gradients: pd.DataFrame
    metrics: pd.DataFrame
    most_steps: int | None = None

    @property
    def status(self) -> str:
        return str(self.record.get("status", "unknown"))

    @property
    def seed(self) -> int | None:
        return self.record.get("seed")

    @property
    def choices(self) -> dict[str, Any]:
        return self.record.get("choices") or {}

    @property
    def overrides(self) -> list[str]:
        return self.record.get("overrides") or []

    @property
    def is_typed(self) -> bool:
        """Whether a command began it, which can be typed again; not one that Python made."""
        return bool(self.overrides or self.record.get("config"))

    @property
    def name(self) -> str:
        """The user's name for the run; without a recorded setting, the folder's."""
        own = self.choices.get("name") or self.record.get("name")
        return str(own or ("" if self.choices else self.folder.name))

    @property
    def baseline(self) -> Baseline | None:
        """What an answer that ignores the input scores on the run's data; None where that is not recorded."""
        return Baseline.read(self.record.get("baseline"))

    def baseline_of(self, metric: str) -> float:
        """The baseline's value in `metric`; NaN where there is none."""
        one = self.baseline
        return one.value if one is not None and one.metric == metric else float("nan")

    def extra(self, name: str) -> pd.DataFrame:
        """One of the tables of `extras`, read when it is first asked for; empty where it cannot be read."""
        return self._condensed(name).table

    @property
    def broken_extras(self) -> tuple[str, ...]:
        """The reasons why some of those tables could not be read."""
        reasons = [self._prediction[1], *(self._condensed(name).broken for name in EXTRAS)]
        return tuple(reason for reason in reasons if reason is not None)

    @property
    def sample_start(self) -> str:
        """How the text sampled from the trained network begins; empty where there is none."""
        return read_sample(self.folder, SAMPLE_LENGTH)

    def moment(self, column: str, when: When) -> pd.DataFrame:
        """Rows of `gradients` at the first step at which `column` exists, or the last one that is finite."""
        if (column, when) not in self._moments:
            self._moments[column, when] = moment(self.gradients, column, when)
        return self._moments[column, when]

    @property
    def theory(self) -> dict[str, Any]:
        """The prediction for the initial network, as theory.json has it; empty where it cannot be read."""
        return self._prediction[0]

    @cached_property
    def _prediction(self) -> tuple[dict[str, Any], str | None]:
        """The prediction, or an empty one and why it could not be read."""
        try:
            return read_theory(self.folder), None
        except UnreadableRun as error:
            return {}, error.reason

    @cached_property
    def predicted(self) -> pd.Series[float]:
        """The predicted ||dLoss/dz|| of the hidden layers of the initial network, by layer.

        Theory gives it relative to the last hidden layer, whose measured norm is taken. Empty where there is
        no prediction, or nothing to hold it against.
        """
        profile = [as_number(decades) for decades in self.theory.get("profile") or []]
        start = self.moment("delta_norm", "start")
        last = start.loc[start["layer"] == len(profile), "delta_norm"]
        if not profile or start["step"].min() > 0 or last.size != 1:
            return pd.Series(dtype=float)
        decades = pd.Series(profile, index=range(1, len(profile) + 1), dtype=float)
        return float(last.iloc[0]) * 10.0**decades

    @cached_property
    def signal(self) -> str:
        """The column that tells how gradients pass: dLoss/dz, or dLoss/dW where nothing else was measured."""
        return signal_of(self.gradients)

    @cached_property
    def diagnosis(self) -> Diagnosis:
        """The findings about the run, made from its tables."""
        return diagnose(
            self.gradients, self.metrics, setting=self.record.get("effective") or self.choices,
            status=self.status, diverged_at=self.record.get("diverged_at"),
            baseline=self.record.get("baseline"), time_gradients=self.extra("time_gradients"),
            dead_units=self.extra("dead_units"), answers=self.record.get("answers"),
            fitting=self.record.get("fitting"),
        )  # fmt: skip

    @property
    def steps(self) -> int:
        """The last step in its tables."""
        return int(max(table["step"].max() for table in (self.gradients, self.metrics) if len(table)))

    @property
    def cut_short(self) -> str | None:
        """What is missing of a completed run, None where nothing is; a monitor need not log the last step."""
        last, steps = int(self.gradients["step"].max()), self.record.get("steps")
        if self.status != "completed" or not self.choices or not isinstance(steps, int) or last >= steps:
            return None
        return f"{GRADIENTS_FILE} ends at step {last} of {steps}"

    def _condensed(self, name: str) -> Condensed:
        if name not in self._extras:
            self._extras[name] = condensed(self.folder, name, self.most_steps)
        return self._extras[name]

    @cached_property
    def _moments(self) -> dict[tuple[str, When], pd.DataFrame]:
        """What was asked for until now."""
        return {}

    @cached_property
    def _extras(self) -> dict[str, Condensed]:
        """What was asked for until now."""
        return {}


__all__ = ["Noted", "Runs", "SavedRun", "load_runs", "newest_runs", "run_folders"]

PREDICTED = "predicted_delta_norm"
NOT_RUNS = frozenset({"report", "lab", "theory"})
REPORT_PAGE = "index.html"
DATED = re.compile(r"\d{4}-\d\d-\d\d_")


class Noted(NamedTuple):
    """A folder that holds no readable run, or not the whole of it, and why."""

    folder: Path
    reason: str


@dataclass(frozen=True, eq=False)
class Runs:
    """Run folders read together, in the order of their numbers, and the folders that were skipped."""

    runs: tuple[SavedRun, ...]
    skipped: tuple[Noted, ...] = ()

    def __len__(self) -> int:
        return len(self.runs)

    def __iter__(self) -> Iterator[SavedRun]:
        return iter(self.runs)

    @property
    def cut_short(self) -> tuple[Noted, ...]:
        """The runs that were read although their gradients end before the run did."""
        return tuple(Noted(run.folder, reason) for run in self if (reason := run.cut_short) is not None)

    @property
    def broken_extras(self) -> tuple[Noted, ...]:
        """The other files of the runs that could not be read."""
        return tuple(Noted(run.folder, reason) for run in self for reason in run.broken_extras)

    @property
    def reasons(self) -> str:
        """Why the first folders were skipped, in brackets; empty where none was."""
        said = [f"{folder}: {reason}" for folder, reason in self.skipped[:MOST_REASONS]]
        more = [f"and {len(self.skipped) - MOST_REASONS} more"] * (len(self.skipped) > MOST_REASONS)
        return f" ({'; '.join([*said, *more])})" if said else ""

    @property
    def baselines(self) -> tuple[Baseline, ...]:
        """The different baselines of the runs."""
        return tuple(dict.fromkeys(run.baseline for run in self if run.baseline is not None))

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The keys of the configuration that varied, as `act` or `norm.position`."""
        return varied_keys([run.choices for run in self.runs], [run.overrides for run in self.runs])

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The setting of each run, as `act=sigmoid norm=batch`."""
        choices, overrides = [run.choices for run in self.runs], [run.overrides for run in self.runs]
        return tuple(run_labels(choices, overrides, [run.name for run in self.runs]))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The folder of each run below the folder that all of them share."""
        if len(self.runs) < 2:
            return tuple(run.folder.name for run in self.runs)
        shared = os.path.commonpath([run.folder.resolve().parent for run in self.runs])
        return tuple(run.folder.resolve().relative_to(shared).as_posix() for run in self.runs)

    @cached_property
    def gradients(self) -> pd.DataFrame:
        """`run, setting, seed, status` and the columns of gradients.csv, one row per run, step and layer.

        `predicted_delta_norm` is what theory says of delta_norm in the initial network, NaN elsewhere.
        """
        columns = [name for name in GRADIENT_COLUMNS if name != "name"]
        return self._joined([_with_theory(run) for run in self.runs], [*columns, PREDICTED])

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """`run, setting, seed, status`, the columns of metrics.csv and the baselines of the data."""
        names = ("val_loss", "val_accuracy")
        baselines = [{f"baseline_{name}": run.baseline_of(name) for name in names} for run in self.runs]
        frames = [run.metrics.assign(**scores) for run, scores in zip(self.runs, baselines, strict=True)]
        return self._joined(frames, [*METRIC_COLUMNS, *baselines[0]] if baselines else METRIC_COLUMNS)

    def extra(self, name: str) -> pd.DataFrame:
        """`run, setting, seed, status` and the columns of a table of `extras`."""
        frames = [run.extra(name) for run in self.runs]
        return self._joined(frames, dict.fromkeys(str(column) for frame in frames for column in frame))

    def _joined(self, frames: Iterable[pd.DataFrame], columns: Iterable[str]) -> pd.DataFrame:
        tagged = [
            frame.assign(run=name, setting=label, seed=run.seed, status=run.status)
            for frame, name, label, run in zip(frames, self.names, self.labels, self.runs, strict=True)
            if not frame.empty
        ]
        order = ["run", "setting", "seed", "status", *columns]
        return pd.concat(tagged, ignore_index=True)[order] if tagged else pd.DataFrame(columns=order)


def _with_theory(run: SavedRun) -> pd.DataFrame:
    rows = run.gradients
    predicted = rows["layer"].map(run.predicted) if len(run.predicted) else float("nan")
    return rows.assign(**{PREDICTED: pd.Series(predicted, rows.index).where(rows["step"] == 0)})


def load_runs(*folders: str | Path, most_steps: int | None = None) -> Runs:
    """Read every run folder at or below `folders`; report and lab folders below them are passed over.

    Tables of all runs together are `gradients`, `metrics` and `extra(name)`, each with the columns
    `run, setting, seed, status`; single runs come by iterating.

    Arguments:
        folders: of runs, of sweeps, or of many of them.
        most_steps: about how many logged steps are kept of long tables, which bounds the memory that a large
            sweep takes; None: all.

    Returns:
        The runs in the order of their numbers; folders without a readable run are in `skipped`, with the
        reason.

    Raises:
        SettingError: when one of the `folders` does not exist.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     _ = Path(folder, "run.json").write_text('{"status": "completed", "choices": {"depth": 2}}')
        ...     _ = Path(folder, "gradients.csv").write_text("step,layer,grad_norm\\n0,1,0.1\\n0,2,1.0\\n")
        ...     runs = load_runs(folder)
        >>> runs.gradients[["layer", "grad_norm"]].values.tolist()
        [[1.0, 0.1], [2.0, 1.0]]
        >>> runs.skipped
        ()
    """
    for given in folders:
        instance_of("load_runs", given, (str, Path), "folders, such as 'outputs/2026-01-31_12-00-00'")
    runs, skipped = [], []
    for folder in _unique(run for place in folders for run in run_folders(Path(place))):
        try:
            runs.append(_read(folder, most_steps))
        except UnreadableRun as error:
            skipped.append(Noted(folder, error.reason))
    return Runs(tuple(runs), tuple(skipped))


def run_folders(folder: Path) -> list[Path]:
    """`folder` itself if it is a run, else the runs below it and the folders that should have been one."""
    require(folder.is_dir(), f"runs={folder}: there is no such folder")
    return list(_run_folders(folder, set()))


def _run_folders(folder: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    """The same; a folder that links lead back to is looked at once."""
    found = os.stat(folder)
    if (found.st_dev, found.st_ino) in seen:
        return
    seen.add((found.st_dev, found.st_ino))
    if is_there(folder / RUN_FILE):
        yield folder
        return
    try:
        below = sorted((path for path in folder.iterdir() if _may_hold_runs(path)), key=natural)
    except OSError:
        below = []  # reading it will say why
    for path in below:
        yield from _run_folders(path, seen)
    if not below and not (folder / REPORT_PAGE).exists():
        yield folder


def newest_runs(outputs: Path = Path("outputs")) -> Path:
    """The run or sweep under `outputs` that was started last; report and lab folders are not counted."""
    hint = "train something first, or name a folder with runs=DIR"
    require(outputs.is_dir(), f"there is no folder {outputs} here: {hint}")
    started = [path for path in outputs.iterdir() if _may_hold_runs(path) and any(_recorded(path))]
    if not started:
        raise SettingError(f"there is no run in {outputs}: {hint}")
    return max(started, key=_start)


def _read(folder: Path, most_steps: int | None) -> SavedRun:
    record = read_run(folder)
    gradients = read_gradients(folder, most_steps=most_steps)
    gradients = _readable(folder, GRADIENTS_FILE, gradients, GRADIENT_COLUMNS)
    if gradients.empty:
        raise UnreadableRun(folder, "gradients.csv has no complete row")
    no_metrics = pd.DataFrame(columns=list(METRIC_COLUMNS), dtype=float)
    metrics = read_metrics(folder) if is_there(folder / METRICS_FILE) else no_metrics
    metrics = _readable(folder, METRICS_FILE, metrics, METRIC_COLUMNS)
    if most_steps is not None:
        metrics = _thin_metrics(metrics, most_steps)
    return SavedRun(folder, record, by_layer(gradients), metrics, most_steps)


def _readable(folder: Path, file: str, table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """All `columns`; those that an older version did not write are empty, but a table needs its key."""
    missing = [name for name in ("step", "layer") if name in columns and name not in table]
    if missing:
        raise UnreadableRun(folder, f"{file} has no column {missing[0]}")
    return table.reindex(columns=list(columns))


def _thin_metrics(metrics: pd.DataFrame, most_steps: int) -> pd.DataFrame:
    """Evaluated rows are thinned apart from logged ones: they seldom fall on the same steps."""
    if len(metrics) <= most_steps:
        return metrics
    evaluated = metrics["val_loss"].notna()
    return pd.concat(
        [thin(metrics[evaluated], most_steps), thin(metrics[~evaluated], most_steps)]
    ).sort_values("step")


def _may_hold_runs(path: Path) -> bool:
    """Whether to look below `path` for runs."""
    other = path.name.startswith(".") or path.name in NOT_RUNS
    is_figures = path.name == "figures" and (path.parent / REPORT_PAGE).exists()
    return path.is_dir() and not other and not is_figures and not (path / CLAIMS_FILE).exists()


def _recorded(folder: Path) -> Iterator[Path]:
    return (path for path in run_folders(folder) if (path / RUN_FILE).is_file())


def _start(folder: Path) -> str:
    """When it was started, as the folder's name says, else when its newest record was written."""
    if DATED.match(folder.name):
        return folder.name
    written = max((path / RUN_FILE).stat().st_mtime for path in _recorded(folder))
    return time.strftime("%Y-%m-%d_%H-%M-%S", time.localtime(written))


def natural(path: Path) -> tuple[tuple[str, int], ...]:
    """Sort key that puts job 2 before job 10."""
    return tuple((text, int(number or 0)) for text, number in re.findall(r"(\D*)(\d*)", path.name))


def _unique(folders: Iterable[Path]) -> list[Path]:
    return list({folder.resolve(): folder for folder in folders}.values())
