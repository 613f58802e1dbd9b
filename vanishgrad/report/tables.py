"""Tables made of runs: summary.csv, settings.csv, and what the overview figures are drawn from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from vanishgrad.diagnosis.describe import Where
from vanishgrad.diagnosis.layers import When, decades_across, decades_through, gradient_slope, log_slope
from vanishgrad.records import METRIC_COLUMNS, Baseline, Value, as_number, flatten
from vanishgrad.report.labels import setting_label
from vanishgrad.report.runs import Runs, SavedRun

METRICS = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
BASELINES = ("baseline_val_loss", "baseline_val_accuracy")
ONLY_IF_KNOWN = ("time_slope", *BASELINES)
NOT_AVERAGED = frozenset({"seed", "diverged_at", "best_step", *BASELINES})


def summary_table(runs: Runs) -> pd.DataFrame:
    """Make summary.csv: one row per run, its setting, final metrics, gradient slopes and verdict.

    `run, status`, the swept `keys`, `seed`, `final_*`, `best_*`, `gradient_slope` of the initial network,
    `gradient_slope_final`, `verdict`, `diverged_at`, `setting`. Where any run has them also `time_slope` and
    what an answer that ignores the input scores, `baseline_val_loss` or `baseline_val_accuracy`.
    """
    rows = [numbers_of(run).row(flatten(run.choices), runs.keys) for run in runs]
    return table_of_runs(rows, runs.names, runs.labels)


def table_of_runs(
    rows: Sequence[Mapping[str, Any]], names: Sequence[str], settings: Sequence[str]
) -> pd.DataFrame:
    """The rows of runs as `summary_table` has them.

    Arguments:
        rows: as `RunNumbers.row` gives them.
        names: of the runs.
        settings: their labels.
    """
    table = pd.DataFrame(list(rows))
    table = table.drop(columns=[name for name in ONLY_IF_KNOWN if name in table and table[name].isna().all()])
    table.insert(0, "run", list(names))
    return table.assign(setting=list(settings))


def settings_table(summary: pd.DataFrame, keys: tuple[str, ...] = ()) -> pd.DataFrame:
    """Make settings.csv: one row per setting, how many runs, and mean, spread and count over its seeds.

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


def delta_slope(run: SavedRun, when: When) -> float:
    """`gradient_slope` of delta_norm at the initial network or at the end, in decades per layer."""
    rows = run.moment("delta_norm", when)
    return gradient_slope(rows["layer"], rows["delta_norm"])


def time_slope(run: SavedRun) -> float:
    """Decades per time step by which ||dLoss/dh_t|| shrinks towards the first, in the initial network."""
    rows = _time_moment(run, "start")
    return log_slope(rows["t"], rows["grad_norm"]) if len(rows) else float("nan")


