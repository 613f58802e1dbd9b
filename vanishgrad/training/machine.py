"""Device and threads of a run."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from vanishgrad.choices.model import CNN, GRU, LSTM, RNN, ConvLSTM
from vanishgrad.errors import require
from vanishgrad.models.memory import gates_of
from vanishgrad.run import Run

SMALL = 1 << 25  # multiplications per layer and batch under which a second thread costs more than it gives


def device_of(run: Run) -> torch.device:
    """The device of `run`; auto takes a CUDA device when there is one.

    Raises:
        SettingError: for a device that this machine does not have, or that has no float64.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if run.device == "auto":
        return torch.device("cuda" if available["cuda"] else "cpu")
    present = ", ".join(name for name, there in available.items() if there)
    require(available[run.device], f"device={run.device}: not on this machine; choose auto, {present}")
    require(
        run.device != "mps",
        "device=mps: this device has no float64, in which gradients are measured; use cpu",
    )
    return torch.device(run.device)


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads_of(run: Run, batch: int) -> int:
    """CPU threads of `run`: one for small layers, where more only get in each other's way.

    Large ones get as many as torch has in this process, which in a sweep may be a share of the machine.
    """
    if isinstance(run.threads, int):
        return run.threads
    return 1 if batch * _per_example(run) < SMALL else torch.get_num_threads()


def _per_example(run: Run) -> int:
    """Multiplications of a hidden layer, of a recurrent one at one time step."""
    match run.model:
        case CNN():
            return 9 * run.width**2 * math.prod(run.data.shape[1:])
        case RNN() | LSTM() | GRU():
            return gates_of(run) * run.width**2
        case ConvLSTM(kernel=kernel, patch=patch):
            return gates_of(run) * run.width**2 * kernel**2 * math.prod(run.data.shape[2:]) // patch**2
        case _:
            return run.width**2


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Torch computes with `count` threads inside, with as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
