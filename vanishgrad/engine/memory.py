"""What a run needs of the machine's memory, estimated before anything is allocated."""

from __future__ import annotations

import psutil

from vanishgrad.errors import require
from vanishgrad.run import Run

COPIES = 6  # weights, gradients, two optimizer states, and the monitor's start and previous weights
OBJECTS = 16 * 2**10  # bytes of Python objects per layer: modules, graph nodes, records
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
    require(
        needed < available,
        f"depth={run.depth} width={run.width} batch_size={run.batch_size}: needs about "
        f"{needed / 2**30:.3g} GiB ({parameters:,} parameters), this machine has "
        f"{available / 2**30:.3g} GiB; {run.model.cost(run).advice}",
    )


def needed_bytes(run: Run, parameters: int, batch: int) -> float:
    """Bytes that training takes, about: parameters, activations and Python's objects."""
    element = 8 if run.dtype == "float64" else 4
    kept = run.depth if not run.recompute_every else run.recompute_every + run.depth // run.recompute_every
    activations = KEPT * batch * run.model.cost(run).values * (kept + 1)
    return element * (COPIES * parameters + activations) + OBJECTS * run.depth
