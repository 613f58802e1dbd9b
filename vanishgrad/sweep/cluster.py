"""Where the processes of a sweep run: on this machine, or on a Ray or Dask cluster."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec

import torch
from joblib import parallel_config

from vanishgrad.errors import SettingError, at_least, one_of, require
from vanishgrad.training.machine import cores

MODULES = {"loky": "joblib", "ray": "ray", "dask": "distributed"}  # what each backend needs
LEAST = 2  # processes of a cluster; with a single one joblib would use this process


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


def worker_count(workers: Workers) -> int:
    """How many processes share the work; asks the cluster, where one has an address and no count is given.

    Raises:
        SettingError: when no cluster answers.
    """
    if workers.count is None and workers.address is not None:
        with connected(workers) as count:
            return count
    return workers.count or torch.cuda.device_count() or cores()


def connected(workers: Workers) -> AbstractContextManager[int]:
    """joblib works on `workers` inside; gives how many there are."""
    match workers.backend:
        case "ray":
            return _ray(workers)
        case "dask":
            return _dask(workers)
        case _:
            return _loky(workers)


@contextmanager
def _loky(workers: Workers) -> Iterator[int]:
    with parallel_config("loky"):
        yield worker_count(workers)


@contextmanager
def _ray(workers: Workers) -> Iterator[int]:
    import ray
    from ray.util.joblib.ray_backend import RayBackend

    with ExitStack() as stack:
        with _answering(workers):
            _begin_ray(workers)
        stack.callback(ray.shutdown)
        there: Mapping[str, float] = ray.cluster_resources()
        cpus, gpus = int(there.get("CPU", 0)), int(there.get("GPU", 0))
        count = workers.count or gpus or cpus
        least = max(count, LEAST)
        require(least <= cpus, f"hydra.launcher.n_jobs={count}: needs {least} CPUs, the cluster has {cpus}")
        backend = RayBackend(ray_remote_args={"num_gpus": min(1.0, gpus / count)})
        backend.supports_return_generator = True  # it does not say so, and does
        stack.enter_context(parallel_config(backend))
        yield count


def _begin_ray(workers: Workers) -> None:
    import ray

    if workers.address is not None:
        ray.init(workers.address, logging_level=logging.ERROR, log_to_driver=False)
    else:
        cpus = max(worker_count(workers), LEAST)
        ray.init(
            "local", num_cpus=cpus, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False
        )


@contextmanager
def _dask(workers: Workers) -> Iterator[int]:
    from distributed import Client, LocalCluster

    with ExitStack() as stack:
        with _answering(workers):
            place = workers.address or stack.enter_context(
                LocalCluster(
                    n_workers=worker_count(workers), threads_per_worker=1, dashboard_address=None,
                    silence_logs=logging.ERROR,
                )
            )  # fmt: skip
            client = stack.enter_context(Client(place))
        stack.enter_context(parallel_config("dask"))
        yield workers.count or sum(client.ncores().values())


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
