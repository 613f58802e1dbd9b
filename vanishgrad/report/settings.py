"""The gradient of each setting as a drawing of the size of a word, for its row of the page's table."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import NamedTuple

import numpy as np
import pandas as pd

from vanishgrad.diagnosis import Finding
from vanishgrad.diagnosis.layers import at_start
from vanishgrad.records import METRIC_COLUMNS
from vanishgrad.report.figures.canvas import loggable
from vanishgrad.report.labels import shown
from vanishgrad.report.runs import Runs, SavedRun

WIDTH, HEIGHT = 120.0, 27.0
MOST_DECADES = 24.0  # that the height stands for: a single explosion would flatten all others
MOST_POINTS = 60


def layer_sparklines(runs: Runs) -> dict[str, str]:
    """By setting: the initial network's gradient norm over layers, dLoss/dz where that was measured."""
    column = "delta_norm" if runs.gradients["delta_norm"].notna().any() else "grad_norm"
    rows = at_start(runs.gradients, column)
    hidden = rows[rows["layer"] < rows.groupby("run")["layer"].transform("max")]
    return _drawn(hidden, "layer", column)


def time_sparklines(runs: Runs) -> dict[str, str]:
    """By setting: the initial network's gradient of the state over time steps."""
    rows = runs.extra("time_gradients")
    return {} if rows.empty else _drawn(rows[rows["moment"] == "start"], "t", "grad_norm")


def _drawn(rows: pd.DataFrame, x: str, y: str) -> dict[str, str]:
    """All on one logarithmic scale, so that they can be compared; lines of one point are left out."""
    logs = rows.assign(log=np.log10(loggable(rows[y].to_numpy(float)))).dropna(subset="log")
    middle = logs.groupby(["setting", x], sort=False)["log"].median()
    if middle.empty:
        return {}
    high = float(middle.max())
    low = max(float(middle.min()), high - MOST_DECADES)
    height = _height(low, high)
    lines = {str(setting): line.droplevel(0).sort_index() for setting, line in middle.groupby(level=0)}
    return {setting: _svg(line, x, height) for setting, line in lines.items() if len(line) > 1}


def _height(low: float, high: float) -> Callable[[float], float]:
    """From a log10 to its place between the bottom and the top; never less than two decades between them."""
    span = max(high - low, 2.0)
    return lambda value: 2 + (HEIGHT - 4) * (1 - (min(max(value, low), high) - low) / span)


def _svg(line: pd.Series[float], x: str, height: Callable[[float], float]) -> str:
    """The line, and the level that it would have were nothing lost on the way."""
    chosen = line.iloc[
        np.unique(np.linspace(0, len(line) - 1, min(len(line), MOST_POINTS)).round().astype(int))
    ]
    places = np.linspace(2, WIDTH - 2, len(chosen))
    points = [f"{place:.1f},{height(value):.1f}" for place, value in zip(places, chosen, strict=True)]
    last = height(float(chosen.iloc[-1]))
    first = points[0].split(",")
    what = {"layer": "layer", "t": "time step"}[x]
    ends = [f"{10 ** float(line.iloc[end]):.2g} at {what} {line.index[end]}" for end in (0, -1)]
    return (
        f"<svg class=profile viewBox='0 0 {WIDTH:g} {HEIGHT:g}' role=img><title>{', '.join(ends)}</title>"
        f"<path class=even d='M2,{last:.1f}H{WIDTH - 2:g}'/><path d='M{' '.join(points)}'/>"
        f"<circle cx={first[0]} cy={first[1]} r=2.4 /></svg>"
    )


def heading(text: str) -> str:
    """A cell of the head by which the table is sorted."""
    return f'<th scope="col"><button>{escape(text)}</button></th>'


def number_cell(value: float, form: str, label: str, around: str = "", *, share: bool = False) -> str:
    """A number with what it is sorted by, a dash where nothing finite was measured.

    `around` is HTML that follows it; a `share` of 1 has a bar behind it. Cards on a phone show the `label`.
    """
    said = f"data-label='{escape(label)}'"
    if not np.isfinite(value):
        return f"<td {said} data-value=''>–</td>"
    bar = f" class=share style='--part:{min(max(value, 0), 1):.3f}'" if share else ""
    return f"<td {said}{bar} data-value='{value:.9g}'><span>{form.format(value)}{around}</span></td>"


def verdict_chip(verdict: str) -> str:
    """The verdict in its colour; seeds that disagree have none."""
    kind = verdict.split(" ")[0].rstrip(",") if "," not in verdict else "mixed"
    return f"<span class='verdict {escape(kind)}'>{escape(verdict.replace('_', ' '))}</span>"


