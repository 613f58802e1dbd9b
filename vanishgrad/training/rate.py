"""The learning rate of every step."""

from __future__ import annotations

from vanishgrad.run import Run


def rate_at(run: Run, step: int, total: int) -> float:
    """The rate of the update after `step` updates: linear warm-up, then the schedule."""
    if step < run.warmup:
        return run.rate * (step + 1) / run.warmup
    return run.rate * run.schedule.factor((step - run.warmup) / max(1, total - run.warmup))
