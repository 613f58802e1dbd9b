"""A sweep on a disk that becomes full: runs fail, others go on, and resumed it is as if nothing had been."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from vanishgrad import Run, sweep
from vanishgrad.engine import session
from vanishgrad.sweeps.job import Outcome

RUNS = [
    Run(depth=1, width=4, max_steps=6, log_every=1, lr=lr, seed=seed, device="cpu", threads=1)
    for lr in (0.1, 1e30)
    for seed in range(2)
]  # two diverge


def swept(folder: Path, **options: Any) -> list[Any]:
    return sweep(RUNS, folder, workers=1, **options)


def contents(folder: Path) -> dict[str, Any]:
    """All files but the ledger, without seconds and the place of the sweep."""
    found: dict[str, Any] = {}
    for path in (path for path in folder.rglob("*") if path.is_file()):
        name, text = path.relative_to(folder).as_posix(), path.read_bytes()
        if path.name == "run.json":
            found[name] = json.loads(text) | {"seconds": 0}
        elif path.name == "metrics.csv":
            found[name] = [row.rpartition(b",")[0] for row in text.splitlines()]
        elif path.suffix == ".pt":
            found[name] = repr(torch.load(path, weights_only=True))
        elif path.name not in ("runs.jsonl", "sweep.json"):
            found[name] = text
    return found


def ledger(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "runs.jsonl").read_text()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("undisturbed")
    swept(folder, max_stack=1)
    return contents(folder)


@pytest.mark.filterwarnings("ignore:. of 4 runs failed")
@pytest.mark.parametrize("left", [0, 700, 5000, 40000])
@pytest.mark.parametrize("dead", [False, True])
def test_runs_that_a_full_disk_fails_are_done_again(
    disk: Any, undisturbed: dict[str, Any], left: int, dead: bool
) -> None:
    disk.dead = dead

    def fill(outcome: Outcome) -> None:
        disk.fill(left)

    results = swept(disk.folder, tell=fill, max_stack=1)
    statuses = [result.status for result in results]
    assert "failed" in statuses
    assert "running" not in statuses
    assert all("No space left on device" in (one.error or "") for one in results if one.status == "failed")
    disk.empty()
    assert [one.status for one in swept(disk.folder, retry="failed", max_stack=1)] == ["completed"] * 2 + [
        "diverged"
    ] * 2
    assert contents(disk.folder) == undisturbed
    assert len({line["number"] for line in ledger(disk.folder)}) == 4


@pytest.mark.filterwarnings("ignore:. of 4 runs failed")
@pytest.mark.parametrize(
    "only", ["/1/gradients.csv", "/1/metrics.csv", "/1/.checkpoint", "/1/.theory", "/1/"]
)
def test_in_a_stack_one_run_fails_and_the_others_go_on(
    disk: Any, undisturbed: dict[str, Any], only: str
) -> None:
    disk.only = only
    disk.fill(4 if only == "/1/" else 0, only)
    results = swept(disk.folder)
    assert [one.status for one in results] == ["completed", "failed", "diverged", "diverged"]
    disk.empty()
    swept(disk.folder, retry="failed")
    found = contents(disk.folder)
    assert found.keys() == undisturbed.keys()
    for name in (
        name for name in found if name.endswith("gradients.csv")
    ):  # sums of three runs are not of four
        mine, theirs = (pd.read_csv(io.BytesIO(files[name])) for files in (found, undisturbed))
        pd.testing.assert_frame_equal(mine, theirs, rtol=1e-3, atol=1e-9)


def test_fail_fast_begins_no_more_runs_on_a_full_disk(disk: Any) -> None:
    def fill(outcome: Outcome) -> None:
        disk.fill()

    with pytest.warns(UserWarning, match="1 of 4 runs failed"):
        results = swept(disk.folder, tell=fill, max_stack=1, fail_fast=True)
    assert [one.status for one in results] == ["completed", "failed", "interrupted", "interrupted"]


def test_lines_that_could_not_be_told_are_told_later(
    disk: Any, undisturbed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.dead = True
    disk.fill(0, "runs.jsonl")
    seen: list[int] = []

    def tell(outcome: Outcome) -> None:
        seen.append(outcome.number)
        if len(seen) == 3:
            disk.empty()

    assert [one.status for one in swept(disk.folder, tell=tell, max_stack=1)] == ["completed"] * 2 + [
        "diverged"
    ] * 2
    assert sorted(seen) == [0, 1, 2, 3]
    assert sorted(line["number"] for line in ledger(disk.folder)) == [0, 1, 2, 3]
    assert contents(disk.folder) == undisturbed


def test_what_a_run_could_not_say_of_itself_is_said_when_there_is_room(
    disk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_session = session.Session.open

    def open_on_a_dying_disk(self: session.Session) -> None:
        open_session(self)
        disk.dead = True
        disk.fill(0, "/0/")

    def tell(outcome: Outcome) -> None:
        assert json.loads((disk.folder / "0/run.json").read_text())["status"] == "running"
        disk.empty()

    monkeypatch.setattr(session.Session, "open", open_on_a_dying_disk)
    with pytest.warns(UserWarning, match="1 of 1 runs failed; the first is run 0: .*No space left on device"):
        sweep(RUNS[:1], disk.folder, workers=1, tell=tell)
    record = json.loads((disk.folder / "0/run.json").read_text())
    assert record["status"] == "failed"
    assert record["error"].endswith("cannot be written: No space left on device")
