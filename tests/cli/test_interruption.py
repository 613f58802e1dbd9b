"""Ctrl-C, `kill`, and a terminal that goes away."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from vanishgrad.engine.stack import Stack
from vanishgrad.interruption import ASKING

Vanishgrad = Callable[..., Any]

REPOSITORY = Path(__file__).parents[2]
PATIENCE = 60.0  # seconds


def started(folder: Path, *arguments: str, before: Callable[[], None] | None = None) -> subprocess.Popen[str]:
    """`vanishgrad train` in a process group of its own, as a terminal starts it."""
    return subprocess.Popen(
        [sys.executable, "-m", "vanishgrad", "train", "depth=2", "width=8", "epochs=100000", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=before,
    )


def wait_for_rows(folder: Path, pattern: str) -> Path:
    """The run folder, once a few steps are recorded."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        for table in folder.glob(f"{pattern}/metrics.csv"):
            if table.read_text().count("\n") > 3:
                return table.parent
        time.sleep(0.05)
    raise AssertionError("the run does not start")


@pytest.mark.parametrize("arguments, pattern", [((), "outputs/*"), (("-m", "seed=0,1"), "outputs/*/0")])
def test_an_interrupted_run_is_recorded_and_ends_with_130(
    tmp_path: Path, arguments: tuple[str, ...], pattern: str
) -> None:
    process = started(tmp_path, *arguments)
    run = wait_for_rows(tmp_path, pattern)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    record: dict[str, Any] = json.loads((run / "run.json").read_text())
    assert record["status"] == "interrupted"
    top = run if not arguments else run.parent
    where = top.relative_to(tmp_path)
    assert err.startswith(
        f"interrupted; what was measured so far is in {where}; go on with: vanishgrad train "
    )
    assert err.endswith(f" sweep.resume={where}\n" if arguments else f" resume={where}\n")
    assert (run / "metrics.csv").read_text().endswith("\n")


def test_a_run_that_was_killed_goes_on_from_its_checkpoint(tmp_path: Path, vanishgrad: Vanishgrad) -> None:
    setting = ["max_steps=2000", "save_every=20", "log_every=5", "optim=adam"]
    process = started(tmp_path, *setting, "hydra.run.dir=parts")
    until = time.monotonic() + PATIENCE
    while not (tmp_path / "parts/checkpoint.pt").exists() and time.monotonic() < until:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert json.loads((tmp_path / "parts/run.json").read_text())["status"] == "running"
    assert (
        vanishgrad("train", "depth=2", "width=8", "epochs=100000", *setting, "hydra.run.dir=whole").status
        == 0
    )
    done = vanishgrad("train", "resume=parts")
    assert (done.status, done.err) == (0, "")
    assert "completed after 2000 steps" in " ".join(done.out.split())
    tables = [tmp_path / folder / "gradients.csv" for folder in ("parts", "whole")]
    assert tables[0].read_bytes() == tables[1].read_bytes()
    again = vanishgrad("train", "resume=parts")
    assert (again.status, again.out) == (2, "")
    assert again.error == "resume=parts: the run is completed; there is nothing to go on with"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resume=nowhere"], "resume=nowhere: no run.json"),
        (["resume="], "resume=: must be the folder of a run"),
        (["resume=a", "depth=3"], "resume=a: goes on with the setting that the run has; leave out depth=3"),
        (["-m", "resume=a"], "resume=a: goes on with the setting that the run has; leave out -m"),
    ],
)
def test_what_cannot_be_resumed_gets_one_message(
    vanishgrad: Vanishgrad, arguments: list[str], message: str
) -> None:
    done = vanishgrad("train", *arguments)
    assert (done.status, done.out, done.error) == (2, "", message)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[signal.Signals]]:
    """The signal that comes in the middle of the fourth step; handlers are afterwards what they were."""
    numbers: list[signal.Signals] = []
    step_of = Stack.step

    def step(self: Stack, number: int, batch: Any) -> None:
        if number == 3 and numbers:
            os.kill(os.getpid(), numbers.pop())
        step_of(self, number, batch)

    monkeypatch.setattr(Stack, "step", step)
    before = {number: signal.getsignal(number) for number in ASKING}
    yield numbers
    for number, handler in before.items():
        signal.signal(number, handler)


