"""Whatever disturbs a sweep at any moment loses nothing: gone on with, it ends as an undisturbed one."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from vanishgrad.folders.lock import LOCK_FILE

REPOSITORY = Path(__file__).parents[2]
PATIENCE = 120.0  # seconds
TIMES_EACH = {"killed": 20, "terminated": 5, "pipe closed": 5, "disk full": 5}
SEED = int(os.environ.get("VANISHGRAD_DISTURBANCE", "0"))  # another one disturbs at other moments
ROOM = 64 * 1024 * 1024  # bytes of the disk that becomes full
# Two structures of four runs; with a learning rate of 1e200 relu diverges at once.
SWEEP = (
    "-m", "act=relu,tanh", "seed=0,1", "lr=0.1,1e200", "depth=2", "width=8", "batch_size=32", "max_steps=600",
    "epochs=1000", "log_every=10", "eval_every=100", "save_every=150", "snapshots=2", "data.train_size=128",
    "dtype=float64", "hydra.launcher.n_jobs=2",
)  # fmt: skip
# A stack of four and the two of it that were left to do after a kill multiply batches of matrices of
# another size, whose sums may be in another order: rounding, of 2e-16, that training makes larger.
CLOSE = 1e-7
TIMES = {"seconds", "created"}


def log_of(outputs: Path) -> Path:
    """What a sweep has said, not on its own disk, which may be full."""
    return outputs.parent.parent / f"{outputs.parent.name}.log"


def started(outputs: Path, *arguments: str, piped: bool = False) -> subprocess.Popen[bytes]:
    """`vanishgrad train` in a process group of its own."""
    with open(log_of(outputs), "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "vanishgrad", "train", *arguments, f"hydra.sweep.dir={outputs}"],
            env=os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE if piped else log, stderr=log,
            start_new_session=True,
        )  # fmt: skip


def begun(folder: Path, *, piped: bool = False, retry: bool = False) -> subprocess.Popen[bytes]:
    """Begin a sweep, or go on with it; one that had not come to its folder is begun."""
    on = [f"sweep.resume={folder}", *(["sweep.retry=failed"] if retry else [])] if folder.exists() else []
    return started(folder, *SWEEP, *on, piped=piped)


def finished(folder: Path, *, retry: bool = False) -> float:
    """Complete a sweep; the seconds that it took."""
    begin = time.monotonic()
    assert begun(folder, retry=retry).wait(PATIENCE) == 0, log_of(folder).read_text()
    return time.monotonic() - begin


def kill(process: subprocess.Popen[bytes], whole: bool) -> None:
    """Kill the main process, or it and all that it has started."""
    if whole and process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait(PATIENCE)


def lines(folder: Path) -> list[dict[str, Any]]:
    path = folder / "runs.jsonl"
    whole = path.read_text().rpartition("\n")[0] if path.exists() else ""
    return [json.loads(line) for line in whole.splitlines() if line.endswith("}")]


def ended(folder: Path) -> dict[int, dict[str, Any]]:
    """The last line of each run."""
    last = {line["number"]: line for line in lines(folder)}
    return {number: line for number, line in last.items() if line["status"] != "interrupted"}


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def assert_close(mine: Any, theirs: Any, where: str) -> None:
    """Equal, numbers up to rounding, whatever they are in."""
    if isinstance(mine, dict) and isinstance(theirs, dict):
        assert list(mine) == list(theirs), where
        for key in mine.keys() - TIMES:
            assert_close(mine[key], theirs[key], f"{where} {key}")
    elif isinstance(mine, (list, tuple)):
        assert len(mine) == len(theirs), where
        for number, pair in enumerate(zip(mine, theirs, strict=True)):
            assert_close(*pair, f"{where} {number}")
    elif isinstance(mine, torch.Tensor):
        torch.testing.assert_close(mine, theirs, rtol=CLOSE, atol=CLOSE, equal_nan=True, msg=where)
    elif isinstance(mine, float):
        assert mine == pytest.approx(theirs, rel=CLOSE, abs=1e-12, nan_ok=True), where
    else:
        assert mine == theirs, where


def table(path: Path) -> list[dict[str, Any]]:
    with open(path, newline="") as file:
        return [{key: number(text) for key, text in row.items()} for row in csv.DictReader(file)]


def number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def read(path: Path) -> Any:
    """What is in a file, without where the sweep is and how it was typed."""
    match path.suffix:
        case ".csv":
            return table(path)
        case ".pt":
            return torch.load(path, weights_only=True)
        case ".json":
            found = json.loads(path.read_text())
            if path.name == "sweep.json":
                found["overrides"] = [text for text in found["overrides"] if "sweep.dir=" not in text]
            return found
        case ".yaml":
            return None if path.name in ("hydra.yaml", "multirun.yaml") else yaml.safe_load(path.read_text())
        case _:
            return path.read_bytes()


def assert_equal(folder: Path, undisturbed: Path) -> None:
    """All files of a sweep that was killed and completed are those of one that was not."""
    mine, theirs = contents(folder), contents(undisturbed)
    assert mine.keys() == theirs.keys()
    for name in mine.keys() - {"runs.jsonl"}:
        if mine[name] != theirs[name]:
            assert_close(read(folder / name), read(undisturbed / name), f"{folder.name}/{name}")
    found, expected = ended(folder), ended(undisturbed)
    assert_close(
        {n: found[n] for n in sorted(found)}, {n: expected[n] for n in sorted(expected)}, folder.name
    )
    again = ("interrupted", "failed")  # those are done once more
    per_run = Counter(line["number"] for line in lines(folder) if line["status"] not in again)
    assert set(per_run.values()) == {1}


def folders_of_ended(folder: Path) -> dict[int, dict[str, bytes]]:
    """The files of every run that has ended; a kill leaves its lock if it comes with the end."""
    files = {
        number: contents(folder / str(number))
        for number, line in ended(folder).items()
        if line["status"] != "failed"
    }
    return {number: {name: one[name] for name in one if name != LOCK_FILE} for number, one in files.items()}


def assert_kept(folder: Path, done: dict[int, dict[str, bytes]]) -> None:
    """The runs that had ended were not touched."""
    for number, files in done.items():
        assert contents(folder / str(number)) == files, number


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A sweep that nobody kills, and the seconds that it took."""
    folder = tmp_path_factory.mktemp("undisturbed") / "disk" / "sweep"
    folder.parent.mkdir()
    return folder, finished(folder)


