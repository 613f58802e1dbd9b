"""Where the processes of a sweep run: on this machine, or on a Ray or Dask cluster."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TypeVar

import torch

from vanishgrad.errors import SettingError, at_least, one_of, require
from vanishgrad.sweep.processes import end, executor
from vanishgrad.training.machine import cores

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
            at_least("hydra.launcher.n_jobs", self.count, 1)


@dataclass(frozen=True)
class Cluster:
    """Processes that are there.

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
        there = ray.cluster_resources()
        gpus = int(there.get("GPU", 0))
        count = workers.count or gpus or int(there["CPU"])
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