ENDS = [
    (signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated"), (signal.SIGHUP, 129, "hung up"),
]  # fmt: skip
TINY = ("depth=1", "width=2", "max_steps=6", "data.train_size=256", "log_every=1")


@pytest.mark.parametrize(("number", "status", "word"), ENDS)
def test_a_signal_has_a_run_end_after_its_step(
    vanishgrad: Vanishgrad, tmp_path: Path, asked: list[signal.Signals], number: signal.Signals, status: int,
    word: str,
) -> None:  # fmt: skip
    asked.append(number)
    done = vanishgrad("train", *TINY, "hydra.run.dir=a run")
    where = "what was measured so far is in a run; go on with: vanishgrad train 'resume=a run'"
    assert (done.status, done.err) == (status, f"{word}; {where}\n")
    record = json.loads((tmp_path / "a run/run.json").read_text())
    assert (record["status"], record["steps"]) == ("interrupted", 4)
    assert vanishgrad("train", "resume=a run").status == 0
    assert vanishgrad("train", *TINY, "hydra.run.dir=whole").status == 0
    tables = [tmp_path / folder / "gradients.csv" for folder in ("a run", "whole")]
    assert tables[0].read_bytes() == tables[1].read_bytes()


@pytest.mark.parametrize(("number", "status", "word"), ENDS)
def test_so_does_a_sweep_and_a_run_that_goes_on(
    vanishgrad: Vanishgrad, tmp_path: Path, asked: list[signal.Signals], number: signal.Signals, status: int,
    word: str,
) -> None:  # fmt: skip
    sweep = ("-m", *TINY, "seed=0,1", "hydra.launcher.n_jobs=1", "hydra.sweep.dir=sweep")
    asked.append(number)
    done = vanishgrad("train", *sweep)
    on = shlex.join(["vanishgrad", "train", *sweep, "sweep.resume=sweep"])
    assert done.status == status
    assert done.err == f"{word}; what was measured so far is in sweep; go on with: {on}\n"
    states = [json.loads((tmp_path / f"sweep/{run}/run.json").read_text())["status"] for run in (0, 1)]
    assert states == ["interrupted", "interrupted"]
    assert vanishgrad(*shlex.split(on)[1:]).status == 0


def test_a_sweep_of_another_launcher_keeps_what_it_has(
    vanishgrad: Vanishgrad, tmp_path: Path, asked: list[signal.Signals]
) -> None:
    asked.append(signal.SIGTERM)
    done = vanishgrad("train", "-m", *TINY, "seed=0,1", "hydra/launcher=basic", "hydra.sweep.dir=sweep")
    assert (done.status, done.err) == (143, "terminated; what was measured so far is in sweep\n")
    assert json.loads((tmp_path / "sweep/0/run.json").read_text())["status"] == "interrupted"
    assert (tmp_path / "sweep/multirun.yaml").exists()
    assert vanishgrad("train", "resume=sweep/0").status == 0


def test_who_is_interrupted_before_anything_has_begun_leaves_nothing(
    vanishgrad: Vanishgrad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vanishgrad.cli.jobs.to_setting", stop)
    monkeypatch.setattr("vanishgrad.cli.jobs.check", stop)
    for command in ((), ("-m", "seed=0,1", "hydra.launcher.n_jobs=1")):
        done = vanishgrad("train", *TINY, *command)
        assert (done.status, done.err) == (130, "interrupted\n")
        assert not list(tmp_path.glob("outputs/*"))


def test_nohup_is_believed(tmp_path: Path) -> None:
    process = started(tmp_path, "max_steps=300", "hydra.run.dir=run", before=ignoring_hang_ups)
    run = wait_for_rows(tmp_path, "run")
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert json.loads((run / "run.json").read_text())["status"] == "completed"


def ignoring_hang_ups() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status", "word"), ENDS)
@pytest.mark.parametrize("to_all", [False, True])
def test_the_processes_of_a_sweep_end_with_it_and_say_nothing(
    tmp_path: Path, number: signal.Signals, status: int, word: str, to_all: bool
) -> None:
    """A terminal sends to all of its processes, `kill` to one, and a container to the first."""
    process = started(tmp_path, "-m", "seed=0,1", "act=relu,tanh", "hydra.sweep.dir=sweep")
    wait_for_rows(tmp_path, "sweep/0")
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) >= 2
    if to_all:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == status
    assert err.startswith(f"{word}; what was measured so far is in sweep; go on with: ")
    assert err.count("\n") == 1
    assert not psutil.wait_procs(family, timeout=PATIENCE)[1]
    states = {json.loads(path.read_text())["status"] for path in tmp_path.glob("sweep/*/run.json")}
    assert states == {"interrupted"}
