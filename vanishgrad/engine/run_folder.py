"""A run folder read back: its setting, its tables, its trained network."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from vanishgrad.choices.model.build import AnyNetwork, blank
from vanishgrad.description import described
from vanishgrad.diagnosis import Diagnosis, diagnose
from vanishgrad.engine.checkpoint import check_weights, stored
from vanishgrad.engine.memory import check_memory
from vanishgrad.engine.recorder import Result, Tables
from vanishgrad.errors import SettingError, instance_of, require, short
from vanishgrad.records import (
    CHECKPOINT_FILE,
    EXTRA_COLUMNS,
    GRADIENT_COLUMNS,
    GRADIENTS_FILE,
    LAYOUT,
    METRIC_COLUMNS,
    METRICS_FILE,
    RUN_FILE,
    UnreadableRun,
    frame,
    numbers,
    read_extra,
    read_gradients,
    read_metrics,
    read_run,
)
from vanishgrad.rows import Columns
from vanishgrad.run import Run
from vanishgrad.schema import Fault, is_there

if TYPE_CHECKING:
    import pandas as pd

CALL = "load_run"


@dataclass(frozen=True, eq=False)
class LoadedRun:
    """A run folder in memory.

    Arguments:
        folder: of the run.
        record: run.json.
        gradients: gradients.csv as a DataFrame; metrics: metrics.csv.
        extra: the tables that not every run has, by file name without `.csv`: time_gradients, gates,
            residual_gradients, pretrain, dead_units, input_gradients, frames.
    """

    folder: Path
    record: dict[str, Any]
    gradients: pd.DataFrame
    metrics: pd.DataFrame
    extra: dict[str, pd.DataFrame]

    @cached_property
    def run(self) -> Run:
        """The setting that was trained, its learning rate and its loss resolved.

        Raises:
            SettingError: where a `GradientMonitor` wrote the folder, or a choice is a class of the user's own
                that is not imported.
        """
        return self._described(trust=False)

    @property
    def status(self) -> str:
        """running, completed, diverged, interrupted or failed."""
        return str(self.record["status"])

    @property
    def steps(self) -> int:
        """Updates done."""
        return int(self.record.get("steps") or 0)

    @property
    def seconds(self) -> float:
        return float(self.record.get("seconds") or 0.0)

    @property
    def diverged_at(self) -> dict[str, Any] | None:
        """`{"step": ..., "layer": ..., "what": ...}`: where a number first was not finite."""
        return self.record.get("diverged_at")

    @property
    def error(self) -> str | None:
        """Of a run that failed, the reason."""
        return self.record.get("error")

    @property
    def final(self) -> dict[str, float | None]:
        """The last known metrics."""
        return self._metrics("final")

    @property
    def best(self) -> dict[str, float | None]:
        """The metrics of the evaluation with the lowest held-out loss."""
        return self._metrics("best")

    @cached_property
    def diagnosis(self) -> Diagnosis:
        """What is wrong with it."""
        return diagnose(self.folder)

    @cached_property
    def checkpoint(self) -> dict[str, Any]:
        """checkpoint.pt on the CPU: the weights, the optimizer's state and that of the generators.

        Raises:
            SettingError: when there is none, or it is not readable.
        """
        return checkpoint_in(CALL, self.folder)

    @property
    def weights(self) -> dict[str, Tensor]:
        """The weights of the last checkpoint, by name."""
        weights: dict[str, Tensor] = self.checkpoint["model"]
        return weights

    def model(self, *, trust: bool = False) -> AnyNetwork:
        """The network with the weights of the last checkpoint, in evaluation mode on the CPU.

        Arguments:
            trust: whether code that run.json names may be imported, which runs it.

        Raises:
            SettingError: when there is no checkpoint, or the network was the user's own.
        """
        return restored(
            CALL, self.folder, self._described(trust) if trust else self.run, self.checkpoint
        ).model

    def _described(self, trust: bool) -> Run:
        return setting_in(CALL, self.folder, self.record, trust)

    def _metrics(self, kind: str) -> dict[str, float | None]:
        return numbers((self.record.get("metrics") or {}).get(kind) or {})


def load_run(folder: Path | str) -> LoadedRun:
    """Read a run folder, finished or not: setting, tables and weights.

    Arguments:
        folder: of the run; of a sweep, one of the numbered folders in it.

    Raises:
        SettingError: when there is no run in the folder.

    Example:
        >>> from tempfile import mkdtemp
        >>> from vanishgrad import Run, load_run, train
        >>> folder = mkdtemp()
        >>> _ = train(Run(depth=2, act="tanh", max_steps=5, threads=1), out=folder)
        >>> loaded = load_run(folder)
        >>> loaded.run.act.name, loaded.steps, len(loaded.metrics)
        ('tanh', 5, 2)
        >>> loaded.model().training
        False
    """
    instance_of(CALL, folder, (str, Path), "the folder of a run, such as 'outputs/2026-01-31_12-00-00'")
    path = Path(folder).expanduser()
    require(path.is_dir(), f"{CALL}={folder}: there is no such folder")
    if not is_there(path / RUN_FILE) and (inside := sorted(path.glob(f"*/{RUN_FILE}"))):
        raise SettingError(
            f"{CALL}={folder}: holds {len(inside)} runs; name one of them, such as {inside[0].parent}, or "
            "take load_runs, which reads them all"
        )
    try:
        return _loaded(path, record_in(CALL, path))
    except UnreadableRun as error:
        raise SettingError(f"{CALL}={folder}: {error.reason}") from None


def _loaded(folder: Path, record: dict[str, Any]) -> LoadedRun:
    gradients, metrics = _tables(folder)
    return LoadedRun(folder, record, gradients, metrics, _extra(folder))


def _tables(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """gradients.csv and metrics.csv, without rows where a run ended before it wrote any."""
    gradients, metrics = frame([], GRADIENT_COLUMNS), frame([], METRIC_COLUMNS)
    if is_there(folder / GRADIENTS_FILE):
        gradients = read_gradients(folder)
    if is_there(folder / METRICS_FILE):
        metrics = read_metrics(folder)
    return gradients, metrics


def _extra(folder: Path) -> dict[str, pd.DataFrame]:
    """The other tables; one that cannot be read is left out, with a warning that says why."""
    tables = {}
    for file in (file for file in EXTRA_COLUMNS if is_there(folder / file)):
        try:
            tables[file.removesuffix(".csv")] = read_extra(folder, file)
        except UnreadableRun as error:
            warnings.warn(f"{folder}: {error.reason}; it is left out", stacklevel=4)
    return tables


def load_result(run: Run, folder: Path, *, in_memory: bool) -> Result:
    """What `train` would have given for a run that has ended in `folder`.

    Arguments:
        run: the setting.
        folder: of the run.
        in_memory: whether the network is built now, since the folder will not stay.

    Raises:
        UnreadableRun: when there is no run in the folder.
    """
    loaded = _loaded(folder, read_run(folder))
    network: nn.Module | Callable[[], nn.Module] = partial(_trained_network, run, folder)
    if in_memory and (folder / CHECKPOINT_FILE).exists():
        network = _trained_network(run, folder)
    return Result(
        run, loaded.status, loaded.steps, loaded.seconds, loaded.diverged_at, loaded.final, loaded.best,
        _in_memory(loaded), network, None if in_memory else folder, loaded.error,
    )  # fmt: skip


def lost_result(run: Run, status: str, error: str | None) -> Result:
    """What is known of a run of a sweep that left no record: how it ended."""
    columns = {GRADIENTS_FILE: GRADIENT_COLUMNS, METRICS_FILE: METRIC_COLUMNS}
    tables = Tables({file: partial(Columns.of, (), names, LAYOUT) for file, names in columns.items()})
    return Result(run, status, 0, 0.0, None, {}, {}, tables, partial(_no_network, status), None, error)


def _in_memory(loaded: LoadedRun) -> Tables:
    extra = {f"{name}.csv": table for name, table in loaded.extra.items()}
    frames = {GRADIENTS_FILE: loaded.gradients, METRICS_FILE: loaded.metrics, **extra}
    return Tables({file: partial(Columns.read, table, LAYOUT) for file, table in frames.items()})


def _trained_network(run: Run, folder: Path) -> nn.Module:
    return restored("out", folder, run, checkpoint_in("out", folder)).model


def _no_network(status: str) -> AnyNetwork:
    raise SettingError(f"the run is {status} and has left no network")


@dataclass(frozen=True, eq=False)
class Trained:
    """A run's network as it was when its last checkpoint was written.

    Arguments:
        run: the setting.
        model: the network, in evaluation mode on the CPU.
        vocabulary: of a character model, the characters by symbol number; else empty.
        step: updates done.
    """

    run: Run
    model: AnyNetwork
    vocabulary: str
    step: int


def load_trained(folder: Path | str, *, trust: bool = False) -> Trained:
    """The trained network of a run folder; of a character model without its text.

    Arguments:
        folder: of the run.
        trust: whether code that run.json names may be imported, which runs it.

    Raises:
        SettingError: when the folder holds no run, no checkpoint, or one of another version.
    """
    path = Path(folder)
    run = setting_in("run", path, record_in("run", path), trust)
    return restored("run", path, run, checkpoint_in("run", path))


def restored(key: str, path: Path, run: Run, checkpoint: dict[str, Any]) -> Trained:
    """The network of `run` with the weights of a checkpoint; `key` is what its folder was given as.

    Raises:
        SettingError: when the weights are those of another network.
    """
    vocabulary = str(checkpoint.get("vocabulary", ""))
    check_memory(run, run.model.cost(run).parameters, batch=1)
    model = run.model.network_of(run, len(vocabulary)) if vocabulary else blank(run)
    model.to(getattr(torch, run.dtype))
    try:
        check_weights(model, checkpoint)
    except Fault as fault:
        raise SettingError(f"{key}={path}: {fault.of(CHECKPOINT_FILE)}") from None
    model.load_state_dict(checkpoint["model"])
    return Trained(run, model.eval(), vocabulary, int(checkpoint["step"]))


def unfinished(path: Path, *, trust: bool = False) -> tuple[Run, dict[str, Any], dict[str, Any]]:
    """The setting, the record and the last checkpoint of a run that can go on.

    Raises:
        SettingError: when the folder holds no run, one that has ended, no checkpoint, or damaged tables.
    """
    record = record_in("resume", path)
    ended = record["status"] in ("completed", "diverged")
    require(not ended, f"resume={path}: the run is {record['status']}; there is nothing to go on with")
    run = setting_in("resume", path, record, trust)
    checkpoint = checkpoint_in("resume", path)
    for file, columns in {
        GRADIENTS_FILE: GRADIENT_COLUMNS,
        METRICS_FILE: METRIC_COLUMNS,
        **EXTRA_COLUMNS,
    }.items():
        _check_table(path, file, columns)
    return run, record, checkpoint


def _check_table(path: Path, file: str, columns: Sequence[str]) -> None:
    """Refuse a table that rows cannot be added to."""
    try:
        found = list(read_extra(path, file).columns)
    except UnreadableRun as error:
        raise SettingError(f"resume={path}: {error.reason}") from None
    said = short(",".join(map(str, found)))
    require(
        found == list(columns), f"resume={path}: {file} has other columns than this version writes: {said}"
    )


def setting_in(key: str, path: Path, record: Mapping[str, Any], trust: bool) -> Run:
    """The setting that a record describes; `key` is what its folder was given as.

    Raises:
        SettingError: where a `GradientMonitor` wrote it, or it describes no run.
    """
    effective = record.get("effective") or {}
    require(
        "depth" in effective,
        f"{key}={path}: was written by a GradientMonitor, which knows no setting to build the network from; "
        "build it yourself",
    )
    try:
        return described(effective, record.get("targets"), trust)
    except SettingError as error:
        raise SettingError(f"{key}={path}: {RUN_FILE}: {error}") from None


def record_in(key: str, path: Path) -> dict[str, Any]:
    """run.json; `key` is what the folder was given as."""
    try:
        return read_run(path)
    except UnreadableRun as error:
        raise SettingError(f"{key}={path}: {error.reason}") from None


def checkpoint_in(key: str, path: Path) -> dict[str, Any]:
    """checkpoint.pt; `key` is what the folder was given as."""
    try:
        return stored(path / CHECKPOINT_FILE)
    except FileNotFoundError:
        raise SettingError(
            f"{key}={path}: has no {CHECKPOINT_FILE}; only a run that has ended, was stopped by Ctrl-C, or "
            "has save_every=STEPS leaves one"
        ) from None
    except Fault as fault:
        raise SettingError(f"{key}={path}: {fault.of(CHECKPOINT_FILE)}") from None
