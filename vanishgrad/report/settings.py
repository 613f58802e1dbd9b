"""The rows of the page's two tables, settings and runs, as plain data that the templates show."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

from vanishgrad.diagnosis import Finding
from vanishgrad.diagnosis.layers import at_start
from vanishgrad.report.figures.canvas import loggable
from vanishgrad.report.labels import typed_value
from vanishgrad.report.runs import Runs, SavedRun
from vanishgrad.report.tables import ACCURACY, LOSS, Column, measured_columns, varied_baselines

WIDTH, HEIGHT = 120.0, 27.0
MOST_DECADES = 24.0  # that the height stands for: a single explosion would flatten all others
MOST_POINTS = 60


class Sparkline(NamedTuple):
    """The gradient of a setting as a drawing of the size of a word, `width` by `height`.

    `points` are `x,y` pairs from the input to the output; `level` is the height of a line without loss.
    """

    title: str
    points: tuple[str, ...]
    level: float
    width: float = WIDTH
    height: float = HEIGHT

    @property
    def end(self) -> list[str]:
        """Where the gradient arrives: the x and the y of the first point."""
        return self.points[0].split(",")


def layer_sparklines(runs: Runs) -> dict[str, Sparkline]:
    """By setting: the initial network's gradient norm over layers, dLoss/dz where that was measured."""
    column = "delta_norm" if runs.gradients["delta_norm"].notna().any() else "grad_norm"
    rows = at_start(runs.gradients, column)
    hidden = rows[rows["layer"] < rows.groupby("run")["layer"].transform("max")]
    return _sparklines(hidden, "layer", column)


def time_sparklines(runs: Runs) -> dict[str, Sparkline]:
    """By setting: the initial network's gradient of the state over time steps."""
    rows = runs.extra("time_gradients")
    return {} if rows.empty else _sparklines(rows[rows["moment"] == "start"], "t", "grad_norm")


def _sparklines(rows: pd.DataFrame, x: str, y: str) -> dict[str, Sparkline]:
    """All on one logarithmic scale, so that they can be compared; lines of one point are left out."""
    logs = rows.assign(log=np.log10(loggable(rows[y].to_numpy(float)))).dropna(subset="log")
    middle = logs.groupby(["setting", x], sort=False)["log"].median()
    if middle.empty:
        return {}
    high = float(middle.max())
    low = max(float(middle.min()), high - MOST_DECADES)
    height = _height(low, high)
    lines = {str(setting): line.droplevel(0).sort_index() for setting, line in middle.groupby(level=0)}
    return {setting: _sparkline(line, x, height) for setting, line in lines.items() if len(line) > 1}


def _height(low: float, high: float) -> Callable[[float], float]:
    """From a log10 to its place between the bottom and the top; never less than two decades between them."""
    span = max(high - low, 2.0)
    return lambda value: 2 + (HEIGHT - 4) * (1 - (min(max(value, low), high) - low) / span)


def _sparkline(line: pd.Series[float], x: str, height: Callable[[float], float]) -> Sparkline:
    chosen = line.iloc[
        np.unique(np.linspace(0, len(line) - 1, min(len(line), MOST_POINTS)).round().astype(int))
    ]
    places = np.linspace(2, WIDTH - 2, len(chosen))
    points = [f"{place:.1f},{height(value):.1f}" for place, value in zip(places, chosen, strict=True)]
    what = {"layer": "layer", "t": "time step"}[x]
    ends = [f"{10 ** float(line.iloc[end]):.2g} at {what} {line.index[end]}" for end in (0, -1)]
    return Sparkline(", ".join(ends), tuple(points), height(float(chosen.iloc[-1])))


class NumberCell(NamedTuple):
    """A number of a table.

    Arguments:
        label: the heading of its column, which a phone shows with the number.
        text: the number as it is read, a dash where nothing finite was measured.
        sort_key: what the column is sorted by; empty where there is no number.
        spread: what stands after the ±; empty without one.
        share: the length of a bar behind the number, 0 to 1; None: no bar.
    """

    label: str
    text: str = "–"
    sort_key: str = ""
    spread: str = ""
    share: float | None = None


