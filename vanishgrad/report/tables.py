"""summary.csv, one row per run, and settings.csv, the same over seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from vanishgrad.diagnosis.layers import When
from vanishgrad.diagnosis.slope import gradient_slope, log_slope
from vanishgrad.report.labels import flatten
from vanishgrad.report.runs import Runs, SavedRun

METRICS = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
BASELINES = ("baseline_val_loss", "baseline_val_accuracy")
ONLY_IF_KNOWN = ("time_slope", *BASELINES)
NOT_AVERAGED = frozenset({"seed", "diverged_at", "best_step", *BASELINES})


def summary_table(runs: Runs) -> pd.DataFrame:
    """One row per run: what it was, what it reached, its gradient slopes and its verdict.

    `run, status`, the swept `keys`, `seed`, `final_*`, `best_*`, `gradient_slope` of the initial network,
    `gradient_slope_final`, `verdict`, `diverged_at`, `setting`. Where any run has them also `time_slope` and
    what ignorance scores, `baseline_val_loss` or `baseline_val_accuracy`.
    """
    table = pd.DataFrame([_row(run, runs.keys) for run in runs])
    table = table.drop(columns=[name for name in ONLY_IF_KNOWN if table[name].isna().all()])
    table.insert(0, "run", list(runs.names))
    return table.assign(setting=list(runs.labels))


def settings_table(summary: pd.DataFrame, keys: tuple[str, ...] = ()) -> pd.DataFrame:
    """One row per setting: how many runs, and mean, spread and count over its seeds.

    The spread is the sample standard deviation, empty for a single value; numbers that are not finite are
    left out and `count` says how many were left.
    """
    groups = summary.groupby("setting", sort=False)
    table = groups[list(keys)].first() if keys else pd.DataFrame(index=groups.size().index)
    table["runs"] = groups.size()
    table["diverged"] = groups["status"].agg(lambda status: int((status == "diverged").sum()))
    for column in BASELINES:
        if column in summary:
            table[column] = groups[column].first()
    for column in _measured(summary, keys):
        finite = summary[column].where(np.isfinite(summary[column].astype(float))).astype(float)
        over_seeds = finite.groupby(summary["setting"], sort=False)
        table[f"{column}_mean"] = over_seeds.mean()
        table[f"{column}_spread"] = over_seeds.std()
        table[f"{column}_count"] = over_seeds.count()
    table["verdict"] = groups["verdict"].agg(_most_common)
    return table.reset_index()


def slope(run: SavedRun, when: When) -> float:
    """`gradient_slope` of delta_norm at the initial network or at the end, in decades per layer."""
    rows = run.moment("delta_norm", when)
    return gradient_slope(rows["layer"], rows["delta_norm"])


def time_slope(run: SavedRun) -> float:
    """Decades per time step by which ||dLoss/dh_t|| shrinks towards the first, in the initial network."""
    rows = _time_moment(run, "start")
    return log_slope(rows["t"], rows["grad_norm"]) if len(rows) else float("nan")


def number(value: Any) -> float:
    """A number of run.json, where those that are not finite are strings; NaN for what is missing."""
    return float("nan") if value is None else float(value)


def _row(run: SavedRun, keys: tuple[str, ...]) -> dict[str, Any]:
    flat = flatten(run.choices)
    metrics = run.record.get("metrics") or {}
    return {
        "status": run.status,
        **{key: flat.get(key) for key in keys},
        "seed": run.seed,
        **{f"final_{name}": _last(run, name) for name in METRICS},
        **_numbers("final", metrics.get("final") or {}),
        **_numbers("best", metrics.get("best") or {}),
        "gradient_slope": slope(run, "start"),
        "gradient_slope_final": slope(run, "end"),
        "time_slope": time_slope(run),
        "baseline_val_loss": run.baseline_of("val_loss"),
        "baseline_val_accuracy": run.baseline_of("val_accuracy"),
        "verdict": run.diagnosis.verdict,
        "diverged_at": (run.record.get("diverged_at") or {}).get("step"),
    }


def _numbers(prefix: str, metrics: Mapping[str, Any]) -> dict[str, float]:
    return {f"{prefix}_{name}": number(value) for name, value in metrics.items()}


def _time_moment(run: SavedRun, when: When) -> pd.DataFrame:
    rows = run.extra("time_gradients")
    return rows if rows.empty else rows[rows["moment"] == when]


def _last(run: SavedRun, *columns: str) -> float:
    """The final value of the first of `columns` that was measured."""
    final = (run.record.get("metrics") or {}).get("final") or {}
    for column in columns:
        measured = run.metrics[column].dropna()
        if final.get(column) is not None:
            return number(final[column])
        if len(measured):
            return float(measured.iloc[-1])
    return float("nan")


def _measured(summary: pd.DataFrame, keys: tuple[str, ...]) -> list[str]:
    numeric = summary.select_dtypes("number").columns
    return [column for column in numeric if column not in NOT_AVERAGED and column not in keys]


def _most_common(verdicts: pd.Series[str]) -> str:
    """`learns`, or `learns 2, diverged 1` when seeds disagree."""
    counts = verdicts.value_counts()
    if len(counts) == 1:
        return str(counts.index[0])
    return ", ".join(f"{name} {count}" for name, count in counts.items())
