"""The life of a run: refusals, checkpoints, snapshots, interruptions, kills, threads and devices."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from vanishgrad.choices.activation import Sigmoid
from vanishgrad.choices.data import Digits, load
from vanishgrad.choices.normalization import BatchNorm
from vanishgrad.choices.optimizer import Adam
from vanishgrad.choices.regularization import Dropout
from vanishgrad.engine import Progress, Provenance, train
from vanishgrad.errors import SettingError
from vanishgrad.records import read_gradients, read_metrics, read_run
from vanishgrad.run import Run

RUN_FIELDS = {
    "schema_version", "status", "choices", "effective", "config", "overrides", "seed", "parameters", "steps",
    "seconds", "metrics", "diverged_at", "error", "versions", "device",
}  # fmt: skip


def strictly(folder: Path) -> dict[str, Any]:
    """run.json, refused when it holds NaN or Infinity, which are no JSON."""
    record: dict[str, Any] = json.loads((folder / "run.json").read_text(), parse_constant=pytest.fail)
    return record


def complete_rows(folder: Path, layers: int) -> list[int]:
    """The steps in gradients.csv, once it is clear that each has a whole row for every layer."""
    content = (folder / "gradients.csv").read_text()
    assert content.endswith("\n")
    rows = [line.split(",") for line in content.splitlines()[1:]]
    assert {len(row) for row in rows} == {14}
    assert [row[2] for row in rows] == [str(layer) for layer in range(1, layers + 1)] * (len(rows) // layers)
    assert all(line.count(",") == 10 for line in (folder / "metrics.csv").read_text().splitlines())
    return [int(row[0]) for row in rows[::layers]]


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"batch_size": 71}, ["batch_size=71", "70"]),
        ({"batch_size": 10**9}, ["batch_size"]),
        ({"batch_size": "full", "data": Digits(train_size=1), "norm": BatchNorm()}, ["batch", "norm"]),
    ],
    ids=["more than there are", "many more", "a full batch of one"],
)
def test_a_run_that_cannot_be_is_refused_before_a_folder_is_made(
    changes: dict[str, Any], words: list[str], small: Run, tmp_path: Path
) -> None:
    with pytest.raises(SettingError) as refusal:
        train(replace(small, **changes), tmp_path / "run")
    assert all(word in str(refusal.value) for word in words)
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has what the test needs to be absent")
def test_a_device_that_is_not_there_is_refused(small: Run, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"device=cuda.*not on this machine.*cpu"):
        train(replace(small, device="cuda"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_more_memory_than_the_machine_has_is_refused(small: Run, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="GiB"):
        train(replace(small, width=3_000_000), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_run_json_has_every_field(small: Run, tmp_path: Path) -> None:
    given = Provenance({"act": {"name": "relu"}}, {"depth": 2}, ["depth=2"])
    result = train(small, tmp_path, provenance=given)
    record = strictly(tmp_path)
    assert set(record) >= RUN_FIELDS
    assert (record["status"], record["steps"], record["seed"]) == ("completed", 6, 0)
    assert (record["choices"], record["config"], record["overrides"]) == (
        given.choices, given.config, given.overrides,
    )  # fmt: skip
    assert record["effective"]["lr"] == 0.1
    assert record["effective"]["loss"] == {"name": "cross_entropy"}
    assert record["parameters"] == (64 * 8 + 8) + (8 * 8 + 8) + (8 * 10 + 10)
    assert record["metrics"] == {"final": result.final, "best": result.best}
    assert record["seconds"] == result.seconds > 0
    assert record["device"] == "cpu"
    assert {"python", "torch", "vanishgrad"} <= set(record["versions"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint.pt", "diagnosis.json", "gradients.csv", "metrics.csv", "run.json", "theory.json",
    ]  # fmt: skip


def test_the_record_says_running_while_the_run_goes_on_and_rows_are_there_already(
    small: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vanishgrad.engine.session.WAIT", 0.0)
    found = []

    def look(progress: Progress) -> None:
        found.append((strictly(tmp_path)["status"], complete_rows(tmp_path, 3)[-1]))

    train(replace(small, log_every=1), tmp_path, observe=look)
    assert found == [("running", step) for step in range(7)]


def raising(error: BaseException) -> Callable[[Progress], None]:
    def observe(progress: Progress) -> None:
        if progress.step == 3:
            raise error

    return observe


@pytest.mark.parametrize(
    "error, status",
    [(KeyboardInterrupt(), "interrupted"), (RuntimeError("boom"), "failed")],
    ids=["^C", "error"],
)
def test_a_run_that_is_stopped_says_so_and_keeps_complete_rows(
    error: BaseException, status: str, small: Run, tmp_path: Path
) -> None:
    with pytest.raises(type(error)):
        train(replace(small, log_every=1), tmp_path, observe=raising(error))
    record = strictly(tmp_path)
    assert set(record) >= RUN_FIELDS
    assert record["status"] == status
    assert type(error).__name__ in record["error"]
    assert str(error) in record["error"]
    assert record["seconds"] > 0
    assert complete_rows(tmp_path, 3) == [0, 1, 2, 3]
    assert list(read_gradients(tmp_path)["step"].unique()) == [0, 1, 2, 3]


def test_a_run_that_is_stopped_says_how_far_it_came(small: Run, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(replace(small, log_every=1), tmp_path, observe=raising(KeyboardInterrupt()))
    record, metrics = strictly(tmp_path), read_metrics(tmp_path)
    assert record["steps"] == 4  # steps 0 to 3 have made their update
    assert record["metrics"]["final"]["train_loss"] == pytest.approx(metrics["train_loss"].iloc[-1], rel=1e-8)


def test_a_failure_before_the_first_step_is_recorded(
    small: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(run: Run) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr("vanishgrad.engine.trainer.build", broken)
    with pytest.raises(MemoryError):
        train(small, tmp_path)
    record = read_run(tmp_path)
    assert record["status"] == "failed"
    assert "no room" in record["error"]


def test_a_kill_leaves_complete_rows_only(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from vanishgrad import Run, train; "
        "train(Run(depth=5, width=8, epochs=10**6, log_every=1, threads=1), Path(sys.argv[1]))"
    )
    child = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd=Path(__file__).parents[2])
    try:
        table, deadline = tmp_path / "gradients.csv", time.monotonic() + 60
        while not (table.exists() and table.stat().st_size > 20_000):
            assert child.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    steps = complete_rows(tmp_path, 6)
    assert steps == list(range(len(steps)))
    assert len(steps) > 10
    assert strictly(tmp_path)["status"] == "running"


@pytest.fixture
def two_threads() -> Any:
    """Torch with two threads, as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("threads, expected", [(1, 1), (3, 3), ("auto", 1)])
