"""What a treatment costs: the time of its steps, beside that of the untreated network's."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from vanishgrad.run import Run
from vanishgrad.training import Progress, train
from vanishgrad.training.machine import device_of
from vanishgrad.training.pretraining import LayerEpoch

STEPS = 12  # of a turn; the first ones warm up
WARM = 3
TURNS = 2
NEVER = 10**9


def relative_costs(untreated: Run, treated: Sequence[Run], total: int) -> list[float]:
    """Seconds per step of each of the runs `treated`, divided by the untreated one's.

    All take turns, each run alone, unmeasured; of the turns the quickest counts. Pretraining is shared out
    over the `total` steps that follow it. On a CPU they are seconds of the processor, which others that keep
    it busy do not change.
    """
    runs = [untreated, *treated]
    turns = [[seconds_per_step(run, total) for run in runs] for _ in range(TURNS)]
    first, *others = (min(times) for times in zip(*turns, strict=True))
    return [one / first for one in others]


def seconds_per_step(run: Run, total: int) -> float:
    """The median step of a short run, with its share of the pretraining."""
    clock = time.process_time if device_of(run).type == "cpu" else time.perf_counter
    steps: list[float] = []
    pretraining: list[float] = [clock()]

    def observe(state: Progress | LayerEpoch) -> None:
        (steps if isinstance(state, Progress) else pretraining).append(clock())

    train(
        replace(run, max_steps=STEPS, warmup=0, epochs=NEVER, log_every=NEVER, eval_every=NEVER, save_every=0,
                snapshots=0, dead_every=0, input_gradients=0),
        observe=observe,
    )  # fmt: skip
    taken = [late - early for early, late in pairwise(steps)]
    once = pretraining[-1] - pretraining[0] if len(pretraining) > 1 else 0.0
    return statistics.median(taken[WARM:] or taken or [math.nan]) + once / max(1, total)
