"""Groups of jobs on several processes: of this machine, or of a Ray or Dask cluster."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Generic, TypeVar

import torch
from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor

from vanishgrad.sweep.cluster import LEAST, Workers, connected, worker_count
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


@dataclass(frozen=True)
class _Crew:
    """What processes that work at the same time are told.

    Arguments:
        parent: the process that they end with; None where a cluster sees to that.
        size: how many they are.
        gpus: of this machine, shared out among them; None where the cluster shows each process its own.
        claims: a folder in which a process notes its share.
    """

    parent: int | None
    size: int
    gpus: int | None
    claims: Path


def each(
    groups: Sequence[T], work: Callable[[T, Place], None], workers: Workers, watch: Callable[[], None]
) -> Iterator[GroupFailure[T]]:
    """Do `work` for every group; what failed, as it does.

    A process that dies takes with it the groups of other processes. Those that may have been under way are
    done one by one, to find the one that it died of, before the others go on together. When this process is
    interrupted, or the iterator closed, the other processes are ended at once.

    Arguments:
        groups: what is given to `work`; the first ones are begun first.
        work: a function that travels to other processes.
        workers: how many there are, and where. A single one on this machine is this process.
        watch: called every fifth of a second meanwhile, in this process; between groups when it does the work.

    Raises:
        SettingError: when no cluster answers.
    """
    if workers.backend == "loky" and min(worker_count(workers), len(groups)) <= 1:
        yield from _here(groups, work, watch)
        return
    left = dict(enumerate(groups))
    with connected(workers) as most:
        while left:
            count = min(most, len(left))
            yield from _together(left, work, workers, count, watch)
            for number in list(left)[:count]:
                alone = {number: left.pop(number)}
                why = yield from _together(alone, work, workers, 1, watch)
                for group in alone.values():
                    yield GroupFailure(group, f"its process died: {why}")


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
    left: dict[int, T], work: Callable[[T, Place], None], workers: Workers, count: int,
    watch: Callable[[], None],
) -> Generator[GroupFailure[T], None, str | None]:  # fmt: skip
    """Do groups at the same time and take those that ended out of `left`; why the others did not."""
    here = workers.backend != "ray" and workers.address is None
    parent = os.getpid() if workers.backend == "loky" else None
    with TemporaryDirectory(prefix="vanishgrad-") as claims:
        crew = _Crew(parent, count, torch.cuda.device_count() if here else None, Path(claims))
        calls = [delayed(_at)(work, number, group, crew) for number, group in left.items()]
        pool = Parallel(max(count, LEAST), return_as="generator_unordered", batch_size=1, pre_dispatch=count)
        try:
            return (yield from _ended(left, _received(pool(calls)), watch))
        except BaseException:
            if workers.backend == "loky":
                get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=True)
            raise


def _ended(
    left: dict[int, T], received: SimpleQueue[tuple[int, str | None] | Exception | None],
    watch: Callable[[], None],
) -> Generator[GroupFailure[T], None, str | None]:  # fmt: skip
    """Take what has ended out of `left`, while looking on."""
    while True:
        try:
            one = received.get(timeout=WATCH)
        except Empty:
            watch()
            continue
        if not isinstance(one, tuple):
            return None if one is None else _told(one)
        group = left.pop(one[0])
        if one[1] is not None:
            yield GroupFailure(group, one[1])


def _received(
    found: Iterator[tuple[int, str | None]],
) -> SimpleQueue[tuple[int, str | None] | Exception | None]:
    """What a thread has got from the processes, to the end or to the error that ends all of them."""
    received: SimpleQueue[tuple[int, str | None] | Exception | None] = SimpleQueue()

    def wait() -> None:
        try:
            for one in found:
                received.put(one)
            received.put(None)
        except Exception as error:
            received.put(error)

    Thread(target=wait, daemon=True).start()
    return received


def _told(error: Exception) -> str:
    """An error on one line; joblib's are long and say at the end what happened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1]}" if lines else type(error).__name__


def _at(work: Callable[[T, Place], None], number: int, group: T, crew: _Crew) -> tuple[int, str | None]:
    """In another process: do a group; its number and error."""
    if crew.parent is not None:
        _end_with(crew.parent)
    try:
        with _place(crew) as place:
            work(group, place)
    except Exception as error:
        return number, _told(error)
    return number, None


@cache
def _end_with(parent: int) -> None:
    """End this process when its parent does, however that ends: no two may write to a run folder.

    Ctrl-C, which reaches all processes of a terminal, is left to the parent.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def wait() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH)
        os._exit(1)

    Thread(target=wait, daemon=True).start()


@contextmanager
def _place(crew: _Crew) -> Iterator[Place]:
    """A share of the machine: a GPU that no other process has, as long as there are enough."""
    if crew.gpus is None:
        yield Place("cuda:0" if torch.cuda.is_available() else None)
        return
    with _claimed(crew) as share:
        device = f"cuda:{share % crew.gpus}" if crew.gpus else None
        yield Place(device, max(1, cores() // crew.size))


@contextmanager
def _claimed(crew: _Crew) -> Iterator[int]:
    """A number below the crew's size that no other process has; a process that died may have kept its own."""
    for share in range(crew.size):
        claim = crew.claims / str(share)
        try:
            claim.touch(exist_ok=False)
        except FileExistsError:
            continue
        try:
            yield share
        finally:
            claim.unlink()
        return
    yield os.getpid() % crew.size