@pytest.mark.usefixtures("two_threads")
def test_threads_are_chosen_for_the_run_and_restored_after_it(
    threads: int | str, expected: int, small: Run
) -> None:
    found = set()
    train(replace(small, threads=threads), observe=lambda _: found.add(torch.get_num_threads()))
    assert found == {expected}
    assert torch.get_num_threads() == 2
    with pytest.raises(KeyboardInterrupt):
        train(replace(small, threads=threads), observe=raising(KeyboardInterrupt()))
    assert torch.get_num_threads() == 2


def test_a_run_in_float64_computes_in_it_throughout(small: Run) -> None:
    result = train(
        replace(small, dtype="float64", act=Sigmoid(), norm=BatchNorm(), optim=Adam(), reg=Dropout(0.1))
    )
    floating = [value for value in result.model.state_dict().values() if isinstance(value, Tensor)]
    assert {value.dtype for value in floating} == {torch.float64, torch.int64}  # int64: batches counted
    assert result.status == "completed"


def test_shared_data_is_not_written_to(small: Run) -> None:
    before = [tensor.clone() for tensor in vars(load(small.data)).values()]
    train(replace(small, batch_size="full", norm=BatchNorm(), reg=Dropout(0.3)))
    assert all(torch.equal(a, b) for a, b in zip(before, vars(load(small.data)).values(), strict=True))
