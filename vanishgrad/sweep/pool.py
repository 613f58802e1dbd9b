"""Groups of jobs on several processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, wait
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import torch

from vanishgrad.sweep.cluster import Cluster, Workers, connected, worker_count
from vanishgrad.training.machine import cores

__all__ = ["GroupFailure", "Place", "Workers", "each", "worker_count"]

WATCH = 0.2  # seconds between looks at what goes on

T = TypeVar("T")


@dataclass(frozen=True)
class Place:
    """Where a group is trained.

    Arguments:
        device: a GPU, or None for what each run's setting says.
        threads: CPU threads that are this process's share of the machine.
    """

    device: str | None = None
    threads: int = 1


@dataclass(frozen=True)
class GroupFailure(Generic[T]):
    """A group whose process died, or ended with an error."""

    group: T
    error: str


def each(
    groups: Sequence[T], work: Callable[[T, Place], None], workers: Workers, watch: Callable[[], None]
) -> Iterator[GroupFailure[T]]:
    """Do `work` for every group; what failed, as it does.

    On this machine a process that dies takes the others with it. The groups that were under way are then
    done one by one, to find the one that it died of, before the rest go on together. When this process is
    interrupted, or the iterator closed, the other processes are ended at once.

    Arguments:
        groups: what is given to `work`; the first ones are begun first.
        work: a function that travels to other processes.
        workers: how many there are, and where. A single one on this machine is this process.
        watch: called in this process about five times a second, or between groups when it does the work.

    Raises:
        SettingError: when no cluster answers.
    """
    if workers.backend == "loky" and min(worker_count(workers), len(groups)) <= 1:
        yield from _here(groups, work, watch)
        return
    left = deque(groups)
    with connected(workers) as cluster:
        while left:
            suspects = yield from _together(left, work, cluster, cluster.count, watch)
            for group in suspects:
                yield from _together(deque([group]), work, cluster, 1, watch)


def _here(
    groups: Sequence[T], work: Callable[[T, Place], None], watch: Callable[[], None]
) -> Iterator[GroupFailure[T]]:
    """In this process, one after the other."""
    for group in groups:
        try:
            work(group, Place(threads=cores()))
        except Exception as error:
            yield GroupFailure(group, _told(error))
        watch()


def _together(
    left: deque[T], work: Callable[[T, Place], None], cluster: Cluster, count: int, watch: Callable[[], None]
) -> Generator[GroupFailure[T], None, list[T]]:
    """Do `count` groups at a time until none is left, or until a process died beside others; the suspects."""
    free = list(range(count))
    busy: dict[Future[str | None], tuple[T, int]] = {}
    suspects: list[T] = []
    while busy or (left and not suspects):
        while left and free and not suspects:
            group, share = left.popleft(), free.pop(0)
            busy[cluster.submit(partial(_at, work, group, _gpu(cluster, share)))] = group, share
        for future in wait(busy, WATCH, FIRST_COMPLETED).done:
            group, share = busy.pop(future)
            free.append(share)
            died = _death(future)
            if isinstance(died, BrokenExecutor) and count > 1:
                suspects.append(group)
            elif (why := future.result() if died is None else _told_of(died)) is not None:
                yield GroupFailure(group, why)
        watch()
    return suspects


def _gpu(cluster: Cluster, share: int) -> str | None:
    """A GPU of this machine that no other process has, as long as there are enough."""
    return f"cuda:{share % cluster.gpus}" if cluster.gpus else None


def _at(work: Callable[[T, Place], None], group: T, device: str | None) -> str | None:
    """In another process: do a group; its error."""
    own = "cuda:0" if torch.cuda.is_available() else None  # a cluster shows each process its own
    try:
        work(group, Place(device or own, torch.get_num_threads()))
    except Exception as error:
        return _told(error)
    return None


def _death(future: Future[str | None]) -> BaseException | None:
    """What a backend says when a process has died, or the cluster has gone."""
    return CancelledError("the cluster has dropped it") if future.cancelled() else future.exception()


def _told_of(death: BaseException) -> str:
    """The line that tells, of what may be a page."""
    lines = [line.strip() for line in str(death).splitlines() if line.strip()]
    told = next((line for line in lines if "exit code" in line), lines[0] if lines else repr(death))
    return f"its process died: {told}"


def _told(error: Exception) -> str:
    """The type of an error and the last line of what it says."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[-1]}" if lines else type(error).__name__
