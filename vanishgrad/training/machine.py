"""Device and threads of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from vanishgrad.errors import require
from vanishgrad.run import Run

SMALL = 1 << 25  # multiplications per layer and batch under which a second thread costs more than it gives


def device_of(run: Run) -> torch.device:
    """The device of `run`; auto takes an accelerator when there is one.

    Raises:
        SettingError: for a device that this machine does not have, or that has no float64.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if run.device != "auto":
        present = ", ".join(name for name, there in available.items() if there)
        require(available[run.device], f"device={run.device}: not on this machine; choose auto, {present}")
    name = (
        next(kind for kind in ("cuda", "mps", "cpu") if available[kind])
        if run.device == "auto"
        else run.device
    )
    if name == "mps" and run.dtype == "float64":
        require(run.device == "auto", "device=mps with dtype=float64: this device has no float64; use cpu")
        name = "cpu"
    return torch.device(name)


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads_of(run: Run, batch: int) -> int:
    """CPU threads of `run`: one for small layers, where more only get in each other's way."""
    if isinstance(run.threads, int):
        return run.threads
    return 1 if batch * run.width**2 < SMALL else cores()


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Torch computes with `count` threads inside, with as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
