"""Groups on several processes, and what is left when some of them die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from joblib.externals.loky import get_reusable_executor

from vanishgrad.errors import SettingError
from vanishgrad.sweeps.pool import GroupFailure, Place, Workers, each, worker_count

CLUSTERS = [
    pytest.param(name, marks=pytest.mark.skipif(find_spec(module) is None, reason=f"{name} is not installed"))
    for name, module in (("ray", "ray"), ("dask", "distributed"))
]


@pytest.fixture(scope="module", autouse=True)
def _no_process_left() -> Iterator[None]:
    yield
    get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=True)


def noting(folder: Path) -> Callable[[str, Place], None]:
    """Work that leaves a line with its process; a group is named after what it does."""

    # A closure: it travels by value, so that the processes need not find this file.
    def work(group: str, place: Place) -> None:
        with (folder / group).open("a") as file:
            file.write(f"{os.getpid()} {place.device} {time.time()}\n")
        if group.startswith("slow"):
            time.sleep(0.6)
        if group.startswith("bad"):
            raise ValueError("a page of text\nthat ends so")
        if group.startswith("deadly"):
            os.kill(os.getpid(), signal.SIGKILL)

    return work


def done(folder: Path) -> dict[str, int]:
    """How many times each group was begun."""
    return {path.name: len(path.read_text().splitlines()) for path in folder.iterdir()}


def processes(folder: Path) -> set[int]:
    return {int(line.split()[0]) for path in folder.iterdir() for line in path.read_text().splitlines()}


def nothing() -> None:
    pass


@pytest.mark.parametrize("workers, groups", [(Workers(1), ["a", "bad", "c"]), (Workers(4), ["bad"])])
def test_single_worker_or_group_stays_in_this_process(
    tmp_path: Path, workers: Workers, groups: list[str]
) -> None:
    looks: list[int] = []

    failures = list(each(groups, noting(tmp_path), workers, watch=lambda: looks.append(1)))

    assert failures == [GroupFailure("bad", "ValueError: that ends so")]
    assert processes(tmp_path) == {os.getpid()}
    assert len(looks) == len(groups)


def test_groups_are_done_once_by_other_processes(tmp_path: Path) -> None:
    groups = ["slow1", "slow2", "bad", "a", "b"]
    looks: list[float] = []

    failures = list(each(groups, noting(tmp_path), Workers(2), watch=lambda: looks.append(time.time())))

    assert failures == [GroupFailure("bad", "ValueError: that ends so")]
    assert done(tmp_path) == dict.fromkeys(groups, 1)
    assert len(processes(tmp_path)) == 2
    assert os.getpid() not in processes(tmp_path)
    assert len(looks) >= 3


def test_only_the_deadly_group_fails(tmp_path: Path) -> None:
    groups = ["slow1", "deadly", "a", "b"]

    failures = list(each(groups, noting(tmp_path), Workers(2), nothing))

    assert [failure.group for failure in failures] == ["deadly"]
    assert "SIGKILL" in failures[0].error
    assert "\n" not in failures[0].error
    begun = done(tmp_path)
    assert begun.keys() == set(groups)
    assert begun["deadly"] == 2
    assert begun["a"] == begun["b"] == 1


def test_what_the_watcher_raises_ends_everything(tmp_path: Path) -> None:
    def work(group: str, place: Place) -> None:
        (tmp_path / str(os.getpid())).touch()
        time.sleep(60)

    def watch() -> None:
        if len(list(tmp_path.iterdir())) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(each("abcd", work, Workers(2), watch))

    assert not any(_alive(int(path.name)) for path in tmp_path.iterdir())


def test_each_process_has_a_gpu_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert worker_count(Workers()) == 2
    groups = [f"slow{number}" for number in range(4)]

    assert not list(each(groups, noting(tmp_path), Workers(), nothing))

    intervals: dict[str, list[float]] = {"cuda:0": [], "cuda:1": []}
    for path in tmp_path.iterdir():
        _, device, began = path.read_text().split()
        intervals[device].append(float(began))
    for begins in intervals.values():
        first, second = sorted(begins)
        assert second - first >= 0.6  # seconds that a group takes


@pytest.mark.parametrize(
    "options, message",
    [
        ({"backend": "threads"}, r"hydra.launcher.backend=threads: choose one of loky, ray, dask"),
        ({"count": 0}, r"hydra.launcher.n_jobs=0: must be at least 1"),
        ({"address": "tcp://there:1"}, r"hydra.launcher.address=tcp://there:1: is for .*ray or dask"),
    ],
)
def test_workers_that_cannot_be_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        Workers(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("backend", ["ray", "dask"])
def test_missing_backend_names_its_extra(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vanishgrad.sweeps.pool.find_spec", lambda module: None)

    with pytest.raises(SettingError, match=rf"pip install 'vanishgrad\[{backend}\]'"):
        Workers(backend=backend)


SWEEP = """
import os, time
from pathlib import Path
from vanishgrad.sweeps.pool import Workers, each

