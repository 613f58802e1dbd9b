"""Tables for figures that look at all runs together, or only at those that did something in particular."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd

from vanishgrad.diagnosis.slope import decades_across, decades_through
from vanishgrad.report.labels import Value, flatten, setting_label
from vanishgrad.report.runs import Runs, SavedRun

ACCURACY, LOSS = "final_val_accuracy", "final_val_loss"
FEWEST_CELLS = 4  # of a map
MOST_DECADES = 300.0  # that a float64 holds


def flow(runs: Runs, summary: pd.DataFrame) -> pd.DataFrame:
    """`run, setting, seed, status, ratio, where, reached, what`: see `figures.flow_and_learning`."""
    column, what = reached_by(summary)
    across = np.array([_across(run) for run in runs])
    through = np.array([_through(run) for run in runs])
    by_layer = np.isfinite(across).any() or not np.isfinite(through).any()
    return summary[["run", "setting", "seed", "status"]].assign(
        ratio=10.0 ** -np.clip(across if by_layer else through, -MOST_DECADES, MOST_DECADES),
        where="layer" if by_layer else "time step",
        reached=summary[column],
        what=what,
    )


def trainability(runs: Runs, summary: pd.DataFrame) -> pd.DataFrame:
    """`run, setting, seed, status, depth, x, key, reached, what, trainable_depth`: see
    `figures.trainability_map`.

    Of the numbers that varied beside the depth, `x` is the one with most values; `setting` is what else
    varied. Without such a number, or with too few runs for a map, there are no rows.
    """
    flats = [flatten(run.choices) for run in runs]
    key = _second(runs.keys, flats)
    if key is None:
        return pd.DataFrame()
    column, what = reached_by(summary)
    others = [name for name in runs.keys if name not in ("depth", key)]
    table = summary[["run", "seed", "status"]].assign(
        setting=[setting_label(flat, others) for flat in flats],
        depth=[_number(flat.get("depth")) for flat in flats],
        x=[_number(flat.get(key)) for flat in flats],
        key=key, reached=summary[column], what=what,
        trainable_depth=[_trainable_depth(run) for run in runs],
    )  # fmt: skip
    table = table.dropna(subset=["depth", "x"])
    cells = table.drop_duplicates(["depth", "x"])
    few = len(cells) < FEWEST_CELLS or cells["depth"].nunique() < 2 or cells["x"].nunique() < 2
    return table.iloc[:0] if few else table


def clipping(runs: Runs, summary: pd.DataFrame) -> pd.DataFrame:
    """Rows of `metrics` at which gradients were measured, where any run clips; else none."""
    clips = any(_choice(run, "clip") not in ("none", "") for run in runs)
    rows = runs.metrics
    return rows[rows["clipped_grad_norm"].notna()] if clips else rows.iloc[:0]


def penalties(runs: Runs, summary: pd.DataFrame) -> pd.DataFrame:
    """All rows of `gradients`, where any run has a penalty on its weights; else none."""
    penalised = any(_choice(run, "reg") not in ("none", "dropout", "") for run in runs)
    return runs.gradients if penalised else runs.gradients.iloc[:0]


Derive = Callable[[Runs, pd.DataFrame], pd.DataFrame]
DERIVED: Mapping[str, Derive] = MappingProxyType(
    {"flow": flow, "trainability": trainability, "clipping": clipping, "penalties": penalties}
)


def reached_by(summary: pd.DataFrame) -> tuple[str, str]:
    """The column that says what a run reached, and what that is: accuracy, or loss where no run has one."""
    return (ACCURACY, "accuracy") if np.isfinite(summary[ACCURACY].astype(float)).any() else (LOSS, "loss")


def _across(run: SavedRun) -> float:
    rows = run.moment(run.signal, "start")
    return decades_across(rows["layer"], rows[run.signal])


def _through(run: SavedRun) -> float:
    rows = run.extra("time_gradients")
    start = rows if rows.empty else rows[rows["moment"] == "start"]
    return decades_through(start["t"], start["grad_norm"]) if len(start) else float("nan")


def _second(keys: tuple[str, ...], flats: list[dict[str, Value]]) -> str | None:
    """The number with most values among `keys`, where the depth varied too."""
    if "depth" not in keys:
        return None
    values = {
        key: {flat[key] for flat in flats if _is_number(flat.get(key))} for key in keys if key != "depth"
    }
    most = max(values, key=lambda key: len(values[key]), default=None)
    return most if most is not None and len(values[most]) > 1 else None


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Value) -> float:
    """NaN for what is no number."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")


def _trainable_depth(run: SavedRun) -> float:
    """NaN where theory says nothing; what is infinite stands in theory.json as text."""
    found = run.theory.get("trainable_depth")
    return float("nan") if found is None else float(found)


def _choice(run: SavedRun, group: str) -> str:
    """The name of a choice after the remedy; empty where it was not recorded."""
    effective = run.record.get("effective") or run.choices
    return str(flatten({group: effective.get(group)}).get(group) or "")
