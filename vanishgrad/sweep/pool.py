"""Groups of jobs on several processes: of this machine, or of a Ray or Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Generic, TypeVar

import torch
from joblib import Parallel, delayed, parallel_config

from vanishgrad.errors import SettingError, at_least, one_of
from vanishgrad.training.machine import cores

BACKENDS = ("loky", "ray", "dask")
WATCH = 0.2  # seconds between looks at what goes on

T = TypeVar("T")


@dataclass(frozen=True)
class Workers:
    """Where groups are trained.

    Arguments:
        count: processes; None for one per GPU, or per core where there is none.
        backend: of joblib: loky, ray or dask.
        address: of a running cluster; None begins one on this machine.
    """

    count: int | None = None
    backend: str = "loky"
    address: str | None = None

    def __post_init__(self) -> None:
        one_of("hydra.launcher.backend", self.backend, BACKENDS)
        if self.count is not None:
            at_least("hydra.launcher.n_jobs", self.count, 1)


@dataclass(frozen=True)
class Place:
    """Where a group is trained: a GPU, or None for what each run's setting says."""

    device: str | None = None


@dataclass(frozen=True)
class GroupFailure(Generic[T]):
    """A group whose process died, or ended with an error."""

    group: T
    error: str


def worker_count(workers: Workers) -> int:
    """How many processes share the work."""
    return workers.count or torch.cuda.device_count() or cores()


def each(
    groups: Sequence[T], work: Callable[[T, Place], None], workers: Workers, watch: Callable[[], None]
) -> Iterator[GroupFailure[T]]:
    """Do `work` for every group; what failed, as it does.

    A process that dies takes the groups of other processes with it, which are then done one by one.

    Arguments:
        groups: what is given to `work`; the first ones are begun first.
        work: a function that travels to other processes.
        workers: how many there are, and where.
        watch: called every fifth of a second meanwhile; what it raises ends everything.
    """
    count = min(worker_count(workers), len(groups))
    if count <= 1 and workers.backend == "loky":
        yield from _here(groups, work, watch)
        return
    done: set[int] = set()
    with _backend(workers):
        yield from _together(list(enumerate(groups)), work, count, watch, done)
        for index, group in enumerate(groups):
            if index not in done:
                yield from _together([(index, group)], work, 1, watch, done)
                if index not in done:
                    yield GroupFailure(group, "its process died")


def _here(
    groups: Sequence[T], work: Callable[[T, Place], None], watch: Callable[[], None]
) -> Iterator[GroupFailure[T]]:
    """In this process, one after the other."""
    for group in groups:
        try:
            work(group, Place())
        except Exception as error:
            yield GroupFailure(group, _told(error))
        watch()


def _together(
    groups: Sequence[tuple[int, T]], work: Callable[[T, Place], None], count: int,
    watch: Callable[[], None], done: set[int],
) -> Iterator[GroupFailure[T]]:  # fmt: skip
    """Groups at the same time; those that have ended are noted in `done`."""
    known = dict(groups)
    for index, error in _watched(groups, work, count, watch):
        done.add(index)
        if error is not None:
            yield GroupFailure(known[index], error)


def _watched(
    groups: Sequence[tuple[int, T]], work: Callable[[T, Place], None], count: int, watch: Callable[[], None]
) -> Iterator[tuple[int, str | None]]:
    """What ends, while this thread looks on and another waits for the processes."""
    ended: SimpleQueue[tuple[int, str | None] | None] = SimpleQueue()
    pool = Parallel(n_jobs=count, return_as="generator_unordered", batch_size=1, pre_dispatch="all")
    calls = [delayed(_at)(work, number, group, count) for number, group in groups]
    found = pool(calls)

    def wait() -> None:
        try:
            for one in found:
                ended.put(one)
        except Exception:  # a process died; its groups and those that waited have not ended
            pass
        ended.put(None)

    Thread(target=wait, daemon=True).start()
    try:
        while True:
            try:
                one = ended.get(timeout=WATCH)
            except Empty:
                watch()
                continue
            if one is None:
                return
            yield one
    except BaseException:
        _stop()
        raise


def _stop() -> None:
    """End the processes of this machine at once."""
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor().shutdown(wait=False, kill_workers=True)


def _at(work: Callable[[T, Place], None], number: int, group: T, count: int) -> tuple[int, str | None]:
    """In a process: do a group on a GPU of its own, where there are any."""
    gpus = torch.cuda.device_count()
    place = Place(f"cuda:{number % gpus}" if gpus else None)
    try:
        work(group, place)
    except Exception as error:
        return number, _told(error)
    return number, None


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _backend(workers: Workers) -> AbstractContextManager[Any]:
    """joblib's own way to the processes."""
    stack = ExitStack()
    try:
        match workers.backend:
            case "ray":
                import ray
                from ray.util.joblib import register_ray

                if not ray.is_initialized():
                    ray.init(address=workers.address, num_cpus=None if workers.address else workers.count)
                    stack.callback(ray.shutdown)
                register_ray()
            case "dask":
                from distributed import Client

                if workers.address is None:
                    stack.enter_context(Client(n_workers=worker_count(workers), threads_per_worker=1))
                else:
                    stack.enter_context(Client(workers.address))
    except ImportError:
        backend = workers.backend
        raise SettingError(
            f"hydra.launcher.backend={backend}: is not installed; pip install 'vanishgrad[{backend}]'"
        ) from None
    stack.enter_context(parallel_config(workers.backend))
    return stack
