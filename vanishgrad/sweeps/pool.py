"""Groups of jobs on several processes."""

from __future__ import annotations

import logging
import socket
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, wait
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Generic, TypeVar

import torch

from vanishgrad.errors import SettingError, at_least, one_of, require
from vanishgrad.forks import cores
from vanishgrad.run import is_integer
from vanishgrad.sweeps.processes import end, executor

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
            yield GroupFailure(group, _error_line(error))
        watch()


def _together(
    left: deque[T], work: Callable[[T, Place], None], cluster: Cluster, count: int, watch: Callable[[], None]
) -> Generator[GroupFailure[T], None, list[T]]:
    """Do `count` groups at a time until none is left or a process died while others ran; the suspects."""
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
            elif (why := future.result() if died is None else _death_line(died)) is not None:
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
        return _error_line(error)
    return None


def _death(future: Future[str | None]) -> BaseException | None:
    """What a backend says when a process has died, or the cluster has gone."""
    return CancelledError("the cluster has dropped it") if future.cancelled() else future.exception()


def _death_line(death: BaseException) -> str:
    """The line that tells, of what may be a page."""
    lines = [line.strip() for line in str(death).splitlines() if line.strip()]
    line = next((line for line in lines if "exit code" in line), lines[0] if lines else repr(death))
    return f"its process died: {line}"


def _error_line(error: Exception) -> str:
    """The type of an error and the last line of what it says."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[-1]}" if lines else type(error).__name__


MODULES = {"loky": "joblib", "ray": "ray", "dask": "distributed"}  # what each backend needs
KNOCK = 10.0  # seconds in which a machine is to answer
PATIENCE = "10 minutes"  # for a Dask process that begins again: on busy cores importing torch takes a while

R = TypeVar("R")
Call = Callable[[], R]


@dataclass(frozen=True)
class Workers:
    """Where groups are trained.

    Arguments:
        count: processes; None for one per GPU, or per core where there is none.
        backend: of joblib: loky, ray or dask.
        address: of a running Ray or Dask cluster; None begins one on this machine.

    Raises:
        SettingError: for a backend that there is not or that is not installed, and for what does not fit it.
    """

    count: int | None = None
    backend: str = "loky"
    address: str | None = None

    def __post_init__(self) -> None:
        one_of("hydra.launcher.backend", self.backend, MODULES)
        require(
            find_spec(MODULES[self.backend]) is not None,
            f"hydra.launcher.backend={self.backend}: is not installed; "
            f"pip install 'vanishgrad[{self.backend}]'",
        )
        require(
            self.address is None or self.backend != "loky",
            f"hydra.launcher.address={self.address}: is for hydra.launcher.backend=ray or dask",
        )
        if self.count is not None:
            require(is_integer(self.count), f"hydra.launcher.n_jobs={self.count}: must be an integer or null")
            at_least("hydra.launcher.n_jobs", self.count, 1)


@dataclass(frozen=True)
class Cluster:
    """Processes that are ready for work.

    Arguments:
        count: how many calls they do at the same time.
        submit: has a call done in one of them. The death of a process is an exception of its future; a
            `BrokenExecutor` where the other processes have died with it.
        gpus: of this machine, to be shared out among them; None where each is shown its own.
    """

    count: int
    submit: Callable[[Call[str | None]], Future[str | None]]
    gpus: int | None


def worker_count(workers: Workers) -> int:
    """How many processes share the work; asks the cluster, where one has an address and no count is given.

    Raises:
        SettingError: when no cluster answers.
    """
    if workers.count is None and workers.address is not None:
        with connected(workers) as cluster:
            return cluster.count
    return workers.count or torch.cuda.device_count() or cores()


def connected(workers: Workers) -> AbstractContextManager[Cluster]:
    """The processes, as long as the context lasts; when an exception ends it they are ended at once.

    Raises:
        SettingError: when no cluster answers.
    """
    match workers.backend:
        case "ray":
            return _ray(workers)
        case "dask":
            return _dask(workers)
        case _:
            return _loky(workers)


@contextmanager
def _loky(workers: Workers) -> Iterator[Cluster]:
    count = worker_count(workers)
    threads = max(1, cores() // count)

    def submit(call: Call[str | None]) -> Future[str | None]:
        try:
            return executor(count, threads).submit(call)
        except BrokenExecutor as error:
            broken: Future[str | None] = Future()
            broken.set_exception(error)
            return broken

    try:
        yield Cluster(count, submit, torch.cuda.device_count())
    except BaseException:
        end()
        raise


@contextmanager
def _ray(workers: Workers) -> Iterator[Cluster]:
    import ray

    with ExitStack() as stack:
        with _answering(workers):
            _begin_ray(workers)
        stack.callback(ray.shutdown)
        resources = ray.cluster_resources()
        gpus = int(resources.get("GPU", 0))
        count = workers.count or gpus or int(resources["CPU"])
        does = ray.remote(num_cpus=1, num_gpus=min(1.0, gpus / count), max_retries=1)(_called)
        yield Cluster(count, lambda call: does.remote(call).future(), None)


def _begin_ray(workers: Workers) -> None:
    import ray

    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    if workers.address is not None:
        _knock(workers.address)
        ray.init(workers.address, **quiet)
    else:
        ray.init("local", num_cpus=worker_count(workers), include_dashboard=False, **quiet)


def _knock(address: str) -> None:
    """Ray would try for a quarter of an hour to reach a port where nobody listens.

    Raises:
        OSError: when nobody does.
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if port.isdecimal():  # not of `auto`
        socket.create_connection((host.strip("[]"), int(port)), KNOCK).close()


def _called(call: Call[R]) -> R:
    return call()


@contextmanager
def _dask(workers: Workers) -> Iterator[Cluster]:
    from distributed import Client

    with ExitStack() as stack:
        with _answering(workers):
            client = stack.enter_context(Client(workers.address or stack.enter_context(_new_dask(workers))))
        count = workers.count or sum(client.ncores().values())
        gpus = torch.cuda.device_count() if workers.address is None else None
        yield Cluster(count, client.get_executor(pure=False).submit, gpus)


@contextmanager
def _new_dask(workers: Workers) -> Iterator[object]:
    import dask
    from distributed import LocalCluster

    # A sweep bounds its memory itself; Dask would end a process for what is the others' to use.
    options = {"threads_per_worker": 1, "memory_limit": 0, "dashboard_address": ":0"}
    patient = dask.config.set({"distributed.deploy.lost-worker-timeout": PATIENCE})
    with patient, LocalCluster(worker_count(workers), silence_logs=logging.CRITICAL, **options) as cluster:
        yield cluster


@contextmanager
def _answering(workers: Workers) -> Iterator[None]:
    """Refuse the address of a cluster that cannot be reached."""
    try:
        yield
    except OSError as error:
        if workers.address is None:
            raise
        raise SettingError(
            f"hydra.launcher.address={workers.address}: no {workers.backend} cluster answers: {error}"
        ) from None
