"""Which steps do more than train."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from vanishgrad.choices.data.dataset import Dataset
from vanishgrad.diagnosis import OnlineDiagnosis
from vanishgrad.files import replace_file, writing
from vanishgrad.records import (
    CHECKPOINT_FILE,
    SNAPSHOTS,
    TIME_GRADIENTS_FILE,
    Cell,
    read_extra,
    read_gradients,
    read_metrics,
)
from vanishgrad.run import ANY, Run
from vanishgrad.streams import stream

if TYPE_CHECKING:
    import pandas as pd

    from vanishgrad.diagnosis import Finding


@dataclass(frozen=True)
class StepPlan:
    """The steps of a run: 0 is the initial network, `total` the trained one, which is only measured."""

    run: Run
    total: int
    per_epoch: int
    snapshots: frozenset[int]

    @classmethod
    def of(cls, run: Run, examples: int) -> StepPlan:
        """The plan for so many training examples."""
        total, per_epoch = steps_of(run, examples)
        return cls(run, total, per_epoch, frozenset(snapshot_steps(run.snapshots, total)))

    def epoch(self, step: int) -> int:
        """Whole epochs that have been trained."""
        return step // self.per_epoch

    def logged(self, step: int) -> bool:
        return step == self.total or step % self.run.log_every == 0

    def evaluated(self, step: int) -> bool:
        return step == self.total or step % (self.run.eval_every or self.per_epoch) == 0

    def looked_at(self, step: int) -> bool:
        """Whether the network is looked at before the step, or saved."""
        every, points, last = self.run.dead_every, self.run.input_gradients, step == self.total
        observed = (every and (last or step % every == 0)) or (points and (last or step == 0))
        return bool(observed) or self.evaluated(step) or self.saved(step) or step in self.snapshots

    def saved(self, step: int) -> bool:
        return step == self.total or (
            self.run.save_every > 0 and step > 0 and step % self.run.save_every == 0
        )


Rows = Sequence[Sequence[Cell]]


class Stopping:
    """Watches gradients, metrics and derivatives through time of a run for what its `stop_on` names.

    Arguments:
        run: the setting.
        record: run.json, which says what the setting is and what ignorance scores.
    """

    def __init__(self, run: Run, record: Mapping[str, Any]) -> None:
        self._wanted = run.stop_on
        self._watch = OnlineDiagnosis(
            record["effective"], record["baseline"], answers=record.get("answers"),
            fitting=record.get("fitting"),
        )  # fmt: skip
        self.finding: Finding | None = None

    def gradients(self, rows: Rows, extra: Mapping[str, Rows]) -> None:
        """Take the rows of a logged step: of gradients.csv, and of the other tables by file name."""
        self._watch.add(rows, time_gradients=extra.get(TIME_GRADIENTS_FILE, ()))

    def metrics(self, row: Sequence[Cell]) -> None:
        """Take a row of metrics.csv, the last of a step; `finding` is the worst one that ends the run."""
        self._watch.add((), [row])
        self._judge()

    def restore(self, folder: Path, step: int) -> None:
        """Take what another process wrote of the steps before `step`."""
        tables = (read_gradients(folder), read_extra(folder, TIME_GRADIENTS_FILE))
        gradients, times = (_by_step(table, step) for table in tables)
        for at, rows in gradients.items():
            self._watch.add(rows, time_gradients=times.get(at, ()))
        for rows in _by_step(read_metrics(folder), step).values():
            self._watch.add((), rows)
        self._judge()

    def _judge(self) -> None:
        findings = self._watch.diagnosis().findings
        self.finding = next((one for one in findings if self._wanted in (ANY, one.finding)), None)


def _by_step(table: pd.DataFrame, before: int) -> dict[int, list[tuple[Cell, ...]]]:
    steps: dict[int, list[tuple[Cell, ...]]] = {}
    for row in _rows(table[table["step"] < before]):
        steps.setdefault(int(row[0] or 0), []).append(row)
    return steps


def _rows(table: pd.DataFrame) -> Iterable[tuple[Cell, ...]]:
    return table.itertuples(index=False, name=None)


@dataclass(frozen=True)
class Batch:
    """The examples of one step; `first` where a running text begins anew."""

    inputs: Tensor
    targets: Tensor
    first: bool = True


def steps_of(run: Run, examples: int) -> tuple[int, int]:
    """(steps of the run, steps per epoch). A partial batch at an epoch's end is dropped.

    Of a text the examples are its characters, of which each place in the batch reads `length` a step.
    """
    per_epoch = examples // batch_size_of(run, examples)
    if run.data.running_text:
        per_epoch //= run.data.shape[0]
    planned = run.epochs * per_epoch
    return planned if run.max_steps is None else min(planned, run.max_steps), per_epoch


def batch_size_of(run: Run, examples: int) -> int:
    """Examples per step."""
    return examples if run.batch_size == "full" else int(run.batch_size)


class Order:
    """Endless batches of example numbers: a new random order every epoch, from the run's own stream."""

    def __init__(self, run: Run, examples: int) -> None:
        self.examples, self.size = examples, batch_size_of(run, examples)
        self._generator = stream(run.seed, "order")
        self.epoch = self._generator.get_state()  # as it was before the order of this epoch was drawn
        self._done = 0

    def __iter__(self) -> Iterator[Tensor]:
        while True:
            self.epoch, done, self._done = self._generator.get_state(), self._done, 0
            yield from islice(shuffled(self.examples, self.size, self._generator), done, None)

    def restore(self, epoch: Tensor, done: int) -> None:
        """Begin in an epoch that another process was in, after its first `done` batches."""
        self._generator.set_state(epoch)
        self._done = done