def wait_for(path: Path) -> None:
    until = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < until, path
        time.sleep(0.01)


@pytest.mark.parametrize("whole", [True, False], ids=["the group", "the main process"])
def test_a_sweep_killed_in_training_is_completed(
    disk: Path, undisturbed: tuple[Path, float], whole: bool
) -> None:
    folder = disk / "sweep"
    process = begun(folder)
    wait_for(folder / "runs.jsonl")  # the diverging ones end first
    kill(process, whole)
    done = folders_of_ended(folder)
    assert 0 < len(done) < 8
    finished(folder)
    assert_kept(folder, done)
    assert_equal(folder, undisturbed[0])


def terminate(process: subprocess.Popen[bytes], folder: Path) -> None:
    process.terminate()
    assert process.wait(PATIENCE) in (143, -signal.SIGTERM, 0)


def close_pipe(process: subprocess.Popen[bytes], folder: Path) -> None:
    """The reader goes away; the work is done all the same."""
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(PATIENCE) == 0, log_of(folder).read_text()


def fill_disk(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Leave no room, until the sweep has ended with this."""
    ballast = folder.parent / "ballast"
    with open(ballast, "wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(ROOM))
    assert process.wait(PATIENCE) in (0, 1, 2), log_of(folder).read_text()
    records = [json.loads(path.read_text()) for path in folder.glob("*/run.json")]
    assert {record["status"] for record in records} <= {"completed", "diverged", "failed"}
    assert all("No space left" in record["error"] for record in records if record["status"] == "failed")
    assert [path for path in folder.rglob(".*") if path.is_file()] == []
    assert all(path.read_bytes()[-1:] in (b"", b"\n") for path in folder.rglob("*.csv"))
    ballast.unlink()


@pytest.fixture
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder; of a disk that is to become full a small file system of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    if "disk full" not in request.node.name:
        yield place
        return
    mount = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "none", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "way, number", [(way, number) for way, times in TIMES_EACH.items() for number in range(times)]
)
def test_a_sweep_disturbed_at_any_moment_is_completed(
    disk: Path, undisturbed: tuple[Path, float], way: str, number: int
) -> None:
    """One in each twentieth, or fifth, of its life."""
    whole, life = undisturbed
    moment = life * (number + random.Random(f"{SEED} {way} {number}").random()) / TIMES_EACH[way]
    folder = disk / "sweep"
    process = begun(folder, piped=way == "pipe closed")
    time.sleep(moment)
    match way:
        case "killed":
            kill(process, number % 2 == 0)
        case "terminated":
            terminate(process, folder)
        case "pipe closed":
            close_pipe(process, folder)
        case _:
            fill_disk(process, folder)
    done = folders_of_ended(folder)
    finished(folder, retry=way == "disk full")
    assert_kept(folder, done)
    assert_equal(folder, whole)
    assert "Traceback" not in log_of(folder).read_text()
