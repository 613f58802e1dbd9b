"""A run that has just ended, in the terminal: the same sentence, slopes and norms as in the report."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

from vanishgrad.cli.terminal import Norms, bar_table, line, show
from vanishgrad.diagnosis import Diagnosis
from vanishgrad.diagnosis.describe import States, first_flow, flow, meaning, moment_name
from vanishgrad.diagnosis.layers import Floats, Measured, When, log_slope, measured, place_of
from vanishgrad.diagnosis.tables import through_layers
from vanishgrad.engine import Result
from vanishgrad.engine.recorder import baseline
from vanishgrad.printing import printable
from vanishgrad.records import (
    GRADIENTS_FILE,
    METRICS_FILE,
    TIME_GRADIENTS_FILE,
    flatten,
    read_run,
    read_theory,
)
from vanishgrad.report.labels import counted, summary


@dataclass(frozen=True, eq=False)
class EndedRun:
    """What is told of a run.

    Arguments:
        record: run.json.
        gradients: of every layer, where anything was measured.
        profile: what theory says of the norms of the initial network's hidden layers, in decades.
    """

    record: dict[str, Any]
    gradients: Measured
    profile: tuple[float, ...] = ()

    @classmethod
    def of(cls, result: Result) -> EndedRun:
        """A run with a folder."""
        assert result.folder is not None
        profile = read_theory(result.folder).get("profile") or ()
        return cls(read_run(result.folder), measured(result.tables[GRADIENTS_FILE]), tuple(profile))

    @cached_property
    def predicted_slope(self) -> float:
        """Decades per layer that theory gives the initial network; NaN where there is nothing to compare.

        Theory gives norms relative to the last hidden layer, whose measured norm is taken.
        """
        norms, depth = self.gradients.column("delta_norm"), len(self.profile)
        place = place_of(norms, "start")
        if (
            not depth
            or place is None
            or self.gradients.steps[place] > 0
            or depth not in self.gradients.layers
        ):
            return math.nan
        last = norms[place, self.gradients.layers == depth]
        decades: Floats = np.array(self.profile, dtype=np.float64)
        return log_slope(np.arange(1, depth + 1), float(last[0]) * 10.0**decades)


MOST_ADVICE = 3
QUANTITIES = {"delta_norm": "||dLoss/dz||", "grad_norm": "||dLoss/dW||"}
STATE = "||dLoss/dh_t||"


def show_run(console: Console, result: Result, folder: Path) -> None:
    """Print the table, the sentence, what was reached, and where the run folder is."""
    run, states = EndedRun.of(result), _states(result)
    console.print(Text(printable(_title(run, result)), style="bold"))
    layers = _moments(run)
    output = max(next(iter(layers.values())))
    show(
        console,
        bar_table(
            console, "layer", _steps(layers), QUANTITIES[run.gradients.signal],
            lambda layer: f"{layer}" if layer < output else f"out {layer:2}",
        ),
        "",
    )  # fmt: skip
    if norms := _norms_of_states(result):
        show(console, bar_table(console, "time", _steps(norms), STATE), "")
    if slopes := _slopes(run):
        console.print(slopes)
    said = meaning(run.gradients, result.tables[METRICS_FILE], states, result.diagnosis)
    show(console, Text(said, style="bold"))
    console.print(_reached(result))
    if stopped := run.record.get("stopped_on"):
        console.print(f"stopped on {stopped.replace('_', ' ')}, as stop_on={result.run.stop_on} asked")
    for advice in _advice(result.diagnosis):
        console.print(advice, soft_wrap=True)
    line(console, str(folder))


def _title(run: EndedRun, result: Result) -> str:
    setting = " ".join(run.record["overrides"]) or summary(flatten(run.record["choices"]))
    return f"{setting}  {result.status} after {counted(result.steps, 'step')}, {result.seconds:.1f} s"


def _moments(run: EndedRun) -> dict[int, Norms]:
    """Step -> layer -> norm, at the first logged step, the one that the sentence describes, and the last."""
    gradients = run.gradients
    first, last = int(gradients.steps[0]), int(gradients.steps[-1])
    steps = sorted({first, max(first, first_flow(gradients).step), last})
    norms, layers = gradients.column(gradients.signal), gradients.layers.tolist()
    rows = norms[np.searchsorted(gradients.steps, steps)].tolist()
    return {step: dict(zip(layers, row, strict=True)) for step, row in zip(steps, rows, strict=True)}


def _norms_of_states(result: Result) -> dict[int, Norms]:
    """Step -> time -> norm of the states of all recurrent layers, at the first logged step and the last."""
    rows = result.tables.get(TIME_GRADIENTS_FILE)
    if rows is None:
        return {}
    steps, times, norms = through_layers(rows, "grad_norm")
    ends = sorted({0, len(steps) - 1})
    return {int(steps[end]): dict(zip(times.tolist(), norms[end].tolist(), strict=True)) for end in ends}


def _states(result: Result) -> dict[When, States]:
    """The same at the first step that has any, and at the last finite one."""
    rows = result.tables.get(TIME_GRADIENTS_FILE)
    if rows is None:
        return {}
    _, times, norms = through_layers(rows, "grad_norm")
    ends: tuple[When, ...] = ("start", "end")
    places = {when: place_of(norms, when) for when in ends}
    return {when: States(times, norms[place]) for when, place in places.items() if place is not None}


def _steps(moments: dict[int, Norms]) -> dict[str, Norms]:
    return {f"step {step}": norms for step, norms in moments.items()}


def _slopes(run: EndedRun) -> str:
    """Of the step described and of the last finite one; empty where there is none at all."""
    start, end = first_flow(run.gradients), flow(run.gradients, "end")
    last = int(run.gradients.steps[-1])
    if math.isnan(start.slope):
        return ""
    parts = [f"{_signed(start.slope)} {moment_name(run.gradients, start.step)}{_theory(run, start.step)}"]
    if end.step > start.step:
        parts.append(f"{_signed(end.slope)} {moment_name(run.gradients, end.step)}")
    elif last > start.step:
        parts.append("none at the end")
    return f"slope {', '.join(parts)} (decades per layer, + vanishes)"


def _theory(run: EndedRun, step: int) -> str:
    """The slope that theory gives the initial network, where it does."""
    slope = run.predicted_slope if step == 0 else math.nan
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
