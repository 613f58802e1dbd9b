"""The progress bar of a run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from vanishgrad.training.pretraining import LayerEpoch
from vanishgrad.training.progress import Observer
from vanishgrad.training.progress import Progress as State

EVERY = 0.05  # seconds between updates: more cannot be seen


@contextmanager
def progress_bar(console: Console) -> Iterator[Observer | None]:
    """An observer that draws a bar while a run goes on; None when nobody watches."""
    if not console.is_terminal:
        yield None
        return
    columns = (
        BarColumn(bar_width=None), MofNCompleteColumn(), TextColumn("{task.description}"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True, expand=True) as bar:
        task = bar.add_task("", total=None)
        layers: dict[int, TaskID] = {}
        last = 0.0

        def observe(state: State | LayerEpoch) -> None:
            nonlocal last
            if isinstance(state, LayerEpoch):
                told = f"pretraining layer {state.layer} of {state.layers}  loss {state.loss:.4g}"
                if state.layer not in layers:
                    layers[state.layer] = bar.add_task("", total=state.epochs)
                bar.update(layers[state.layer], completed=state.epoch, description=told)
                return
            now = time.monotonic()
            if now - last >= EVERY or state.step == state.total:
                last = now
                bar.update(task, total=state.total, completed=state.step, description=_told(state))

        yield observe


def _told(state: State) -> str:
    accuracy = "–" if state.accuracy is None else f"{state.accuracy:.3f}"
    norm = "–" if state.grad_norm is None else f"{state.grad_norm:.1e}"
    return f"loss {state.loss:.4f}  accuracy {accuracy}  gradient {norm}"
