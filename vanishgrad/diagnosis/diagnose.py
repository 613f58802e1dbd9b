"""All rules on one record, and the order of what they find."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from vanishgrad.diagnosis.exploding import diverged, exploding, exploding_in_time
from vanishgrad.diagnosis.finding import Diagnosis, Finding
from vanishgrad.diagnosis.record import Record
from vanishgrad.diagnosis.tables import record_of
from vanishgrad.diagnosis.training_course import not_learning, oscillating, stalled_layers
from vanishgrad.diagnosis.units import dead_units, saturated
from vanishgrad.diagnosis.vanishing import vanishing, vanishing_in_time
from vanishgrad.errors import SettingError, require, short
from vanishgrad.records import (
    DEAD_UNITS_FILE,
    GRADIENTS_FILE,
    METRICS_FILE,
    RUN_FILE,
    TIME_GRADIENTS_FILE,
    read_extra,
    read_gradients,
    read_run,
)
from vanishgrad.schema import is_there

if TYPE_CHECKING:
    import pandas as pd


Rule: TypeAlias = Callable[[Record], Finding | None]

# Of findings that are equally severe, the first is what brings about the others.
RULES: tuple[Rule, ...] = (
    exploding, exploding_in_time, diverged, oscillating, dead_units, saturated, vanishing, vanishing_in_time
)  # fmt: skip
OTHERWISE: tuple[Rule, ...] = (
    stalled_layers,
    not_learning,
)  # the first that applies, where nothing else explains it


def examine(record: Record) -> Diagnosis:
    """Everything that is wrong with a run, the worst first."""
    if not len(record.steps):
        return Diagnosis()
    findings = _findings(RULES, record) or _findings(OTHERWISE, record)[:1]
    return Diagnosis(tuple(sorted(findings, key=lambda one: -one.severity)), record.learned)


def _findings(rules: tuple[Rule, ...], record: Record) -> list[Finding]:
    return [finding for rule in rules if (finding := rule(record)) is not None]


def diagnose(
    source: Any,
    metrics: pd.DataFrame | None = None,
    *,
    setting: Mapping[str, Any] | None = None,
    status: str = "completed",
    diverged_at: Mapping[str, Any] | None = None,
    baseline: Mapping[str, Any] | None = None,
    time_gradients: pd.DataFrame | None = None,
    dead_units: pd.DataFrame | None = None,
    answers: Mapping[str, bool] | None = None,
    fitting: Collection[str] | None = None,
) -> Diagnosis:
    """Say what is wrong with a run, the worst first, with evidence and remedies; nothing when it is healthy.

    Rules look at ratios, slopes and fractions alone: multiplying losses and gradients by a constant changes
    nothing. The more is known besides the gradients, the surer they are.

    Arguments:
        source: a run folder, a file like gradients.csv, a DataFrame of such rows, a `Result`, a
            `GradientMonitor`, or anything with the attributes `gradients` and `metrics`. The other arguments
            are for a DataFrame.
        metrics: rows of metrics.csv, which tell whether it learned.
        setting: what was trained, as run.json has it under `effective`.
        status, diverged_at, baseline: as in run.json.
        answers: what the choices say of themselves, as in run.json: `{"act.bounded": True}`.
        fitting: names of the remedies that the setting accepts, as in run.json: advice is then what to type.
        time_gradients, dead_units: rows of those files.

    Raises:
        SettingError: for a source that is none of these.
        UnreadableRun: for a folder or a file that cannot be read.

    Example:
        >>> from vanishgrad import Run, diagnose, train
        >>> from vanishgrad.choices.activation import Sigmoid
        >>> result = train(Run(depth=12, width=12, act=Sigmoid(), max_steps=200, epochs=100, threads=1))
        >>> diagnosis = diagnose(result)
        >>> diagnosis.verdict
        'vanishing'
        >>> diagnosis.findings[0].remedies[0].override
        'remedy=batchnorm'
    """
    if isinstance(source, str | Path):
        return _read(Path(source))
    if hasattr(source, "columns"):
        record = record_of(
            source, metrics, setting=setting, status=status, diverged_at=diverged_at, baseline=baseline,
            time_gradients=time_gradients, dead_units=dead_units, answers=answers, fitting=fitting,
        )  # fmt: skip
        return examine(record)
    return _of_object(source)


def _read(path: Path) -> Diagnosis:
    require(path.exists(), f"{path}: there is no such file or folder")
    if path.is_dir():
        return _read_folder(path)
    if path.name == GRADIENTS_FILE and (path.parent / RUN_FILE).exists():
        return _read_folder(path.parent)
    return diagnose(read_extra(path.parent, path.name))


def _read_folder(folder: Path) -> Diagnosis:
    """All that a run folder knows; of one without run.json the tables alone."""
    alone = not is_there(folder / RUN_FILE) and is_there(folder / GRADIENTS_FILE)
    run: dict[str, Any] = {"status": "completed"} if alone else read_run(folder)
    return diagnose(
        read_gradients(folder),
        read_extra(folder, METRICS_FILE) if is_there(folder / METRICS_FILE) else None,
        setting=run.get("effective") or run.get("choices"),
        status=run["status"],
        diverged_at=run.get("diverged_at"),
        baseline=run.get("baseline"),
        time_gradients=read_extra(folder, TIME_GRADIENTS_FILE),
        dead_units=read_extra(folder, DEAD_UNITS_FILE),
        answers=run.get("answers"),
        fitting=run.get("fitting"),
    )


def _of_object(source: Any) -> Diagnosis:
    """Of something that can diagnose itself, or has the tables."""
    if isinstance(diagnosis := getattr(source, "diagnosis", None), Diagnosis):
        return diagnosis
    if callable(own := getattr(source, "diagnose", None)):
        return own()
    if not hasattr(source, "gradients"):
        raise SettingError(
            f"diagnose({short(source)}): takes a run folder, a CSV file, a DataFrame, a result or a monitor"
        )
    return diagnose(source.gradients, getattr(source, "metrics", None))