def number_cell(
    value: float, column: Column, spread: float = float("nan"), *, share: bool = False
) -> NumberCell:
    """The cell of a `value` in its `column`; a `share` of 1 has a full bar behind it."""
    if not np.isfinite(value):
        return NumberCell(column.heading)
    around = column.form.replace("+", "").format(spread) if np.isfinite(spread) else ""
    bar = min(max(value, 0.0), 1.0) if share else None
    return NumberCell(column.heading, column.form.format(value), f"{value:.9g}", around, bar)


class Verdict(NamedTuple):
    """A verdict in words, and its `kind`, which has a colour; seeds that disagree are `mixed`."""

    text: str
    kind: str


def verdict_of(text: str) -> Verdict:
    """The verdict of a row of settings.csv or summary.csv.

    Example:
        >>> verdict_of("dead_units"), verdict_of("learns 2, diverged 1").kind
        (Verdict(text='dead units', kind='dead_units'), 'mixed')
    """
    kind = text.split(" ")[0].rstrip(",") if "," not in text else "mixed"
    return Verdict(text.replace("_", " "), kind)


def filter_values(row: pd.Series, keys: Iterable[str]) -> str:
    """The choices of a row as JSON, with its verdict: what the page filters by."""
    return json.dumps({key: value_text(row[key]) for key in (*keys, "verdict")})


