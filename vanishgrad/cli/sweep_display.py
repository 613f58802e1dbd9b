"""A sweep while it goes on: one display in a terminal, a line per run elsewhere."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from vanishgrad.sweep.job import Job, Outcome

FORMS = {
    "val_accuracy": "accuracy {:.3f}", "bits_per_character": "bits per character {:.3f}",
    "gradient_slope": "slope {:+.3f}",
}  # fmt: skip


class SweepDisplay:
    """Tells of runs as they end.

    Arguments:
        console: where.
        jobs: of the sweep.
        already: what has ended before.
        live: the display of a terminal; None for plain lines.
    """

    def __init__(
        self, console: Console, jobs: Sequence[Job], already: Mapping[int, Outcome], live: Live | None
    ) -> None:
        self._console, self._live = console, live
        self._jobs = {job.number: job for job in jobs}
        self._done = {number: one for number, one in already.items() if number in self._jobs}
        self._width = max((len(job.label) for job in jobs), default=0)
        self._left, self._ended, self._began = 0, 0, time.monotonic()

    def started(self, numbers: Sequence[int]) -> None:
        """These runs are to be trained now."""
        self._left = len(numbers)
        for number in numbers:
            self._done.pop(number, None)
        self.refresh()

    def ended(self, outcome: Outcome) -> None:
        """A run has ended."""
        self._done[outcome.number] = outcome
        self._ended += 1
        if self._live is None:
            job = self._jobs[outcome.number]
            print(f"{job.number:>3}  {job.label:<{self._width}}  {told(outcome)}", flush=True)
        self.refresh()

    def refresh(self) -> None:
        """Show the state of now."""
        if self._live is not None:
            self._live.update(self._view(), refresh=True)

    def _view(self) -> RenderableType:
        total, done = len(self._jobs), len(self._done)
        states = Counter(outcome.status for outcome in self._done.values())
        counts = [f"{done} of {total} runs"]
        counts += [f"{states[name]} {name}" for name in ("diverged", "failed") if states[name]]
        counts.append(f"{_clock(time.monotonic() - self._began)} so far, {self._remaining()} left")
        bar = ProgressBar(total=max(1, total), completed=done)
        lines: list[RenderableType] = [Text(" · ".join(counts)), bar]
        lines += [Text(line, overflow="ellipsis", no_wrap=True) for line in self._extremes()]
        return Group(*lines)

    def _remaining(self) -> str:
        if not self._ended:
            return "?"
        pace = (time.monotonic() - self._began) / self._ended
        return _clock(pace * (self._left - self._ended))

    def _extremes(self) -> list[str]:
        """The best and the worst setting, by their means over seeds."""
        scores: dict[str, list[float]] = defaultdict(list)
        for number, outcome in self._done.items():
            value = score(outcome)
            if value is not None:
                scores[setting(self._jobs[number].label)].append(value)
        means = {name: sum(found) / len(found) for name, found in scores.items()}
        if len(means) < 2:
            return []
        ranked = sorted(means, key=lambda name: -means[name])
        shown = {"best ": ranked[0], "worst": ranked[-1]}
        return [f"{word} {abs(means[name]):.4g}  {name}" for word, name in shown.items()]


@contextmanager
def sweep_display(
    console: Console, jobs: Sequence[Job], already: Mapping[int, Outcome]
) -> Iterator[SweepDisplay]:
    """Shows the runs inside as they end; in a terminal it goes away afterwards."""
    if not console.is_terminal:
        yield SweepDisplay(console, jobs, already, None)
        return
    with Live(console=console, transient=True, auto_refresh=False) as live:
        yield SweepDisplay(console, jobs, already, live)


def told(outcome: Outcome) -> str:
    """`completed  accuracy 0.917  slope +0.021`; what is not finite is left out."""
    if outcome.status == "failed":
        return f"failed: {outcome.error}"
    at = outcome.diverged_at
    numbers = dict(outcome.metrics)
    forms = dict(FORMS)
    if numbers.get("val_accuracy") is None:
        forms = {"val_loss": "loss {:.4g}", **forms}
    found = [(form, numbers.get(name)) for name, form in forms.items()]
    parts = [form.format(x) for form, x in found if x is not None and math.isfinite(x)]
    return "  ".join([outcome.status if at is None else f"diverged at step {at}", *parts])


def score(outcome: Outcome) -> float | None:
    """Higher is better: the accuracy, without one minus the loss; None where it is not finite."""
    accuracy, loss = outcome.metrics.get("val_accuracy"), outcome.metrics.get("val_loss")
    value = accuracy if accuracy is not None else None if loss is None else -loss
    return value if value is not None and math.isfinite(value) else None


def setting(label: str) -> str:
    """A job's label without its seed."""
    return " ".join(part for part in label.split(" ") if not part.startswith("seed=")) or "this setting"


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(max(0.0, seconds))))
