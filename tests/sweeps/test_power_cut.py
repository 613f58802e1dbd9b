"""What a power cut may take, what it may not, and that a sweep notices what it took."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from vanishgrad.engine import Provenance, train
from vanishgrad.files import replace_file
from vanishgrad.records import CHECKPOINT_FILE, GRADIENTS_FILE, METRICS_FILE, SWEEP_FILE
from vanishgrad.run import Run
from vanishgrad.sweeps.job import Job, Outcome
from vanishgrad.sweeps.ledger import append, begin, extend, outcomes
from vanishgrad.sweeps.resumption import reopen

TINY = Run(depth=1, width=2, max_steps=2, log_every=1, threads=1)


class Synced:
    """What reaches the disk, in its order: files by fsync, and names by replacing."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.seen: list[tuple[str, str, bytes]] = []
        self._fsync, self._replace = os.fsync, os.replace
        patch.setattr(os, "fsync", self.fsync)
        patch.setattr(os, "replace", self.replace)

    def fsync(self, descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        self.seen.append(("fsync", path.name, path.read_bytes()))
        self._fsync(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        self.seen.append(("replace", Path(target).name, Path(source).read_bytes()))
        self._replace(source, target)

    def of(self, name: str) -> list[str]:
        """What was done for a file, whose partial twin is named after it."""
        return [what for what, path, _ in self.seen if name in path]


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> Synced:
    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc")
    return Synced(monkeypatch)


def test_what_is_durable_is_whole_on_the_disk_before_it_has_its_name(tmp_path: Path, synced: Synced) -> None:
    replace_file(tmp_path / "a", b"content" * 1000, durable=True)
    assert [what for what, _, _ in synced.seen] == ["fsync", "replace"]
    assert [content for _, _, content in synced.seen] == [b"content" * 1000] * 2
    assert [name for what, name, _ in synced.seen if what == "fsync"] != ["a"]


def test_what_is_not_takes_the_time_of_memory(tmp_path: Path, synced: Synced) -> None:
    replace_file(tmp_path / "a", b"content")
    assert [what for what, _, _ in synced.seen] == ["replace"]


def test_checkpoints_that_a_run_goes_on_from_are_durable_and_its_last_is_not(
    tmp_path: Path, synced: Synced
) -> None:
    train(Run(depth=1, width=2, max_steps=5, log_every=1, threads=1, save_every=2), out=tmp_path)
    assert synced.of(CHECKPOINT_FILE) == ["fsync", "replace"] * 2 + ["replace"]
    assert [name for what, name, _ in synced.seen if what == "fsync" and CHECKPOINT_FILE not in name] == []


def jobs_in(folder: Path, count: int) -> list[Job]:
    runs = [Run(depth=1, width=2, max_steps=2, log_every=1, threads=1, seed=seed) for seed in range(count)]
    return [Job(number, run, folder / str(number), Provenance()) for number, run in enumerate(runs)]


def test_what_a_sweep_is_asked_for_is_durable_and_its_lines_are_not(tmp_path: Path, synced: Synced) -> None:
    jobs = jobs_in(tmp_path, 2)
    begin(tmp_path, jobs[:1])
    append(tmp_path, Outcome(0, "completed", 1.0))
    extend(tmp_path, jobs[1:])
    assert synced.of(SWEEP_FILE) == ["fsync", "replace"] * 2
    assert len(synced.seen) == 4


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Sequence[Job]]:
    """A sweep of two runs that ended."""
    folder = tmp_path_factory.mktemp("sweep")
    jobs = jobs_in(folder, 2)
    begin(folder, jobs)
    for job in jobs:
        train(job.run, out=job.folder)
    return folder, jobs


@pytest.mark.parametrize("told", [False, True], ids=["without a line", "with a line"])
@pytest.mark.parametrize("file", [GRADIENTS_FILE, METRICS_FILE, CHECKPOINT_FILE])
def test_a_run_whose_file_lost_its_content_is_done_again(
    sweep: tuple[Path, Sequence[Job]], file: str, told: bool
) -> None:
    folder, jobs = sweep
    begin(folder, jobs)
    for job in jobs if told else ():
        append(folder, Outcome(job.number, "completed", 1.0))
    path = jobs[1].folder / file
    content = path.read_bytes()
    try:
        assert reopen(folder, jobs, None) == []
        path.write_bytes(b"")
        assert reopen(folder, jobs, None) == [jobs[1]]
        assert list(outcomes(folder)) == [0]
        assert reopen(folder, jobs, None) == [jobs[1]]
    finally:
        path.write_bytes(content)
    path.unlink()  # taken away by somebody, which is no loss of a power cut
    assert reopen(folder, jobs, None) == []
    path.write_bytes(content)


@pytest.mark.parametrize("file", ["diagnosis.json", "theory.json"])
def test_what_can_be_made_again_may_be_empty(sweep: tuple[Path, Sequence[Job]], file: str) -> None:
    folder, jobs = sweep
    begin(folder, jobs)
    content = (jobs[0].folder / file).read_bytes()
    (jobs[0].folder / file).write_bytes(b"")
    assert reopen(folder, jobs, None) == []
    (jobs[0].folder / file).write_bytes(content)


def test_a_run_whose_record_lost_its_content_is_done_again(sweep: tuple[Path, Sequence[Job]]) -> None:
    folder, jobs = sweep
    begin(folder, jobs)
    append(folder, Outcome(0, "completed", 1.0))
    content = (jobs[0].folder / "run.json").read_bytes()
    (jobs[0].folder / "run.json").write_bytes(b"")
    assert reopen(folder, jobs, None) == [jobs[0]]
    (jobs[0].folder / "run.json").write_bytes(content)