def value_text(value: object) -> str:
    """A value of a column as it is typed; empty where the setting does not have that choice."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    plain = value.item() if isinstance(value, np.generic) else value
    return typed_value(plain) if isinstance(plain, str | float | bool) else str(plain)


class Advised(NamedTuple):
    """The worst finding in a sentence, and the override of its first remedy; empty where there is none."""

    sentence: str
    remedy: str = ""


def advice(runs: Runs) -> dict[str, Advised]:
    """By setting, the worst finding of its runs and what to try against it."""
    return {label: _advised(finding) for label, finding in worst_findings(runs).items()}


def worst_findings(runs: Runs) -> dict[str, Finding]:
    """By setting, the worst finding of its runs; settings without one are left out."""
    worst: dict[str, Finding] = {}
    for run, label in zip(runs, runs.labels, strict=True):
        for finding in run.diagnosis.findings[:1]:
            if label not in worst or finding.severity > worst[label].severity:
                worst[label] = finding
    return worst


def _advised(finding: Finding) -> Advised:
    return Advised(finding.sentence, finding.remedies[0].override if finding.remedies else "")


FRACTIONS = ("final_val_accuracy",)


@dataclass(frozen=True)
class RowExtras:
    """What the table of settings shows apart from numbers, each by the setting's label.

    Arguments:
        keys: the columns of the choices that varied.
        colours: of the setting in the figures, where it is the only one in its panel that has it.
        profiles: small drawings of the gradient by layer, or by time step; `profile` says which.
        advice: the worst finding, and what to do about it.
        profile: the heading of the drawings.
    """

    keys: tuple[str, ...] = ()
    colours: Mapping[str, str] = field(default_factory=dict)
    profiles: Mapping[str, Sparkline] = field(default_factory=dict)
    advice: Mapping[str, Advised] = field(default_factory=dict)
    profile: str = "gradient by layer"


class SettingRow(NamedTuple):
    """A row of the table of settings.

    `slope` is what the column of sparklines is sorted by, empty where it was not measured.
    """

    values: str
    setting: str
    colour: str | None
    verdict: Verdict
    advised: Advised | None
    sparkline: Sparkline | None
    slope: str
    numbers: list[NumberCell]
    runs: int
    diverged: int


class SettingsTable(NamedTuple):
    """The table of settings; `profile` is the heading of the sparklines, empty without them."""

    headings: list[str]
    rows: list[SettingRow]
    profile: str = ""


def table_of_settings(settings: pd.DataFrame, extras: RowExtras) -> SettingsTable:
    """The rows of settings.csv as the page shows them, only with columns that have numbers."""
    columns, baselines = measured_columns(settings), varied_baselines(settings)
    profile = extras.profile if extras.profiles else ""
    headings = ["setting", "verdict", *filter(None, [profile])]
    headings += [column.heading for column in (*columns, *baselines)]
    rows = [_setting_row(row, columns, baselines, extras) for _, row in settings.iterrows()]
    return SettingsTable([*headings, "runs"], rows, profile)


def _setting_row(
    row: pd.Series, columns: Sequence[Column], baselines: Sequence[Column], extras: RowExtras
) -> SettingRow:
    setting = str(row["setting"])
    numbers = [_mean_cell(row, column) for column in columns]
    numbers += [number_cell(row[column.name], column) for column in baselines]
    return SettingRow(
        filter_values(row, extras.keys), setting, extras.colours.get(setting),
        verdict_of(str(row["verdict"])), extras.advice.get(setting), extras.profiles.get(setting),
        _slope(row, extras), numbers, row["runs"], row["diverged"],
    )  # fmt: skip


def _slope(row: pd.Series, extras: RowExtras) -> str:
    name = "gradient_slope_mean" if extras.profile.endswith("layer") else "time_slope_mean"
    slope = row.get(name, float("nan"))
    return f"{slope:.9g}" if np.isfinite(slope) else ""


def _mean_cell(row: pd.Series, column: Column) -> NumberCell:
    mean, spread = row[f"{column.name}_mean"], row[f"{column.name}_spread"]
    return number_cell(mean, column, spread, share=column.name in FRACTIONS)


MOST_OPEN = 30  # runs that are listed without being asked for
MOST_PRINTED = 120
FINAL = (Column("val. accuracy", ACCURACY, "{:.3g}"), Column("val. loss", LOSS, "{:.3g}"))


def command(overrides: Iterable[str]) -> str:
    """The shell command that repeats a run."""
    return shlex.join(["vanishgrad", "train", *overrides])


class RunRow(NamedTuple):
    """A row of the table of runs; `command` repeats the run, empty where it was not started by one."""

    values: str
    run: str
    setting: str
    seed: str
    status: str
    verdict: Verdict
    numbers: list[NumberCell]
    command: str


class RunsTable(NamedTuple):
    """The table of runs, which can be folded; `is_printed`: a printer unfolds it."""

    headings: list[str]
    rows: list[RunRow]
    is_open: bool
    is_printed: bool


def table_of_runs(runs: Runs, summary: pd.DataFrame) -> RunsTable:
    """The rows of summary.csv as the page shows them."""
    final = _final_column(summary)
    headings = ["run", "setting", "seed", "status", "verdict", *(one.heading for one in final), "command"]
    rows = [
        _run_row(run, row, runs.keys, final) for run, (_, row) in zip(runs, summary.iterrows(), strict=True)
    ]
    return RunsTable(headings, rows, len(runs) <= MOST_OPEN, len(runs) <= MOST_PRINTED)


def _final_column(summary: pd.DataFrame) -> list[Column]:
    """The column that says what a run reached: the accuracy, else the loss; none without either."""
    measured = [
        column
        for column in FINAL
        if column.name in summary and np.isfinite(summary[column.name].astype(float)).any()
    ]
    return measured[:1]


def _run_row(run: SavedRun, row: pd.Series, keys: Sequence[str], final: Sequence[Column]) -> RunRow:
    return RunRow(
        filter_values(row, keys), str(row["run"]), str(row["setting"]),
        "" if run.seed is None else str(run.seed), _status(row), verdict_of(str(row["verdict"])),
        [number_cell(float(row[column.name]), column) for column in final],
        command(run.overrides) if run.is_typed else "",
    )  # fmt: skip


def _status(row: pd.Series) -> str:
    step = row["diverged_at"]
    has_step = isinstance(step, int | float) and np.isfinite(step)
    return f"{row['status']} at step {step:g}" if has_step else str(row["status"])
