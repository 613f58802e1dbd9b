"""Run folders in memory: one, and many together."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vanishgrad.diagnosis import Diagnosis, diagnose
from vanishgrad.diagnosis.describe import signal_of
from vanishgrad.diagnosis.layers import When, moment
from vanishgrad.records import (
    GRADIENT_COLUMNS,
    GRADIENTS_FILE,
    METRIC_COLUMNS,
    Baseline,
    UnreadableRun,
    as_number,
    read_theory,
)
from vanishgrad.report.extras import EXTRAS, Condensed, condensed, read_sample
from vanishgrad.report.labels import run_labels, varied_keys

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


PREDICTED = "predicted_delta_norm"


class Noted(NamedTuple):
    """A folder that holds no readable run, or not the whole of it, and why."""

    folder: Path
    reason: str


@dataclass(frozen=True, eq=False)
class Runs:
    """Run folders read together, in the order of their numbers, and the folders that were skipped.

    `joined`: the table of which the gradients of the runs are parts, one after the other; None where they
    are tables of their own.
    """

    runs: tuple[SavedRun, ...]
    skipped: tuple[Noted, ...] = ()
    joined: pd.DataFrame | None = None

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
        tables = [run.gradients for run in self.runs]
        joined = _concatenated(tables, columns) if self.joined is None else self.joined.copy(deep=False)
        joined[PREDICTED] = np.concatenate([[], *map(_predicted, self.runs)])
        return self._tagged(joined, tables)

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """`run, setting, seed, status`, the columns of metrics.csv and the baselines of the data."""
        tables = [run.metrics for run in self.runs]
        joined = _concatenated(tables, METRIC_COLUMNS)
        for name in ("val_loss", "val_accuracy") if self.runs else ():
            joined[f"baseline_{name}"] = _repeated([run.baseline_of(name) for run in self.runs], tables)
        return self._tagged(joined, tables)

    def extra(self, name: str) -> pd.DataFrame:
        """`run, setting, seed, status` and the columns of a table of `extras`."""
        tables = [run.extra(name) for run in self.runs]
        columns = dict.fromkeys(str(column) for table in tables for column in table)
        return self._tagged(_concatenated(tables, columns), tables)

    def _tagged(self, joined: pd.DataFrame, tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
        """Put `run, setting, seed, status` before the columns of the runs' `tables` together."""
        tags = {
            "run": self.names, "setting": self.labels, "seed": [run.seed for run in self.runs],
            "status": [run.status for run in self.runs],
        }  # fmt: skip
        for place, (name, values) in enumerate(tags.items()):
            joined.insert(place, name, _repeated(values, tables))
        return joined


def _concatenated(tables: Sequence[pd.DataFrame], columns: Iterable[str]) -> pd.DataFrame:
    """The rows of tables, of which some may have none, under their columns in one order."""
    filled, names = [table for table in tables if len(table)], list(columns)
    if not filled:
        return pd.DataFrame(columns=names)
    joined = pd.concat(filled, ignore_index=True)
    return joined if list(joined.columns) == names else joined.reindex(columns=names)


def _repeated(values: Sequence[Any], tables: Sequence[pd.DataFrame]) -> pd.Series[Any]:
    """One value for each table, as often as it has rows."""
    codes = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    return pd.Series(list(values), dtype=None if len(values) else object).iloc[codes].reset_index(drop=True)


def _predicted(run: SavedRun) -> NDArray[np.float64]:
    """What theory says of each row of the gradients of a run: of the initial network alone."""
    values = np.full(len(run.gradients), np.nan)
    if len(run.predicted):
        start = np.flatnonzero(run.gradients["step"].to_numpy() == 0)
        layers = run.gradients["layer"].to_numpy()[start]
        values[start] = run.predicted.reindex(layers).to_numpy()
    return values
