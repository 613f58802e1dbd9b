"""Nothing is lost: what a sweep records survives a kill at any byte, and what it redoes is right."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from dataclasses import replace
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
import torch

from vanishgrad.engine import Provenance, Result
from vanishgrad.engine.recorder import first_record
from vanishgrad.errors import SettingError
from vanishgrad.folders import clear_run, locked
from vanishgrad.folders.lock import LOCK_FILE
from vanishgrad.records import SWEEP_FILE, SWEEP_RUNS_FILE, read_run, write_run
from vanishgrad.run import Run
from vanishgrad.sweeps import resumption
from vanishgrad.sweeps.job import Job, Outcome
from vanishgrad.sweeps.ledger import Follower, append, begin, extend, outcomes
from vanishgrad.sweeps.resumption import fail, interrupt, reopen
from vanishgrad.sweeps.work import JobGroup, train_group

TINY = Run(depth=1, width=4, max_steps=3, log_every=1, device="cpu", snapshots=2)
ENDS = [
    Outcome(0, "completed", 1.25, {"val_accuracy": 0.5, "gradient_slope": None}, 7),
    Outcome(1, "diverged", 0.5, {"val_loss": math.inf, "val_accuracy": -math.inf}, 3, diverged_at=3),
    Outcome(2, "failed", 0.0, error='ValueError: "ä" \n\r\u2028 }', log="2/error.log"),
]


def jobs_in(folder: Path, runs: Sequence[Run]) -> list[Job]:
    return [
        Job(number, run, folder / str(number), Provenance(overrides=[f"seed={run.seed}"]), f"seed={run.seed}")
        for number, run in enumerate(runs)
    ]


def sweep_in(folder: Path, count: int = 3) -> list[Job]:
    jobs = jobs_in(folder, [Run(seed=seed) for seed in range(count)])
    begin(folder, jobs)
    return jobs


def leave(job: Job, status: str, **changes: Any) -> None:
    """A run folder as a run of this status leaves it."""
    job.folder.mkdir(exist_ok=True)
    record = first_record(job.run, job.provenance, torch.device("cpu"))
    write_run(job.folder, record | {"status": status} | changes)


def numbers(jobs: Sequence[Job]) -> list[int]:
    return [job.number for job in jobs]


def test_outcomes_read_back_as_they_were_appended(tmp_path: Path) -> None:
    for outcome in ENDS:
        append(tmp_path, outcome)
    assert outcomes(tmp_path) == dict(enumerate(ENDS))


def test_lines_are_strict_json(tmp_path: Path) -> None:
    append(tmp_path, Outcome(0, "completed", 1.0, {"val_loss": math.nan, "val_accuracy": math.inf}))
    (line,) = (tmp_path / SWEEP_RUNS_FILE).read_text().splitlines()
    assert json.loads(line, parse_constant=pytest.fail)["metrics"] == {
        "val_loss": "nan",
        "val_accuracy": "inf",
    }
    assert math.isnan(outcomes(tmp_path)[0].metrics["val_loss"] or 0.0)


def test_a_sweep_without_lines_has_no_outcomes(tmp_path: Path) -> None:
    assert outcomes(tmp_path) == {}


def test_the_last_line_of_a_run_counts(tmp_path: Path) -> None:
    append(tmp_path, Outcome(4, "failed", 0.0))
    append(tmp_path, Outcome(4, "completed", 1.0))
    assert outcomes(tmp_path)[4].status == "completed"


def test_a_cut_at_any_byte_loses_only_the_line_it_is_in(tmp_path: Path) -> None:
    for outcome in ENDS:
        append(tmp_path, outcome)
    path = tmp_path / SWEEP_RUNS_FILE
    whole = path.read_bytes()
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        kept = whole[:cut].count(b"\n")
        assert outcomes(tmp_path) == dict(enumerate(ENDS[:kept])), cut


def test_the_next_line_does_not_stick_to_a_torn_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    for outcome in ENDS:
        append(tmp_path, outcome)
    path, late = tmp_path / SWEEP_RUNS_FILE, Outcome(9, "completed", 2.0)
    whole = path.read_bytes()
    lengths = {whole[:end].count(b"\n"): end for end in range(len(whole) + 1)}
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        append(tmp_path, late)
        found = outcomes(tmp_path)
        assert found[9] == late, cut
        # A line that lacks only its end becomes whole.
        kept = whole[:cut].count(b"\n") + (cut in lengths.values() and not whole[:cut].endswith(b"\n"))
        assert list(found) == [*range(kept), 9], cut


@pytest.mark.parametrize(
    "torn", [b"\0\0\0\0", b"{", b'{"number": 3, "sta', b'{"number": 3, "status": "com\xff']
)
def test_what_a_power_cut_leaves_is_passed_over(tmp_path: Path, torn: bytes) -> None:
    append(tmp_path, ENDS[0])
    with open(tmp_path / SWEEP_RUNS_FILE, "ab") as file:
        file.write(torn)
    append(tmp_path, ENDS[1])
    assert outcomes(tmp_path) == {0: ENDS[0], 1: ENDS[1]}


@pytest.mark.parametrize(
    "line, said",
    [
        (b"\xff\xfe", "has a line that no sweep wrote, .*: it is not text in UTF-8"),
        (b"[]", "has a line that no sweep wrote, '\\[\\]': it must be an object, is a list"),
        (b"{}", "has no number"),
        (b'{"number": 3}', "has no status"),
        (b'{"status": "failed", "seconds": 1, "metrics": {}, "number": "3"}', "number must be an integer"),
        (b'{"number": 0, "status": "failed", "seconds": 1, "metrics": {"a": "b"}}', "metrics.a must be a"),
    ],
)  # fmt: skip
def test_what_no_sweep_wrote_is_refused_with_the_reason(tmp_path: Path, line: bytes, said: str) -> None:
    (tmp_path / SWEEP_RUNS_FILE).write_bytes(line + b"\n")
    with pytest.raises(SettingError, match=f"{re.escape(str(tmp_path))}: runs.jsonl.*{said}"):
        outcomes(tmp_path)


APPENDS = """
import sys
from pathlib import Path
from vanishgrad.sweeps.job import Outcome
from vanishgrad.sweeps.ledger import append
start, count = int(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
for number in range(start, start + count):
    append(Path(sys.argv[1]), Outcome(number, "failed", 0.0, error="e" * (number * 997 % 9000)))
"""


def test_several_processes_append_at_the_same_time(tmp_path: Path) -> None:
    count = 100
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", APPENDS, str(tmp_path), str(first * count), str(count)],
            cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for first in range(3)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    found = outcomes(tmp_path)
    assert sorted(found) == list(range(3 * count))
    assert all(len(outcome.error or "") == number * 997 % 9000 for number, outcome in found.items())


def test_threads_append_at_the_same_time(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: append(tmp_path, Outcome(number, "completed", 1.0)), range(200)))
    assert sorted(outcomes(tmp_path)) == list(range(200))


def test_a_line_that_never_ends_is_refused(tmp_path: Path) -> None:
    """As a disk leaves it that is out of order: a gigabyte of zeros, which nobody reads to its end."""
    append(tmp_path, ENDS[0])
    os.truncate(tmp_path / SWEEP_RUNS_FILE, 10**9)
    with pytest.raises(SettingError, match=r"runs\.jsonl has a line of more than 16 MB, which no"):
        outcomes(tmp_path)
    os.truncate(tmp_path / SWEEP_RUNS_FILE, 10**6)
    assert outcomes(tmp_path) == {0: ENDS[0]}


def test_a_follower_tells_every_outcome_once(tmp_path: Path) -> None:
    follower = Follower(tmp_path)
    assert follower.new() == []
    append(tmp_path, ENDS[0])
    assert follower.new() == [ENDS[0]]
    assert follower.new() == []
    append(tmp_path, ENDS[1])
    append(tmp_path, ENDS[2])
    assert follower.new() == ENDS[1:]


def test_a_follower_waits_for_the_end_of_a_line(tmp_path: Path) -> None:
    append(tmp_path, ENDS[0])
    path = tmp_path / SWEEP_RUNS_FILE
    line = path.read_bytes()
    follower = Follower(tmp_path)
    path.write_bytes(b"")
    for byte in line[:-1]:
        with open(path, "ab") as file:
            file.write(bytes([byte]))
        assert follower.new() == []
    with open(path, "ab") as file:
        file.write(b"\n")
    assert follower.new() == [ENDS[0]]


def test_sweep_json_says_what_was_asked_for(tmp_path: Path) -> None:
    jobs = [Job(0, TINY, tmp_path / "a" / "b", Provenance(overrides=["width=4"]), "width=4")]
    begin(tmp_path, jobs, ["width=4", "-m"])
    record = json.loads((tmp_path / SWEEP_FILE).read_text())
    assert record["overrides"] == ["width=4", "-m"]
    assert set(record["versions"]) == {"vanishgrad", "python", "torch"}
    (entry,) = record["jobs"]
    assert (entry["number"], entry["folder"], entry["label"]) == (0, "a/b", "width=4")
    assert (entry["overrides"], entry["setting"]["width"]) == (["width=4"], 4)
    assert [path.name for path in tmp_path.iterdir()] == [SWEEP_FILE]


def test_lines_of_an_older_sweep_in_the_same_folder_go(tmp_path: Path) -> None:
    sweep_in(tmp_path)
    append(tmp_path, ENDS[0])
    sweep_in(tmp_path)
    assert outcomes(tmp_path) == {}


def test_a_search_records_more_jobs_and_keeps_its_lines(tmp_path: Path) -> None:
    jobs = jobs_in(tmp_path, [Run(seed=seed) for seed in range(4)])
    begin(tmp_path, jobs[:2], ["depth=5"])
    before = json.loads((tmp_path / SWEEP_FILE).read_text())
    append(tmp_path, ENDS[0])
    extend(tmp_path, jobs[2:])
    after = json.loads((tmp_path / SWEEP_FILE).read_text())
    assert (after["batches"], len(after["jobs"])) == ([2, 2], 4)
    assert after["jobs"][:2] == before["jobs"]
    same = ("created", "versions", "overrides")
    assert [after[key] for key in same] == [before[key] for key in same]
    assert outcomes(tmp_path) == {0: ENDS[0]}


def batches_in(folder: Path) -> list[Job]:
    """A sweep of two batches of two."""
    jobs = jobs_in(folder, [Run(seed=seed) for seed in range(4)])
    begin(folder, jobs[:2])
    extend(folder, jobs[2:])
    return jobs


def test_batches_are_gone_on_with_one_by_one(tmp_path: Path) -> None:
    jobs = batches_in(tmp_path)
    leave(jobs[0], "completed")
    append(tmp_path, Outcome(0, "completed", 1.0))
    leave(jobs[2], "completed", metrics={"final": {}, "best": {}})
    assert numbers(reopen(tmp_path, jobs[:2], None)) == [1]
    assert numbers(reopen(tmp_path, jobs[2:], None)) == [3]


def test_a_batch_that_had_not_begun_is_recorded(tmp_path: Path) -> None:
    jobs = jobs_in(tmp_path, [Run(seed=seed) for seed in range(4)])
    begin(tmp_path, jobs[:2])
    reopen(tmp_path, jobs[:2], None)
    assert reopen(tmp_path, jobs[2:], None) == jobs[2:]
    assert json.loads((tmp_path / SWEEP_FILE).read_text())["batches"] == [2, 2]
    assert reopen(tmp_path, jobs[2:], None) == jobs[2:]


def test_batches_of_another_size_are_refused(tmp_path: Path) -> None:
    jobs = batches_in(tmp_path)
    told = f"sweep.resume={tmp_path}: its batch from run 0 on has 2 runs, now 4 are asked for"
    assert refusal(tmp_path, jobs) == told


def test_a_search_that_asks_for_other_runs_is_refused(tmp_path: Path) -> None:
    jobs = batches_in(tmp_path)
    other = [jobs[2], replace(jobs[3], run=Run(seed=3, lr=0.5))]
    reopen(tmp_path, jobs[:2], None)
    told = refusal(tmp_path, other)
    assert "was begun with other settings: job 3: lr " in told
    assert told.endswith("; a search goes on only if its sampler has the seed that it had")


def test_a_process_that_died_leaves_a_failed_run(tmp_path: Path) -> None:
    running, done, missing = sweep_in(tmp_path)
    leave(running, "running")
    leave(done, "completed")
    for job in (running, done, missing):
        fail(job, "its process died")
    found = [read_run(job.folder) for job in (running, done, missing)]
    assert [one["status"] for one in found] == ["failed", "completed", "failed"]
    assert found[0]["error"] == found[2]["error"] == "its process died"
    assert numbers(reopen(tmp_path, [running, done, missing], None)) == [0, 2]


def test_what_has_ended_is_not_done_again(tmp_path: Path) -> None:
    jobs = sweep_in(tmp_path, 5)
    for job, status in zip(jobs, ("completed", "diverged", "failed", "running", "interrupted"), strict=True):
        leave(job, status)
        if status in ("completed", "diverged", "failed"):
            append(tmp_path, Outcome(job.number, status, 1.0))
    assert numbers(reopen(tmp_path, jobs, None)) == [3, 4]


def test_runs_that_never_began_are_left(tmp_path: Path) -> None:
    jobs = sweep_in(tmp_path)
    assert numbers(reopen(tmp_path, jobs, None)) == [0, 1, 2]
    assert not (tmp_path / SWEEP_RUNS_FILE).exists()


@pytest.mark.parametrize("retry, left", [("failed", [2]), ("diverged", [1])])
def test_the_failed_or_the_diverged_are_done_again_if_asked(
    tmp_path: Path, retry: str, left: list[int]
) -> None:
    jobs = sweep_in(tmp_path)
    for job, outcome in zip(jobs, ENDS, strict=True):
        leave(job, outcome.status)
        append(tmp_path, outcome)
    assert numbers(reopen(tmp_path, jobs, retry)) == left
    assert left[0] not in outcomes(tmp_path)


@pytest.mark.parametrize("retry", ["failed", "diverged"])
@pytest.mark.parametrize("at", ["before it is cleared", "before it begins", "while it runs", "at its end"])
def test_a_second_kill_does_not_take_the_old_end_for_the_new_one(tmp_path: Path, retry: str, at: str) -> None:
    (job,) = sweep_in(tmp_path, 1)
    leave(job, retry, steps=3)
    append(tmp_path, Outcome(0, retry, 1.0))
    assert reopen(tmp_path, [job], retry) == [job]
    if at != "before it is cleared":
        clear_run(job.folder)
    if at == "while it runs":
        leave(job, "running")
    if at == "at its end":
        leave(job, "completed")
    redone = reopen(tmp_path, [job], None)
    if at == "at its end":
        assert (redone, outcomes(tmp_path)[0].status) == ([], "completed")
    elif at == "before it is cleared" and retry == "diverged":
        assert (redone, outcomes(tmp_path)[0].status) == ([], "diverged")  # untouched
    else:
        assert redone == [job]


@pytest.mark.parametrize("status", ["failed", "diverged"])
def test_a_run_that_is_done_again_is_left_once(tmp_path: Path, status: str) -> None:
    (job,) = sweep_in(tmp_path, 1)
    leave(job, status)
    append(tmp_path, Outcome(0, status, 1.0))
    assert reopen(tmp_path, [job], status) == [job]
    leave(job, "completed")
    append(tmp_path, Outcome(0, "completed", 1.0))
    assert reopen(tmp_path, [job], status) == []


def test_a_run_whose_process_died_has_failed(tmp_path: Path) -> None:
    (job,) = sweep_in(tmp_path, 1)
    leave(job, "running")
    append(tmp_path, Outcome(0, "failed", 0.0, error="its process died"))
    assert reopen(tmp_path, [job], None) == []
    assert reopen(tmp_path, [job], "failed") == [job]


@pytest.mark.parametrize("status", [None, "running", "interrupted"])
def test_a_folder_that_says_otherwise_is_believed(tmp_path: Path, status: str | None) -> None:
    jobs = sweep_in(tmp_path, 1)
    append(tmp_path, Outcome(0, "completed", 1.0))
    if status is not None:
        leave(jobs[0], status)
    assert numbers(reopen(tmp_path, jobs, None)) == [0]
    assert outcomes(tmp_path) == {}


@pytest.mark.parametrize("setting", [Run(seed=0), Run(seed=0, lr=0.5)])
def test_a_run_left_by_another_setting_is_no_run_of_the_sweep(tmp_path: Path, setting: Run) -> None:
    (job,) = sweep_in(tmp_path, 1)
    leave(replace(job, run=setting), "completed", metrics={"final": {}, "best": {}})
    assert reopen(tmp_path, [job], None) == ([] if setting == job.run else [job])


@pytest.mark.parametrize("status", ["completed", "diverged"])
def test_a_run_killed_before_its_line_gets_it(tmp_path: Path, status: str) -> None:
    (job,) = sweep_in(tmp_path, 1)
    final = {"val_loss": math.inf, "val_accuracy": 0.5, "penalty": None}
    at = {"step": 6, "layer": 1, "what": "gradient"} if status == "diverged" else None
    leave(job, status, metrics={"final": final, "best": {}}, steps=6, seconds=2.5, diverged_at=at)
    before = (job.folder / "run.json").stat().st_mtime_ns
    assert reopen(tmp_path, [job], None) == []
    expected = Outcome(0, status, 2.5, final, 6, 6 if at else None)
    assert outcomes(tmp_path) == {0: expected}
    assert (job.folder / "run.json").stat().st_mtime_ns == before
    assert reopen(tmp_path, [job], None) == []
    assert len((tmp_path / SWEEP_RUNS_FILE).read_text().splitlines()) == 1


def test_a_diverged_run_killed_before_its_line_is_done_again_if_asked(tmp_path: Path) -> None:
    (job,) = sweep_in(tmp_path, 1)
    leave(job, "diverged", diverged_at={"step": 1, "layer": 1, "what": "loss"})
    assert reopen(tmp_path, [job], "diverged") == [job]


def refusal(folder: Path, jobs: Sequence[Job], retry: str | None = None) -> str:
    with pytest.raises(SettingError) as caught:
        reopen(folder, jobs, retry)
    return str(caught.value)


@pytest.mark.parametrize("files", [["run.json"], ["multirun.yaml", "mine.txt"], ["0/run.json"]])
def test_a_folder_without_a_sweep_is_refused(tmp_path: Path, files: list[str]) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    expected = f"sweep.resume={tmp_path}: has no sweep.json; must be the folder of a sweep"
    assert refusal(tmp_path, []) == expected
    assert not (tmp_path / SWEEP_FILE).exists()


@pytest.mark.parametrize("name", ["missing", "file"])
def test_what_is_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    assert refusal(tmp_path / name, []).startswith(f"sweep.resume={tmp_path / name}: has no sweep.json")


@pytest.mark.parametrize("files", [[], ["multirun.yaml"], ["multirun.yaml", ".sweep.json.123"]])
def test_a_sweep_killed_before_it_was_recorded_begins(tmp_path: Path, files: list[str]) -> None:
    for name in files:
        (tmp_path / name).write_text("")
    jobs = jobs_in(tmp_path, [Run(seed=seed) for seed in range(2)])
    assert reopen(tmp_path, jobs, None, overrides=["seed=0,1"]) == jobs
    record = json.loads((tmp_path / SWEEP_FILE).read_text())
    assert (len(record["jobs"]), record["overrides"]) == (2, ["seed=0,1"])
    assert not list(tmp_path.glob(".*"))
    assert reopen(tmp_path, jobs, None) == jobs


def test_half_written_files_of_the_sweep_go(tmp_path: Path) -> None:
    jobs = sweep_in(tmp_path)
    kept = {".hidden", "notes.txt", SWEEP_FILE}
    for name in (".hidden", "notes.txt", ".sweep_summary.csv.12", ".sweep.json.7"):
        (tmp_path / name).write_text("")
    reopen(tmp_path, jobs, None)
    assert {path.name for path in tmp_path.iterdir()} == kept


def test_a_recovered_outcome_has_what_its_folder_tells(tmp_path: Path) -> None:
    (job,) = sweep_in(tmp_path, 1)
    leave(job, "completed", metrics={"final": {"val_loss": 0.5}, "best": {}}, steps=6, seconds=2.5)

    def measures(folder: Path) -> dict[str, float | None]:
        assert folder == job.folder
        return {"gradient_slope": 0.25}

    assert reopen(tmp_path, [job], None, measures) == []
    assert outcomes(tmp_path)[0].metrics == {"val_loss": 0.5, "gradient_slope": 0.25}


@pytest.mark.parametrize(
    "text, told",
    [
        ("", " is not JSON"),
        ("{", " is not JSON"),
        ("[]", " must be an object, is a list"),
        ("{}", " has no versions"),
        ('{"versions": {}, "batches": [2], "jobs": []}', ": batches and jobs do not agree"),
        ('{"versions": {}, "batches": [1], "jobs": [7]}', ": jobs[0] must be an object, is 7"),
    ],
)
def test_a_broken_sweep_json_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / SWEEP_FILE).write_text(text)
    assert f"sweep.resume={tmp_path}: sweep.json{told}" in refusal(tmp_path, [])


def test_only_the_failed_or_the_diverged_can_be_retried(tmp_path: Path) -> None:
    jobs = sweep_in(tmp_path)
    assert (
        refusal(tmp_path, jobs, "fail")
        == "sweep.retry=fail: choose one of failed, diverged (did you mean failed?)"
    )


def test_another_number_of_runs_is_refused(tmp_path: Path) -> None:
    jobs = sweep_in(tmp_path)
    expected = f"sweep.resume={tmp_path}: the sweep has 3 runs, now 2 are asked for"
    assert refusal(tmp_path, jobs[:2]) == expected


def test_a_sweep_may_be_moved(tmp_path: Path) -> None:
    sweep_in(tmp_path / "here")
    there = tmp_path / "there"
    (tmp_path / "here").rename(there)
    jobs = jobs_in(there, [Run(seed=seed) for seed in range(3)])
    assert numbers(reopen(there, jobs, None)) == [0, 1, 2]


def test_a_refusal_writes_nothing(tmp_path: Path) -> None:
    (job,) = sweep_in(tmp_path, 1)
    leave(job, "completed")
    before = (tmp_path / SWEEP_FILE).read_bytes()
    refusal(tmp_path, [replace(job, run=Run(lr=0.5))])
    assert (tmp_path / SWEEP_FILE).read_bytes() == before
    assert not (tmp_path / SWEEP_RUNS_FILE).exists()


def trained(jobs: Sequence[Job], folder: Path) -> dict[int, Outcome]:
    def measures(result: Result) -> dict[str, float | None]:
        return result.final

    train_group(JobGroup(tuple(jobs)), lambda outcome: append(folder, outcome), measures)
    return outcomes(folder)


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_recovered_outcome_is_the_lost_one(tmp_path: Path) -> None:
    jobs = jobs_in(tmp_path, [TINY])
    begin(tmp_path, jobs)
    told = trained(jobs, tmp_path)
    (tmp_path / SWEEP_RUNS_FILE).unlink()
    assert reopen(tmp_path, jobs, None) == []
    assert outcomes(tmp_path) == told


def test_clearing_takes_what_a_run_writes_and_nothing_else(tmp_path: Path) -> None:
    (job,) = jobs_in(tmp_path, [TINY])
    trained([job], tmp_path)
    assert {"run.json", "gradients.csv", "metrics.csv", "checkpoint.pt", "snapshots/0.pt"} <= files(
        job.folder
    )
    kept = {"notes.txt", ".hydra/config.yaml", "snapshots/best.pt", ".hidden"}
    torn = {".run.json.123", ".checkpoint.pt.7", "snapshots/.3.pt.99", "error.log", "dead_units.csv"}
    for name in kept | torn:
        (job.folder / name).parent.mkdir(exist_ok=True)
        (job.folder / name).write_text("")
    clear_run(job.folder)
    assert files(job.folder) == kept


def test_clearing_leaves_no_empty_folder_of_snapshots(tmp_path: Path) -> None:
    (job,) = jobs_in(tmp_path, [TINY])
    trained([job], tmp_path)
    clear_run(job.folder)
    assert list(job.folder.iterdir()) == []
    clear_run(job.folder)


def test_clearing_a_run_that_never_began_makes_nothing(tmp_path: Path) -> None:
    (job,) = jobs_in(tmp_path, [TINY])
    clear_run(job.folder)
    assert not job.folder.exists()


def test_only_a_running_run_is_interrupted(tmp_path: Path) -> None:
    running, done, missing = sweep_in(tmp_path)
    leave(running, "running")
    leave(done, "completed")
    for job in (running, done, missing):
        interrupt(job)
    assert read_run(running.folder)["status"] == "interrupted"
    assert read_run(done.folder)["status"] == "completed"
    assert not missing.folder.exists()


def test_going_on_waits_for_processes_that_outlive_their_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = sweep_in(tmp_path)
    leave(jobs[1], "running")
    with locked("folder", jobs[1].folder):
        monkeypatch.setattr(resumption, "ORPHANS", 0.1)
        with pytest.raises(
            SettingError, match=rf"^sweep\.resume={tmp_path}: process {os.getpid()} on .* run 1;"
        ):
            Context().run(reopen, tmp_path, jobs, None)

        def end() -> None:
            leave(jobs[1], "diverged")
            append(tmp_path, ENDS[1])
            (jobs[1].folder / LOCK_FILE).unlink()

        orphan = Timer(0.3, end)
        orphan.start()
        monkeypatch.setattr(resumption, "ORPHANS", 30.0)
        assert numbers(Context().run(reopen, tmp_path, jobs, None)) == [0, 2]
        orphan.join()


def test_going_on_takes_away_the_locks_of_the_dead(tmp_path: Path) -> None:
    jobs = sweep_in(tmp_path)
    leave(jobs[1], "completed")
    (jobs[1].folder / LOCK_FILE).write_text("")
    reopen(tmp_path, jobs, None)
    assert not (jobs[1].folder / LOCK_FILE).exists()


def test_a_run_without_lines_is_told_by_its_folder(tmp_path: Path) -> None:
    """A sweep that was killed between the end of a run and its line; old folders do not tell the steps."""
    jobs = sweep_in(tmp_path, 2)
    leave(jobs[0], "completed", steps=7, seconds=1.5)
    leave(
        jobs[1], "diverged", steps=None, seconds=2.5, diverged_at={"step": 4, "layer": None, "what": "loss"}
    )
    assert reopen(tmp_path, jobs, None) == []
    found = outcomes(tmp_path)
    assert [(one.status, one.steps, one.seconds, one.diverged_at) for one in found.values()] == [
        ("completed", 7, 1.5, None),
        ("diverged", 0, 2.5, 4),
    ]
