"""Everything that can be refused before a run does any work."""

from __future__ import annotations

from functools import lru_cache

import torch

from vanishgrad.choices.data import Text
from vanishgrad.choices.normalization import Batch
from vanishgrad.data import Dataset, load
from vanishgrad.errors import require
from vanishgrad.models.build import blank
from vanishgrad.models.memory import at_least_parameters, check_memory
from vanishgrad.run import Run, skeleton
from vanishgrad.training.batches import batch_size_of
from vanishgrad.training.machine import device_of


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
        examples > 1 or not run.depth or not isinstance(run.norm, Batch),
        "norm=batch with one training example: a batch of one has no variance; use more, or norm=layer",
    )
    require(
        examples > 1 or not run.input_gradients,
        f"input_gradients={run.input_gradients} with one training example: there is no line to a next one; "
        "use more, or 0",
    )
    batch = batch_size_of(run, examples)
    check_memory(run, at_least_parameters(run), batch)
    check_memory(run, parameters_of(run), batch)
    return data


def _check_text(run: Run, characters: int) -> None:
    """Whether every place in the batch has a piece of the text to read."""
    if isinstance(run.data, Text):
        require(
            run.batch_size != "full",
            "batch_size=full with data=text: is the number of places that the text is read at; use a number",
        )
        require(
            int(run.batch_size) * run.data.length <= characters,
            f"batch_size={run.batch_size} data.length={run.data.length}: a step reads their product, the "
            f"text has {characters} characters to train on; use fewer",
        )


def parameters_of(run: Run) -> int:
    """Parameters of the network of `run`."""
    return _counted(skeleton(run))


@lru_cache(maxsize=4096)
def _counted(run: Run) -> int:
    """Parameters, counted without memory; kept, since a sweep has many runs of one structure."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in blank(run).parameters())