def data_values(row: pd.Series, keys: Iterable[str]) -> str:
    """The choices of a row as JSON, with its verdict: what the page filters by."""
    return escape(json.dumps({key: value_text(row[key]) for key in (*keys, "verdict")}))


def value_text(value: object) -> str:
    """A value of a column as it is typed; empty where the setting does not have that choice."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    plain = value.item() if isinstance(value, np.generic) else value
    return shown(plain) if isinstance(plain, str | float | bool) else str(plain)


class Advised(NamedTuple):
    """The worst finding in a sentence, and the override of its first remedy; empty where there is none."""

    sentence: str
    remedy: str = ""


def advice(runs: Runs) -> dict[str, Advised]:
    """By setting, what was found in the run that is worst off."""
    worst: dict[str, Finding] = {}
    for run, label in zip(runs, runs.labels, strict=True):
        for finding in run.diagnosis.findings[:1]:
            if label not in worst or finding.severity > worst[label].severity:
                worst[label] = finding
    return {label: _advised(finding) for label, finding in worst.items()}


def _advised(finding: Finding) -> Advised:
    return Advised(finding.sentence, finding.remedies[0].override if finding.remedies else "")


MOST_OPEN = 30  # runs that are listed without being asked for
MOST_PRINTED = 120
ACCURACY, LOSS = "final_val_accuracy", "final_val_loss"


def command(overrides: Iterable[str]) -> str:
    """The shell command that repeats a run."""
    return shlex.join(["vanishgrad", "train", *overrides])


def runs_section(runs: Runs, summary: pd.DataFrame) -> str:
    """A section that can be folded, sorted and filtered as the settings are."""
    is_open = " open" * (len(runs) <= MOST_OPEN) + " data-print" * (len(runs) <= MOST_PRINTED)
    reached = _reached(summary)
    headings = ["run", "setting", "seed", "status", "verdict", *reached.values(), "command"]
    rows = "\n".join(
        _run_row(run, row, runs.keys, reached) for run, (_, row) in zip(runs, summary.iterrows(), strict=True)
    )
    return (
        f"<details id=runs{is_open}><summary>Every run, and the command that repeats it</summary>"
        f"<div class=scroll><table class=sortable><thead><tr>{''.join(map(heading, headings))}</tr></thead>"
        f"<tbody>\n{rows}\n</tbody></table></div></details>"
    )


def _reached(summary: pd.DataFrame) -> dict[str, str]:
    """The column that says what a run reached: the accuracy, else the loss."""
    found = {ACCURACY: "val. accuracy", LOSS: "val. loss"}
    known = [name for name in found if name in summary and np.isfinite(summary[name].astype(float)).any()]
    return {name: found[name] for name in known[:1]}


def _run_row(run: SavedRun, row: pd.Series, keys: Sequence[str], reached: dict[str, str]) -> str:
    seed = "" if run.seed is None else str(run.seed)
    numbers = "".join(number_cell(float(row[name]), "{:.3g}", label) for name, label in reached.items())
    return (
        f"<tr data-values='{data_values(row, keys)}'><th scope=row>{escape(row['run'])}</th>"
        f"<td class=said data-label=setting>{escape(row['setting'])}</td>"
        f"<td data-label=seed data-value='{seed}'>{seed}</td>"
        f"<td data-label=status>{escape(_status(row))}</td>"
        f"<td data-label=verdict>{verdict_chip(row['verdict'])}</td>{numbers}"
        f"<td class=command data-label=command>{_repeat(run)}</td></tr>"
    )


def _status(row: pd.Series) -> str:
    step = row["diverged_at"]
    known = isinstance(step, int | float) and np.isfinite(step)
    return f"{row['status']} at step {step:g}" if known else row["status"]


def _repeat(run: SavedRun) -> str:
    """Runs that were not started by the command have nothing to repeat."""
    if not run.overrides and not run.choices:
        return ""
    return f"<code>{escape(command(run.overrides))}</code><button class=copy hidden>copy</button>"


class Column(NamedTuple):
    """A column of numbers: its heading, its name in settings.csv without `_mean`, how it is written."""

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
BASELINES = {"baseline_val_accuracy": "baseline accuracy", "baseline_val_loss": "baseline loss"}
FRACTIONS = ("final_val_accuracy",)


@dataclass(frozen=True)
class Beside:
    """What the table shows of a setting beside its numbers, each by the setting's label.

    Arguments:
        keys: the columns of the choices that varied.
        colours: of the setting in the figures, where it is the only one in its panel that has it.
        profiles: small drawings of the gradient by layer, or by time step; `profile` says which.
        advice: the worst that was found, and what to do about it.
        profile: the heading of the drawings.
    """

    keys: tuple[str, ...] = ()
    colours: Mapping[str, str] = field(default_factory=dict)
    profiles: Mapping[str, str] = field(default_factory=dict)
    advice: Mapping[str, Advised] = field(default_factory=dict)
    profile: str = "gradient by layer"


def settings_head(settings: pd.DataFrame, beside: Beside) -> str:
    """The cells of the head."""
    headings = ["setting", "verdict", *[beside.profile] * bool(beside.profiles)]
    headings += [column.heading for column in _columns(settings)]
    headings += [*(heading for _, heading in _varied_baselines(settings)), "runs"]
    return "\n".join(map(heading, headings))


def settings_rows(settings: pd.DataFrame, beside: Beside) -> str:
    """One row per setting: numbers are sorted by `data-value`, not by what is shown."""
    columns, baselines = _columns(settings), _varied_baselines(settings)
    return "\n".join(_setting_row(row, columns, baselines, beside) for _, row in settings.iterrows())


def _columns(settings: pd.DataFrame) -> list[Column]:
    return [column for column in (*LEARNED, *_further(settings), *SLOPES) if _measured(settings, column.name)]


def _further(settings: pd.DataFrame) -> list[Column]:
    """Final metrics beside loss and accuracy, such as bits per character."""
    known = {f"final_{name}" for name in METRIC_COLUMNS}
    means = [str(name).removesuffix("_mean") for name in settings if str(name).endswith("_mean")]
    names = [name for name in means if name.startswith("final_") and name not in known]
    return [Column(name.removeprefix("final_").replace("_", " "), name, "{:.3g}") for name in names]


def _measured(settings: pd.DataFrame, name: str) -> bool:
    mean = settings.get(f"{name}_mean")
    return mean is not None and bool(np.isfinite(mean).any())


def _varied_baselines(settings: pd.DataFrame) -> list[tuple[str, str]]:
    """Baselines that need a column, because settings differ in them."""
    return [item for item in BASELINES.items() if settings.get(item[0], pd.Series()).nunique() > 1]


def _setting_row(
    row: pd.Series, columns: Sequence[Column], baselines: Sequence[tuple[str, str]], beside: Beside
) -> str:
    setting, verdict = str(row["setting"]), str(row["verdict"])
    count = f"{row['runs']}" + (f" ({row['diverged']} diverged)" if row["diverged"] else "")
    return (
        f"<tr data-values='{data_values(row, beside.keys)}'>"
        f"<th scope=row{_key(beside.colours.get(setting))}>{escape(setting)}</th>"
        f"<td class=said data-label=verdict>{verdict_chip(verdict)}{_told(beside.advice.get(setting))}</td>"
        + _profile(row, setting, beside)
        + "".join(_cell(row, column) for column in columns)
        + "".join(number_cell(row[name], "{:.3g}", label) for name, label in baselines)
        + f"<td data-label=runs data-value='{row['runs']}'>{count}</td></tr>"
    )


def _key(colour: str | None) -> str:
    """The colour that the setting has in the figures."""
    return f" class=key style='--key:{colour}'" if colour else ""


def _told(advised: Advised | None) -> str:
    """The worst finding in a sentence, and what to try against it."""
    if advised is None:
        return ""
    tried = f" Try <code>{escape(advised.remedy)}</code>." if advised.remedy else ""
    return f"<small>{escape(advised.sentence)}{tried}</small>"


def _profile(row: pd.Series, setting: str, beside: Beside) -> str:
    if not beside.profiles:
        return ""
    name = "gradient_slope_mean" if beside.profile.endswith("layer") else "time_slope_mean"
    slope = row.get(name, float("nan"))
    value = f"{slope:.9g}" if np.isfinite(slope) else ""
    return f"<td data-label='{beside.profile}' data-value='{value}'>{beside.profiles.get(setting, '–')}</td>"


def _cell(row: pd.Series, column: Column) -> str:
    """Mean and spread."""
    mean, spread = row[f"{column.name}_mean"], row[f"{column.name}_spread"]
    around = f" <small>± {column.form.replace('+', '').format(spread)}</small>" if np.isfinite(spread) else ""
    return number_cell(mean, column.form, column.heading, around, share=column.name in FRACTIONS)
