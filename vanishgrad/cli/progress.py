"""The progress bar of a run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar

from vanishgrad.cli.terminal import working
from vanishgrad.engine.pretrain import LayerEpoch
from vanishgrad.engine.session import Callback, Progress

EVERY = 0.05  # seconds between updates: more cannot be seen
MOST_LAYERS = 8  # bars of pretrained layers at a time


@contextmanager
def progress_bar(console: Console) -> Iterator[Callback | None]:
    """An observer that draws a bar while a run goes on; None, and a word of it, when nobody watches."""
    if not console.is_terminal:
        with working("training"):
            yield None
        return
    columns = (
        BarColumn(bar_width=None), MofNCompleteColumn(), TextColumn("{task.description}", markup=False),
        TimeRemainingColumn(),
    )  # fmt: skip
    with ProgressBar(*columns, console=console, transient=True, expand=True) as bar:
        yield Bars(bar)


class Bars:
    """Draws a bar for the training, and before it one for each layer that is pretrained.

    Arguments:
        progress: where they are drawn.
    """

    def __init__(self, progress: ProgressBar) -> None:
        self._progress = progress
        self._training: TaskID | None = None
        self._layers: dict[int, TaskID] = {}
        self._last = 0.0

    def __call__(self, state: Progress | LayerEpoch) -> None:
        if isinstance(state, LayerEpoch):
            self._pretrained(state)
        elif time.monotonic() - self._last >= EVERY or state.step == state.total:
            self._last = time.monotonic()
            if self._training is None:
                self._training = self._progress.add_task("", total=state.total)
            self._progress.update(self._training, completed=state.step, description=_described(state))

    def _pretrained(self, state: LayerEpoch) -> None:
        if state.layer not in self._layers:
            self._layers[state.layer] = self._progress.add_task("", total=state.epochs)
            for done in list(self._layers.values())[:-MOST_LAYERS]:
                self._progress.update(done, visible=False)
        description = f"pretraining layer {state.layer} of {state.layers}  loss {state.loss:.4g}"
        self._progress.update(self._layers[state.layer], completed=state.epoch, description=description)


def _described(state: Progress) -> str:
    accuracy = "–" if state.accuracy is None else f"{state.accuracy:.3f}"
    norm = "–" if state.grad_norm is None else f"{state.grad_norm:.1e}"
    return f"loss {state.loss:.4f}  accuracy {accuracy}  gradient {norm}"
