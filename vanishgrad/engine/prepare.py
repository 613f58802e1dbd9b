"""Device and threads of a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import torch

from vanishgrad.choices.data import load
from vanishgrad.choices.data.dataset import Dataset
from vanishgrad.choices.model.build import blank
from vanishgrad.engine.memory import check_memory, check_time
from vanishgrad.engine.plan import batch_size_of, steps_of
from vanishgrad.errors import require
from vanishgrad.run import Run, structure

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


def threads_of(run: Run, batch: int) -> int:
    """CPU threads of `run`: one for small layers, where more only get in each other's way.

    Large ones get as many as torch has in this process, which in a sweep may be a share of the machine.
    """
    if isinstance(run.threads, int):
        return run.threads
    multiplications = run.model.cost(run).multiplications
    return 1 if batch * multiplications < SMALL else torch.get_num_threads()


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Torch computes with `count` threads inside, with as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def check(run: Run) -> Dataset:
    """The data of `run`, once it is clear that this machine can train it.

    Raises:
        SettingError: when the data, the batch size, the device or the memory do not allow the run.
    """
    device_of(run)
    data = load(run.data)
    examples = len(data.train_x)
    require(
        batch_size_of(run, examples) <= examples,
        f"batch_size={run.batch_size}: there are {examples} training examples; use fewer, or full",
    )
    _check_text(run, examples)
    require(
        examples > 1 or not run.depth or not run.norm.over_batch,
        "norm=batch with one training example: a batch of one has no variance; use more, or norm=layer",
    )
    require(
        examples > 1 or not run.input_gradients,
        f"input_gradients={run.input_gradients} with one training example: there is no line to a next one; "
        "use more, or 0",
    )
    batch = batch_size_of(run, examples)
    check_memory(run, run.model.cost(run).parameters, batch)
    check_memory(run, parameter_count(run), batch)
    check_time(run, *steps_of(run, examples), batch)
    return data


def _check_text(run: Run, characters: int) -> None:
    """Whether every place in the batch has a piece of the text to read."""
    if run.data.running_text:
        require(
            run.batch_size != "full",
            "batch_size=full with data=text: is the number of places that the text is read at; use a number",
        )
        require(
            int(run.batch_size) * run.data.shape[0] <= characters,
            f"batch_size={run.batch_size} data.length={run.data.shape[0]}: a step reads their product, the "
            f"text has {characters} characters to train on; use fewer",
        )


def parameter_count(run: Run) -> int:
    """Parameters of the network of `run`."""
    return _counted(structure(run))


@lru_cache(maxsize=4096)
def _counted(run: Run) -> int:
    """Parameters, counted without memory; kept, since a sweep has many runs of one structure."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in blank(run).parameters())
