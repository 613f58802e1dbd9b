"""What a run needs of memory and of time, estimated before anything is allocated."""

from __future__ import annotations

import math

import psutil

from vanishgrad.errors import require
from vanishgrad.run import Run

COPIES = 6  # weights, gradients, two optimizer states, and the monitor's start and previous weights
OBJECTS = 16 * 2**10  # bytes of Python objects per layer: modules, graph nodes, records
DOUBLES = 16  # bytes: of two float64 numbers for each pair of points, and for each point's gradient
PASSES = 6  # multiplications and additions of a forward and a backward pass, for each of the forward pass
STEP_SECONDS = 5e-5  # of the smallest step, at the least
FASTEST = 1e15  # operations in a second of the fastest machine there is
YEAR = 365 * 86400.0
KEPT = 4  # tensors per layer as large as its output: norm, activation, dLoss/dz, ...


def check_memory(run: Run, parameters: int, batch: int) -> None:
    """Refuse a run that needs more memory than the machine has.

    Arguments:
        run: the setting.
        parameters: of its network.
        batch: examples per step.

    Raises:
        SettingError: with the estimate and what would lower it.
    """
    needed = needed_bytes(run, parameters, batch)
    available = psutil.virtual_memory().total
    points, advice = "", run.model.cost(run).advice
    if run.input_gradients:
        points, advice = f" input_gradients={run.input_gradients}", f"{advice}, or input_gradients"
    require(
        needed < available,
        f"depth={run.depth} width={run.width} batch_size={run.batch_size}{points}: needs about "
        f"{needed / 2**30:.3g} GiB ({parameters:,} parameters), this machine has "
        f"{available / 2**30:.3g} GiB; {advice}",
    )


def check_time(run: Run, steps: int, per_epoch: int, batch: int) -> None:
    """Refuse a run that would take years on any machine.

    Arguments:
        run: the setting.
        steps: that it is trained.
        per_epoch: steps of an epoch.
        batch: examples per step.

    Raises:
        SettingError: with the years at the least.
    """
    multiplications = PASSES * batch * max(1, run.depth) * run.model.cost(run).multiplications
    alone = run.pretrain.epochs * per_epoch * run.depth  # steps of pretraining, a layer each
    seconds = steps * max(STEP_SECONDS, multiplications / FASTEST) + alone * STEP_SECONDS
    before = f"pretrain.epochs={run.pretrain.epochs} " if alone else ""
    require(
        seconds < YEAR,
        f"{before}epochs={run.epochs} depth={run.depth} width={run.width}: {steps + alone:,} steps take "
        f"{seconds / YEAR:,.0f} years at the least, must be less than one; lower epochs or max_steps",
    )


def needed_bytes(run: Run, parameters: int, batch: int) -> float:
    """Bytes that training takes, about: parameters, activations and Python's objects."""
    element = 8 if run.dtype == "float64" else 4
    points = run.input_gradients
    kept = run.depth if not run.recompute_every else run.recompute_every + run.depth // run.recompute_every
    activations = KEPT * max(batch, points) * run.model.cost(run).values * (kept + 1)
    pairs = DOUBLES * points * (points + math.prod(run.data.shape))
    return element * (COPIES * parameters + activations) + OBJECTS * run.depth + pairs
