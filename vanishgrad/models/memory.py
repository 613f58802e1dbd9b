"""What a run needs of the machine's memory, estimated before anything is allocated."""

from __future__ import annotations

import os

from torch import nn

from vanishgrad.errors import require
from vanishgrad.run import Run

COPIES = 6  # weights, gradients, two optimizer states, and the monitor's start and previous weights


def check_memory(model: nn.Module, run: Run, examples: int) -> None:
    """Refuse a run that needs more memory than the machine has. `model` may be on the meta device.

    Raises:
        SettingError: with the estimate and what would lower it.
    """
    element = 8 if run.dtype == "float64" else 4
    parameters = sum(parameter.numel() for parameter in model.parameters())
    batch = examples if run.batch_size == "full" else int(run.batch_size)
    kept = run.depth if not run.recompute_every else run.recompute_every + run.depth // run.recompute_every
    activations = 4 * batch * run.width * (kept + 1)
    needed = element * (COPIES * parameters + activations)
    available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    require(
        needed < available,
        f"depth={run.depth} width={run.width} batch_size={run.batch_size}: needs about "
        f"{needed / 2**30:.1f} GiB ({parameters:,} parameters), this machine has {available / 2**30:.1f} GiB; lower depth, width or "
        "batch_size",
    )
