"""A run that has just ended, as the report sees it: what the terminal says and what the page says are one."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.text import Text

from vanishgrad.cli.terminal import Norms, bar_table, line, show
from vanishgrad.diagnosis import Diagnosis
from vanishgrad.diagnosis.describe import first_flow, flow, meaning, moment_name
from vanishgrad.diagnosis.layers import by_layer, log_slope, root_sum_square
from vanishgrad.engine import Result
from vanishgrad.engine.recorder import baseline
from vanishgrad.printing import printable
from vanishgrad.records import flatten, read_run
from vanishgrad.report.labels import counted, summary
from vanishgrad.report.runs import SavedRun


def saved(result: Result) -> SavedRun:
    """The run folder of `result`, without reading its tables again."""
    assert result.folder is not None
    return SavedRun(result.folder, read_run(result.folder), by_layer(result.gradients), result.metrics)


MOST_ADVICE = 3
QUANTITIES = {"delta_norm": "||dLoss/dz||", "grad_norm": "||dLoss/dW||"}
STATE = "||dLoss/dh_t||"


def show_run(console: Console, result: Result, folder: Path) -> None:
    """Print the table, the sentence, what was reached, and where the run folder is."""
    run = saved(result)
    console.print(Text(printable(_title(run, result)), style="bold"))
    layers = _moments(run)
    output = max(next(iter(layers.values())))
    show(
        console,
        bar_table(
            console, "layer", _steps(layers), QUANTITIES[run.signal],
            lambda layer: f"{layer}" if layer < output else f"out {layer:2}",
        ),
        "",
    )  # fmt: skip
    if states := _states(result):
        show(console, bar_table(console, "time", _steps(states), STATE), "")
    if slopes := _slopes(run):
        console.print(slopes)
    show(
        console,
        Text(meaning(run.gradients, run.metrics, run.extra("time_gradients"), run.diagnosis), style="bold"),
    )
    console.print(_reached(result))
    if stopped := run.record.get("stopped_on"):
        console.print(f"stopped on {stopped.replace('_', ' ')}, as stop_on={result.run.stop_on} asked")
    for advice in _advice(result.diagnosis):
        console.print(advice, soft_wrap=True)
    line(console, str(folder))


def _title(run: SavedRun, result: Result) -> str:
    setting = " ".join(run.overrides) or summary(flatten(run.choices))
    return f"{setting}  {result.status} after {counted(result.steps, 'step')}, {result.seconds:.1f} s"


def _moments(run: SavedRun) -> dict[int, Norms]:
    """Step -> layer -> norm, at the first logged step, the one that the sentence describes, and the last."""
    rows = run.gradients
    first, last = int(rows["step"].min()), int(rows["step"].max())
    steps = sorted({first, max(first, first_flow(run.gradients).step), last})
    return {step: _norms(rows[rows["step"] == step], run.signal) for step in steps}


def _states(result: Result) -> dict[int, Norms]:
    """Step -> time -> norm of the states of all recurrent layers, at the first logged step and the last."""
    rows = result.extra.get("time_gradients")
    if rows is None:
        return {}
    norms = root_sum_square(rows["grad_norm"], [rows["step"], rows["t"]]).unstack("step")
    ends = sorted({int(rows["step"].min()), int(rows["step"].max())})
    return {end: dict(zip(map(int, norms.index), norms[end].tolist(), strict=True)) for end in ends}


def _steps(moments: dict[int, Norms]) -> dict[str, Norms]:
    return {f"step {step}": norms for step, norms in moments.items()}


def _norms(rows: pd.DataFrame, column: str) -> Norms:
    return dict(zip(rows["layer"].astype(int), rows[column].astype(float), strict=True))


def _slopes(run: SavedRun) -> str:
    """Of the step described and of the last finite one; empty where there is none at all."""
    start, end = first_flow(run.gradients), flow(run.gradients, "end")
    last = int(run.gradients["step"].max())
    if math.isnan(start.slope):
        return ""
    parts = [f"{_signed(start.slope)} {moment_name(run.gradients, start.step)}{_theory(run, start.step)}"]
    if end.step > start.step:
        parts.append(f"{_signed(end.slope)} {moment_name(run.gradients, end.step)}")
    elif last > start.step:
        parts.append("none at the end")
    return f"slope {', '.join(parts)} (decades per layer, + vanishes)"


def _theory(run: SavedRun, step: int) -> str:
    """The slope that theory gives the initial network, where it does."""
    slope = log_slope(run.predicted.index, run.predicted) if step == 0 else math.nan
    return "" if math.isnan(slope) else f" (theory {_signed(slope)})"


def _advice(diagnosis: Diagnosis) -> list[Text]:
    """The other findings after the worst, and what to type against that one."""
    if not diagnosis:
        return []
    worst, *others = diagnosis.findings
    also = [Text(f"also {', '.join(one.words for one in others)}: vanishgrad diagnose tells more")]
    tried = [
        Text.assemble("try ", (advice.override, "cyan"), f"  {advice.reason}")
        for advice in worst.remedies[:MOST_ADVICE]
    ]
    return (also if others else []) + tried


def _signed(slope: float) -> str:
    return "none" if math.isnan(slope) else f"{slope:+.3f}"


def _reached(result: Result) -> str:
    """The final losses and accuracies that are known and finite, and what ignorance scores."""
    parts = [_split(result, "held-out", "val"), _split(result, "training", "train")]
    bits = result.final.get("bits_per_character")
    if bits is not None and math.isfinite(bits):
        parts.insert(
            0, f"held-out {bits:.3f} bits per character, perplexity {result.final['perplexity']:.3g}"
        )
    reached = ", ".join(part for part in parts if part) or "no finite loss at the end"
    return f"{reached}{_baseline(result)}"


def _split(result: Result, name: str, prefix: str) -> str:
    """`held-out accuracy 0.91, loss 0.3`, of the two what is known."""
    scores = {word: result.final.get(f"{prefix}_{word}") for word in ("accuracy", "loss")}
    parts = [
        f"{word} {value:.4g}" for word, value in scores.items() if value is not None and math.isfinite(value)
    ]
    return f"{name} {', '.join(parts)}" if parts else ""


def _baseline(result: Result) -> str:
    """What an answer that ignores the input would have reached."""
    known_baseline = baseline(result.run)
    if known_baseline is None:
        return ""
    word = "loss" if known_baseline["metric"] == "val_loss" else "accuracy"
    bits = (
        f", {known_baseline['value'] / math.log(2):.3f} bits" if "bits_per_character" in result.final else ""
    )
    return f"\nbaseline {word} {known_baseline['value']:.4g}{bits} ({known_baseline['source']})"
