"""Whether each value of a run is of its kind."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from vanishgrad.errors import at_least, one_of, require
from vanishgrad.records import FINDINGS

if TYPE_CHECKING:
    from vanishgrad.run.experiment import Run

DEVICES = ("auto", "cpu", "cuda", "mps")
DTYPES = ("float32", "float64")
MEASURES = ("all", "gradients")
COUNTS = {
    "depth": 0, "width": 1, "epochs": 0, "max_steps": 0, "warmup": 0, "log_every": 1, "eval_every": 1,
    "recompute_every": 0, "save_every": 0, "snapshots": 0, "dead_every": 0, "input_gradients": 0,
}  # fmt: skip
ANY = "any"  # of the findings
STOPS = (ANY, *FINDINGS)
OPTIONAL = ("max_steps", "eval_every", "lr", "stop_on", "name", "loss", "depth", "act")
WORDS = {"batch_size": "full", "threads": "auto"}


def is_integer(value: object) -> bool:
    """Whether `value` is an integer; a truth value is none."""
    return isinstance(value, int) and not isinstance(value, bool)


def check_numbers(run: Run) -> None:
    for key, least in COUNTS.items():
        value = getattr(run, key)
        if not (value is None and key in OPTIONAL):
            require(is_integer(value), f"{key}={value!r}: must be an integer")
            at_least(key, value, least)
    for key, word in WORDS.items():
        value = getattr(run, key)
        require(
            value == word or (is_integer(value) and value >= 1),
            f"{key}={value}: must be {word} or an integer of at least 1",
        )
    require(run.threads == "auto" or int(run.threads) <= 1024, f"threads={run.threads}: must be at most 1024")
    require(is_integer(run.seed), f"seed={run.seed!r}: must be an integer")
    require(
        0 < run.rate < math.inf,
        f"lr={run.lr}: must be finite and above 0, or null for the optimizer's default",
    )
    one_of("device", run.device, DEVICES)
    one_of("dtype", run.dtype, DTYPES)
    one_of("measure", run.measure, MEASURES)
    if run.stop_on is not None:
        one_of("stop_on", run.stop_on, STOPS)