def shuffled(examples: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """The numbers of all examples once, in a random order, `size` at a time; the rest is dropped."""
    order = torch.randperm(examples, generator=generator)
    yield from order[: examples - examples % size].split(size)


def batches(run: Run, train: Dataset, order: Order, done: int = 0) -> Iterator[Batch]:
    """Endless batches of the training data; of a text from behind the first `done` pieces on."""
    if run.data.running_text:
        size = batch_size_of(run, len(train.train_x))
        yield from islice(pieces(train.train_x, train.train_y, size, run.data.shape[0]), done, None)
        while True:
            yield from pieces(train.train_x, train.train_y, size, run.data.shape[0])
    while run.batch_size == "full":
        yield Batch(train.train_x, train.train_y)
    for rows in order:
        chosen = rows.to(train.train_x.device)
        yield Batch(train.train_x.index_select(0, chosen), train.train_y.index_select(0, chosen))


def pieces(inputs: Tensor, targets: Tensor, size: int, length: int) -> Iterator[Batch]:
    """A text read once, at `size` places at a time, `length` characters a step; the rest is dropped.

    Arguments:
        inputs, targets: symbol numbers, `(characters,)`.
    """
    steps = len(inputs) // size // length
    x, y = (text[: size * steps * length].view(size, steps, length) for text in (inputs, targets))
    for step in range(steps):
        yield Batch(x[:, step], y[:, step], first=step == 0)


def save_checkpoint(folder: Path, state: dict[str, Any], *, durable: bool = False) -> None:
    """Write checkpoint.pt atomically."""
    _save(folder / CHECKPOINT_FILE, state, durable)


def save_snapshot(folder: Path, step: int, model: nn.Module) -> None:
    """Write the weights after `step` updates to snapshots/<step>.pt."""
    with writing(folder / SNAPSHOTS):
        (folder / SNAPSHOTS).mkdir(exist_ok=True)
    _save(folder / SNAPSHOTS / f"{step}.pt", {"step": step, "model": model.state_dict()})


def snapshot_steps(count: int, total: int) -> set[int]:
    """`count` steps from 0 to `total`, evenly spaced; the last one alone when count is 1."""
    count = min(count, total + 1)
    if count <= 1:
        return {total} if count else set()
    return {round(index * total / (count - 1)) for index in range(count)}


def _save(path: Path, state: dict[str, Any], durable: bool = False) -> None:
    buffer = io.BytesIO()
    torch.save(_alone(state), buffer)
    replace_file(path, buffer.getvalue(), durable=durable)


def _alone(value: Any) -> Any:
    """Tensors without the memory that they share with others, all of which `torch.save` would write."""
    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {key: _alone(item) for key, item in value.items()}
    return type(value)(map(_alone, value)) if isinstance(value, list | tuple) else value
