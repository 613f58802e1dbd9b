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
MOST_LAYERS = 8  # bars of pretrained layers at a time


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
        yield Bars(bar)


class Bars:
    """Draws a bar for the training, and before it one for each layer that is pretrained.

    Arguments:
        progress: where they are drawn.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._training: TaskID | None = None
        self._layers: dict[int, TaskID] = {}
        self._last = 0.0

    def __call__(self, state: State | LayerEpoch) -> None:
        if isinstance(state, LayerEpoch):
            self._pretrained(state)
        elif time.monotonic() - self._last >= EVERY or state.step == state.total:
            self._last = time.monotonic()
            if self._training is None:
                self._training = self._progress.add_task("", total=state.total)
            self._progress.update(self._training, completed=state.step, description=_told(state))

    def _pretrained(self, state: LayerEpoch) -> None:
        if state.layer not in self._layers:
            self._layers[state.layer] = self._progress.add_task("", total=state.epochs)
            for done in list(self._layers.values())[:-MOST_LAYERS]:
                self._progress.update(done, visible=False)
        told = f"pretraining layer {state.layer} of {state.layers}  loss {state.loss:.4g}"
        self._progress.update(self._layers[state.layer], completed=state.epoch, description=told)


def _told(state: State) -> str:
    accuracy = "–" if state.accuracy is None else f"{state.accuracy:.3f}"
    norm = "–" if state.grad_norm is None else f"{state.grad_norm:.1e}"
    return f"loss {state.loss:.4f}  accuracy {accuracy}  gradient {norm}"
