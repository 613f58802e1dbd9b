"""Which runs are trained together."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from vanishgrad.choices.data import Text
from vanishgrad.choices.pretraining import frozen
from vanishgrad.models.memory import needed_bytes
from vanishgrad.run import Run, Structure, structure
from vanishgrad.sweep.job import Job
from vanishgrad.training.batches import batch_size_of
from vanishgrad.training.prepare import check, parameters_of

MOST = 64  # runs in a stack: more are no quicker
ENOUGH = 16  # fewer leave the processor waiting for Python
MEMORY = 2**30  # bytes of a stack, about


@dataclass(frozen=True)
class Group:
    """Jobs that one process trains as a stack; a single one is trained alone.

    Arguments:
        jobs: of one structure.
        reason: why a job that could have had company is alone; empty otherwise.
    """

    jobs: tuple[Job, ...]
    reason: str = ""


def alone_because(run: Run) -> str | None:
    """Why `run` cannot be part of a stack; None where it can."""
    if isinstance(run.data, Text):
        return "data=text carries its state from batch to batch"
    if frozen(run.pretrain):
        return "pretrain.freeze=true trains the output layer alone"
    if run.recompute_every:
        return "recompute_every computes activations twice"
    return None


def grouped(jobs: Sequence[Job], workers: int, max_stack: int | None = None) -> list[Group]:
    """The jobs in groups, the most work first.

    Arguments:
        jobs: of a sweep, each checked.
        workers: processes that share the work; structures are divided so that all have some.
        max_stack: runs in a stack at the most; None leaves the choice to the size of the network.
    """
    found: list[Group] = []
    alike: dict[Structure, list[Job]] = defaultdict(list)
    for job in jobs:
        reason = alone_because(job.run)
        if reason is None:
            alike[structure(job.run)].append(job)
        else:
            found.append(Group((job,), reason))
    share = math.ceil(sum(map(len, alike.values())) / workers)
    for members in alike.values():
        most = max_stack or min(fitting(members[0].run), max(ENOUGH, share))
        found += [Group(tuple(part)) for part in _evenly(members, most)]
    return sorted(found, key=lambda group: -len(group.jobs))


def fitting(run: Run) -> int:
    """Runs like `run` that a stack holds: as many as are quickest, fewer where memory sets the limit."""
    size = needed_bytes(run, parameters_of(run), batch_size_of(run, len(check(run).train_x)))
    return max(1, min(MOST, int(MEMORY // size)))


def _evenly(members: Sequence[Job], most: int) -> list[Sequence[Job]]:
    """Parts of nearly equal length, none longer than `most`."""
    parts = math.ceil(len(members) / most)
    bounds = [round(part * len(members) / parts) for part in range(parts + 1)]
    return [members[start:end] for start, end in pairwise(bounds)]
