"""Ctrl-C that leaves a run in order."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any

from vanishgrad.training.pretraining import LayerEpoch
from vanishgrad.training.progress import Observer, Progress


class Interruption:
    """Inside, Ctrl-C waits for the end of a step, to leave a checkpoint; a second one does not.

    Without a step under way, in pretraining, it waits for the end of the epoch.
    """

    def __init__(self) -> None:
        self._asked = False
        self._before: Any = signal.SIG_DFL

    def __enter__(self) -> Interruption:
        self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGINT, self._before)

    def observing(self, observe: Observer | None) -> Observer:
        """An observer that stops the run once it was asked for, and passes on what it sees."""

        def look(state: Progress | LayerEpoch) -> None:
            if observe is not None:
                observe(state)
            if self._asked:
                raise KeyboardInterrupt

        return look

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
