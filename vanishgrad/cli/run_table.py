"""The end of a run in the terminal: every layer's gradient norm as a bar, and what it means."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vanishgrad.cli.meaning import described, flow, meaning, when
from vanishgrad.cli.plain import show
from vanishgrad.cli.saved import saved
from vanishgrad.report.labels import counted, flatten, summary
from vanishgrad.report.runs import SavedRun
from vanishgrad.training import Result

WIDEST = 110  # columns of a terminal that are used
SHOWN = 5  # layers at the input, in the middle and at the output of a deep network
QUANTITIES = {"delta_norm": "||dLoss/dz||", "grad_norm": "||dLoss/dW||"}
EIGHTHS = " ▏▎▍▌▋▊▉█"

Norms = dict[int, float]


class Scale(NamedTuple):
    """A logarithmic axis from 10^low to 10^high, `cells` characters long; `empty` where no norm is on it."""

    low: int
    high: int
    cells: int
    empty: bool = False

    def __str__(self) -> str:
        return "" if self.empty else f"1e{self.low:+03d} to 1e{self.high:+03d}"

    @classmethod
    def over(cls, norms: Iterable[float], cells: int) -> Scale:
        """The axis of whole decades that holds every norm that is finite and not 0."""
        decades = [math.log10(norm) for norm in norms if math.isfinite(norm) and norm > 0]
        if not decades:
            return cls(0, 1, cells, empty=True)
        low, high = math.floor(min(decades)), math.ceil(max(decades))
        return cls(low, max(high, low + 1), cells)

    def bar(self, norm: float, ascii_only: bool) -> str:
        """A bar of eighths of a character; the shortest for what is there at all, none for 0."""
        if math.isnan(norm) or norm <= 0:
            return ""
        share = 1.0 if math.isinf(norm) else (math.log10(norm) - self.low) / (self.high - self.low)
        eighths = max(1, round(8 * self.cells * share))
        if ascii_only:
            return "#" * math.ceil(eighths / 8)
        return EIGHTHS[8] * (eighths // 8) + EIGHTHS[eighths % 8].strip()


def show_run(console: Console, result: Result, folder: Path) -> None:
    """Print the table, the sentence, what was reached, and where the run folder is."""
    run = saved(result)
    console.print(Text(_title(run, result), style="bold"))
    show(console, _table(console, _moments(run), QUANTITIES[run.signal]), "")
    if slopes := _slopes(run):
        console.print(slopes)
    show(console, Text(meaning(run, result.diverged_at), style="bold"))
    console.print(_reached(result))
    console.print(str(folder), soft_wrap=True)


def _title(run: SavedRun, result: Result) -> str:
    setting = " ".join(run.overrides) or summary(flatten(run.choices))
    return f"{setting}  {result.status} after {counted(result.steps, 'step')}, {result.seconds:.1f} s"


def _moments(run: SavedRun) -> dict[int, Norms]:
    """Step -> layer -> norm, at the first logged step, the one that the sentence describes, and the last."""
    rows = run.gradients
    first, last = int(rows["step"].min()), int(rows["step"].max())
    steps = sorted({first, max(first, described(run).step), last})
    return {step: _norms(rows[rows["step"] == step], run.signal) for step in steps}


def _norms(rows: pd.DataFrame, column: str) -> Norms:
    return dict(zip(rows["layer"].astype(int), rows[column].astype(float), strict=True))


def _table(console: Console, moments: dict[int, Norms], quantity: str) -> Table:
    cells = (min(console.width, WIDEST) - 7) // len(moments) - 11
    scale = Scale.over((norm for norms in moments.values() for norm in norms.values()), max(8, cells))
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("layer", justify="right", min_width=6)
    for step in moments:
        table.add_column(f"step {step}", justify="right", no_wrap=True, min_width=7)
        table.add_column(f"{quantity}\n{scale}", no_wrap=True, min_width=scale.cells)
    layers = sorted(next(iter(moments.values())))
    for layer in _selected(layers):
        if layer is None:
            table.add_row("...")
            continue
        name = f"{layer}" if layer < layers[-1] else f"out {layer:2}"
        norms = [found.get(layer, math.nan) for found in moments.values()]
        table.add_row(name, *(cell for norm in norms for cell in _cells(console, norm, scale)))
    return table


def _cells(console: Console, norm: float, scale: Scale) -> tuple[Text, Text]:
    """The number and its bar; red when it is not finite."""
    finite = math.isfinite(norm)
    number = Text("0" if norm == 0 else f"{norm:.1e}", style="" if finite else "bold red")
    bar = scale.bar(norm, console.options.ascii_only)
    return number, Text(bar, style="cyan" if finite else "bold red")


def _selected(layers: Sequence[int]) -> list[int | None]:
    """All layers; of many the first, the middle and the last, None standing for those between."""
    if len(layers) <= 3 * SHOWN + 1:
        return list(layers)
    middle = (len(layers) - SHOWN) // 2
    return [*layers[:SHOWN], None, *layers[middle : middle + SHOWN], None, *layers[-SHOWN:]]


def _slopes(run: SavedRun) -> str:
    """Of the step described and of the last finite one; empty where there is none at all."""
    start, end, last = described(run), flow(run, end=True), int(run.gradients["step"].max())
    if math.isnan(start.slope):
        return ""
    told = [f"{_signed(start.slope)} {when(run, start.step)}"]
    if end.step > start.step:
        told.append(f"{_signed(end.slope)} {when(run, end.step)}")
    elif last > start.step:
        told.append("none at the end")
    return f"slope {', '.join(told)} (decades per layer, + vanishes)"


def _signed(slope: float) -> str:
    return "none" if math.isnan(slope) else f"{slope:+.3f}"


def _reached(result: Result) -> str:
    """The final losses and accuracies that are known and finite."""
    names = {
        "val_accuracy": "held-out accuracy", "val_loss": "loss",
        "train_accuracy": "training accuracy", "train_loss": "loss",
    }  # fmt: skip
    known = ((label, result.final.get(name)) for name, label in names.items())
    told = [f"{label} {value:.4g}" for label, value in known if value is not None and math.isfinite(value)]
    return ", ".join(told) or "no finite loss at the end"
