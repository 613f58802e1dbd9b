"""Everything that can be refused before a run does any work."""

from __future__ import annotations

from vanishgrad.data import Dataset, load
from vanishgrad.errors import require
from vanishgrad.models.build import blank
from vanishgrad.models.memory import check_memory
from vanishgrad.run import Run
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
    check_memory(blank(run), run, batch_size_of(run, examples))
    return data