class RunNumbers(NamedTuple):
    """What a table says of a run beside its setting.

    Arguments:
        status, seed: as in run.json.
        final: the last known metrics; best: those of the evaluation with the lowest held-out loss.
        slopes: of delta_norm over the layers at the start and at the end, and of the states over time, by the
            names of their columns.
        baseline: what an answer that ignores the input scores, where that is known.
        verdict: of the diagnosis.
        diverged_at: the step.
    """

    status: str
    seed: int | None
    final: Mapping[str, Any]
    best: Mapping[str, Any]
    slopes: Mapping[str, Any]
    baseline: Baseline | None
    verdict: str
    diverged_at: int | None

    def row(self, flat: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
        """A row of `summary_table`, with the `keys` of the setting."""
        known = self.baseline
        scores = {} if known is None else {f"baseline_{known.metric}": known.value}
        return {
            "status": self.status,
            **{key: flat.get(key) for key in keys},
            "seed": self.seed,
            **{f"final_{name}": math.nan for name in METRICS},
            **_numbers("final", self.final),
            **_numbers("best", self.best),
            **{column.name: as_number(self.slopes.get(column.name)) for column in SLOPES},
            **{name: scores.get(name, math.nan) for name in BASELINES},
            "verdict": self.verdict,
            "diverged_at": self.diverged_at,
        }


def numbers_of(run: SavedRun) -> RunNumbers:
    """The numbers of a run, from its record and its tables."""
    metrics = run.record.get("metrics") or {}
    final = {name: _last(run, name) for name in METRICS} | (metrics.get("final") or {})
    ends = delta_slope(run, "start"), delta_slope(run, "end"), time_slope(run)
    slopes = dict(zip((column.name for column in SLOPES), ends, strict=True))
    at = (run.record.get("diverged_at") or {}).get("step")
    best, verdict = metrics.get("best") or {}, run.diagnosis.verdict
    return RunNumbers(run.status, run.seed, final, best, slopes, run.baseline, verdict, at)


def _numbers(prefix: str, metrics: Mapping[str, Any]) -> dict[str, float]:
    return {f"{prefix}_{name}": as_number(value) for name, value in metrics.items()}


def _time_moment(run: SavedRun, when: When) -> pd.DataFrame:
    rows = run.extra("time_gradients")
    return rows if rows.empty else rows[rows["moment"] == when]


def _last(run: SavedRun, *columns: str) -> float:
    """The final value of the first of `columns` that was measured."""
    final = (run.record.get("metrics") or {}).get("final") or {}
    for column in columns:
        if final.get(column) is not None:
            return as_number(final[column])
        measured = run.metrics[column].dropna()
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


ACCURACY, LOSS = "final_val_accuracy", "final_val_loss"
FEWEST_CELLS = 4  # of a map
MOST_DECADES = 300.0  # that a float64 holds


def flow_table(runs: Runs, summary: pd.DataFrame) -> pd.DataFrame:
    """Make the table of `figures.flow_and_learning`.

    `run, setting, seed, status, ratio, where, reached, what`.
    """
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


def trainability_table(runs: Runs, summary: pd.DataFrame) -> pd.DataFrame:
    """`run, setting, seed, status, depth, x, key, reached, what, trainable_depth`: see
    `figures.trainability_map`.

    Of the numbers that varied as well as the depth, `x` is the one with most values; `setting` is what else
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


def clipping_rows(runs: Runs, summary: pd.DataFrame) -> pd.DataFrame:
    """Select the rows of `metrics` with a clipped gradient, where any run clips; else none."""
    clips = any(_choice(run, "clip") not in ("none", "") for run in runs)
    rows = runs.metrics
    return rows[rows["clipped_grad_norm"].notna()] if clips else rows.iloc[:0]


def penalty_rows(runs: Runs, summary: pd.DataFrame) -> pd.DataFrame:
    """Select all rows of `gradients`, where any run has a penalty on its weights; else none."""
    penalised = any(_choice(run, "reg") not in ("none", "dropout", "") for run in runs)
    return runs.gradients if penalised else runs.gradients.iloc[:0]


Derive = Callable[[Runs, pd.DataFrame], pd.DataFrame]
DERIVED: Mapping[str, Derive] = MappingProxyType(
    {
        "flow": flow_table,
        "trainability": trainability_table,
        "clipping": clipping_rows,
        "penalties": penalty_rows,
    }
)


def reached_by(summary: pd.DataFrame) -> tuple[str, str]:
    """The column of the final metric, and its name: accuracy, or loss where no run has an accuracy."""
    return (ACCURACY, "accuracy") if np.isfinite(summary[ACCURACY].astype(float)).any() else (LOSS, "loss")


def decades_at_start(runs: Runs) -> dict[tuple[str, Where], float]:
    """Decades across all layers, or time steps, at the start: the mean over runs, by setting and where."""
    flows: dict[tuple[str, Where], list[float]] = {}
    for run, label in zip(runs, runs.labels, strict=True):
        flows.setdefault((label, "layers"), []).append(_across(run))
        flows.setdefault((label, "time"), []).append(_through(run))
    return {key: float(np.mean(values)) for key, values in flows.items()}


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
    return as_number(run.theory.get("trainable_depth"))


def _choice(run: SavedRun, group: str) -> str:
    """The name of a choice after the remedy; empty where it was not recorded."""
    effective = run.record.get("effective") or run.choices
    return str(flatten({group: effective.get(group)}).get(group) or "")


BEST, WORST = 30, 10  # lines of text that can still be read next to a figure


class Selection(NamedTuple):
    """The settings shown, in their order, and a note on those left out."""

    labels: tuple[str, ...]
    note: str = ""


def selection(settings: pd.DataFrame) -> Selection:
    """Select the settings of `settings_table` to show: all, but of more than 40 the 30 best and 10 worst."""
    if not too_many(settings):
        return Selection(tuple(settings["setting"]))
    ranked = best_first(settings)["setting"]
    shown = pd.concat([ranked.head(BEST), ranked.tail(WORST)])
    return Selection(
        tuple(shown), f"of {len(settings)} settings the {BEST} best and the {WORST} worst, best first"
    )


def too_many(settings: pd.DataFrame) -> bool:
    """Whether there are more settings than lines of text fit next to a figure."""
    return len(settings) > BEST + WORST


def best_first(settings: pd.DataFrame) -> pd.DataFrame:
    """Sort rows of settings.csv by accuracy; those without one by loss; those with nothing finite last."""
    nothing = pd.Series(math.nan, index=settings.index)
    ranks = pd.DataFrame(
        {
            "accuracy": -settings.get("final_val_accuracy_mean", nothing),
            "loss": settings.get("final_val_loss_mean", nothing),
        }
    )
    order = ranks.sort_values(["accuracy", "loss"], kind="stable").index
    return settings.loc[order].reset_index(drop=True)


class Column(NamedTuple):
    """A column of numbers in a table of settings.

    Its heading, its name in settings.csv without `_mean`, and the format of its numbers.
    """

    heading: str
    name: str
    form: str


LEARNED = (
    Column("val. accuracy", "final_val_accuracy", "{:.3f}"),
    Column("val. loss", "final_val_loss", "{:.3g}"),
)
SLOPES = (
    Column("slope at start", "gradient_slope", "{:+.3f}"),
    Column("slope at end", "gradient_slope_final", "{:+.3f}"),
    Column("time slope", "time_slope", "{:+.4f}"),
)
BASELINE_HEADINGS = {"baseline_val_accuracy": "baseline accuracy", "baseline_val_loss": "baseline loss"}


def measured_columns(settings: pd.DataFrame) -> list[Column]:
    """The columns of `settings_table` that have a number in some row: learning, further metrics, slopes."""
    return [
        column
        for column in (*LEARNED, *_further_metrics(settings), *SLOPES)
        if np.isfinite(settings.get(f"{column.name}_mean", pd.Series(dtype=float))).any()
    ]


def varied_baselines(settings: pd.DataFrame) -> list[Column]:
    """The baselines that need a column, because settings differ in them."""
    return [
        Column(heading, name, "{:.3g}")
        for name, heading in BASELINE_HEADINGS.items()
        if settings.get(name, pd.Series(dtype=float)).nunique() > 1
    ]


def _further_metrics(settings: pd.DataFrame) -> list[Column]:
    """Final metrics other than loss and accuracy, such as bits per character."""
    usual = {f"final_{name}" for name in METRIC_COLUMNS}
    means = [str(name).removesuffix("_mean") for name in settings if str(name).endswith("_mean")]
    names = [name for name in means if name.startswith("final_") and name not in usual]
    return [Column(name.removeprefix("final_").replace("_", " "), name, "{:.3g}") for name in names]