def run():
    def work(group, place):
        Path("pids", str(os.getpid())).touch()
        time.sleep(60)
    for _ in each("abcd", work, Workers(2, {backend!r}), watch=lambda: None):
        pass

if __name__ == "__main__":
    run()
"""


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_this_one(tmp_path: Path, stop: signal.Signals) -> None:
    _stopped(tmp_path, "loky", stop)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("backend", CLUSTERS)
def test_no_process_of_a_local_cluster_outlives_this_one(
    tmp_path: Path, backend: str, stop: signal.Signals
) -> None:
    _stopped(tmp_path, backend, stop)


def _stopped(folder: Path, backend: str, stop: signal.Signals) -> None:
    """Stop a process with two at work for it; they are to be gone within seconds."""
    (folder / "pids").mkdir()
    script = folder / "sweep.py"
    script.write_text(SWEEP.format(backend=backend))
    paths = os.pathsep.join(path for path in sys.path if path)
    sweep = subprocess.Popen(
        [sys.executable, script], cwd=folder, env=os.environ | {"PYTHONPATH": paths}, start_new_session=True,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    _until(lambda: len(list((folder / "pids").iterdir())) == 2, 60)
    pids = [int(path.name) for path in (folder / "pids").iterdir()]

    if stop is signal.SIGINT:
        os.killpg(sweep.pid, stop)  # as Ctrl-C does
    else:
        sweep.kill()
    _, told = sweep.communicate(timeout=20)

    assert sweep.returncode == -stop, told
    if stop is signal.SIGINT and backend == "loky":
        assert not any(map(_alive, pids))
        assert told.count("Traceback") == 1, told
    _until(lambda: not any(map(_alive, pids)), 20)


def _until(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    """Whether a process works; a zombie, whom nobody has asked for its exit status yet, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # what the clusters' own libraries warn about
@pytest.mark.parametrize("backend", CLUSTERS)
def test_groups_on_a_local_cluster(tmp_path: Path, backend: str) -> None:
    groups = ["slow1", "bad", "deadly", "a", "b"]
    looks: list[int] = []

    failures = list(each(groups, noting(tmp_path), Workers(2, backend), watch=lambda: looks.append(1)))

    found = {failure.group: failure.error for failure in failures}
    assert found.keys() == {"bad", "deadly"}
    assert found["bad"] == "ValueError: that ends so"
    assert found["deadly"].startswith("its process died: ")
    assert done(tmp_path).keys() == set(groups)
    assert os.getpid() not in processes(tmp_path)
    assert len(looks) >= 3


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.skipif(find_spec("distributed") is None, reason="dask is not installed")
def test_running_cluster_is_asked_how_many_it_has_and_goes_on_after_the_sweep(tmp_path: Path) -> None:
    from distributed import LocalCluster

    groups = ["a", "b", "c", "d"]
    with LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=None) as cluster:
        workers = Workers(backend="dask", address=cluster.scheduler_address)
        assert worker_count(workers) == 3
        assert not list(each(groups, noting(tmp_path), workers, nothing))
        assert worker_count(workers) == 3
    assert done(tmp_path) == dict.fromkeys(groups, 1)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.skipif(find_spec("distributed") is None, reason="dask is not installed")
def test_dask_process_that_takes_its_time_to_begin_again_is_waited_for(tmp_path: Path) -> None:
    import dask

    end = time.monotonic() + 120

    def watch() -> None:
        assert time.monotonic() < end, "nobody is left to do the rest"

    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1 ms"}):
        failures = list(each(["deadly", "a"], noting(tmp_path), Workers(1, "dask"), watch))

    assert [failure.group for failure in failures] == ["deadly"]
    assert done(tmp_path)["a"] == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("backend", CLUSTERS)
def test_address_where_no_cluster_answers(backend: str) -> None:
    address = {"ray": "127.0.0.1:9", "dask": "tcp://127.0.0.1:9"}[backend]

    with pytest.raises(
        SettingError, match=rf"hydra.launcher.address={address}: no {backend} cluster answers"
    ):
        worker_count(Workers(backend=backend, address=address))
