"""One sweep on every kind of cluster and by every launcher: the same runs, to the same numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import pandas as pd
import pytest

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
SWEEP = (
    "depth=2",
    "width=4",
    "max_steps=3",
    "data.train_size=128",
    "dtype=float64",
    "act=relu,tanh",
    "seed=0,1",
)
DIVERGES = ("depth=2", "width=4", "max_steps=3", "data.train_size=128", "act=identity", "lr=0.1,1e30")
TABLES = ("gradients.csv", "metrics.csv")
OPTIONAL = {
    "ray": ("ray", "ray"),
    "dask": ("distributed", "distributed"),
    "joblib": ("hydra_plugins.hydra_joblib_launcher", "hydra-joblib-launcher"),
    "submitit_local": ("hydra_plugins.hydra_submitit_launcher", "hydra-submitit-launcher"),
}
HEADS = {
    "ray": """
import ray, sys
ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
""",
    "dask": """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
""",
}


def needing(*names: str) -> list[object]:
    """Launchers or backends, left out where what they need is not installed."""
    return [pytest.param(name, marks=_unless_there(*OPTIONAL[name])) for name in names]


def _unless_there(module: str, package: str) -> pytest.MarkDecorator:
    try:
        there = find_spec(module) is not None
    except ModuleNotFoundError:  # no plugin of Hydra's at all
        there = False
    return pytest.mark.skipif(not there, reason=f"{package} is not installed")


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """Of every process: this checkout, and a token for Ray, which keeps its clusters to those who have it."""
    paths = os.pathsep.join([str(REPOSITORY), *(path for path in sys.path if path)])
    ray = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": uuid4().hex, "RAY_USAGE_STATS_ENABLED": "0"}
    return os.environ | ray | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "COLUMNS": "100"}


def swept(folder: Path, environment: dict[str, str], *arguments: str, status: int = 0) -> Path:
    """The folder of a sweep, run as a command."""
    command = [sys.executable, "-m", "vanishgrad", "train", "-m", *arguments, f"hydra.sweep.dir={folder}"]
    done = subprocess.run(
        command, cwd=folder.parent, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == status, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Path:
    """The sweep as the default launcher does it."""
    return swept(tmp_path_factory.mktemp("reference") / "sweep", environment, *SWEEP)


@contextmanager
def running(backend: str, environment: dict[str, str]) -> Iterator[str]:
    """A cluster that somebody else has begun; its address."""
    head = subprocess.Popen(
        [sys.executable, "-c", HEADS[backend]], env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert head.stdin is not None
    assert head.stdout is not None
    try:
        yield head.stdout.readline().strip()
        assert head.poll() is None, "the cluster has ended with the sweep"
    finally:
        head.stdin.close()
        head.stdout.close()
        head.wait(60)


def assert_same(found: Path, expected: Path, *, to_the_digit: bool) -> None:
    """Two sweeps have the same runs with the same files, settings and numbers."""
    names = sorted(path.name for path in expected.iterdir() if path.is_dir())
    assert names == ["0", "1", "2", "3"]
    assert [path.name for path in sorted(found.iterdir()) if path.is_dir() and path.name[0] != "."] == names
    for name in names:
        assert _files(found / name) == _files(expected / name)
        mine, other = (json.loads((sweep / name / "run.json").read_text()) for sweep in (found, expected))
        for key in ("status", "steps", "seed", "effective", "choices"):
            assert mine[key] == other[key]
        for table in TABLES:
            _assert_same_table(found / name / table, expected / name / table, 0.0 if to_the_digit else 1e-6)
    summaries = [pd.read_csv(sweep / "sweep_summary.csv") for sweep in (found, expected)]
    pd.testing.assert_frame_equal(*summaries, rtol=1e-5)


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def _assert_same_table(found: Path, expected: Path, rtol: float) -> None:
    mine, other = (pd.read_csv(path).drop(columns="seconds", errors="ignore") for path in (found, expected))
    assert len(other) > 0
    pd.testing.assert_frame_equal(mine, other, rtol=rtol, atol=rtol * 1e-6)


@pytest.mark.parametrize("launcher", ["basic", *needing("joblib", "submitit_local")])
def test_another_launcher_trains_the_same_runs(
    tmp_path: Path, environment: dict[str, str], reference: Path, launcher: str
) -> None:
    found = swept(tmp_path / "sweep", environment, *SWEEP, f"hydra/launcher={launcher}")
    assert_same(found, reference, to_the_digit=False)


@pytest.mark.parametrize("launcher", needing("joblib", "submitit_local"))
def test_a_run_that_diverges_is_no_failure_under_another_launcher(
    tmp_path: Path, environment: dict[str, str], launcher: str
) -> None:
    found = swept(tmp_path / "sweep", environment, *DIVERGES, f"hydra/launcher={launcher}")
    assert _statuses(found) == ["completed", "diverged"]


def _statuses(sweep: Path) -> list[str]:
    return [json.loads(path.read_text())["status"] for path in sorted(sweep.glob("*/run.json"))]


def assert_recorded(sweep: Path) -> None:
    """The record of the sweep has every run once."""
    lines = [json.loads(line) for line in (sweep / "runs.jsonl").read_text().splitlines()]
    assert sorted((line["number"], line["status"]) for line in lines) == [(n, "completed") for n in range(4)]


@pytest.mark.parametrize("backend", needing("ray", "dask"))
def test_a_cluster_on_this_machine_trains_the_same_runs(
    tmp_path: Path, environment: dict[str, str], reference: Path, backend: str
) -> None:
    arguments = [f"hydra.launcher.backend={backend}", "hydra.launcher.n_jobs=2"]
    found = swept(tmp_path / "sweep", environment, *SWEEP, *arguments)
    assert_recorded(found)
    assert_same(found, reference, to_the_digit=True)


@pytest.mark.parametrize("backend", needing("ray", "dask"))
def test_a_running_cluster_trains_the_same_runs_and_goes_on_with_what_is_left(
    tmp_path: Path, environment: dict[str, str], reference: Path, backend: str
) -> None:
    with running(backend, environment) as address:
        where = [f"hydra.launcher.backend={backend}", f"hydra.launcher.address={address}"]
        found = swept(tmp_path / "sweep", environment, *SWEEP, *where)
        assert_recorded(found)
        assert_same(found, reference, to_the_digit=True)
        kept = _without_the_last(found)
        swept(found, environment, *SWEEP, *where, f"sweep.resume={found}")
    assert_recorded(found)
    assert_same(found, reference, to_the_digit=False)  # the last one had no company now
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def _without_the_last(sweep: Path) -> dict[Path, int]:
    """Forget how the last run ended, as a kill would; when the others' files were written."""
    lines = (sweep / "runs.jsonl").read_text().splitlines(keepends=True)
    (sweep / "runs.jsonl").write_text("".join(line for line in lines if json.loads(line)["number"] != 3))
    record = json.loads((sweep / "3/run.json").read_text())
    (sweep / "3/run.json").write_text(json.dumps(record | {"status": "running"}))
    files: Sequence[Path] = [sweep / name / table for name in "012" for table in (*TABLES, "run.json")]
    return {path: path.stat().st_mtime_ns for path in files}
