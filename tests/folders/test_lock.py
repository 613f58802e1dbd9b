"""A folder is one process's own for as long as it lives."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from vanishgrad.errors import SettingError, WriteError
from vanishgrad.folders import acting_for, granted, last_words, locked, new_folder, tidy_lock
from vanishgrad.folders import lock as lock_module
from vanishgrad.folders.lock import LOCK_FILE, RESERVE, holder_of, leader_of

REPOSITORY = Path(__file__).parents[2]
HOLDS = """
import sys
from pathlib import Path
from vanishgrad.folders import locked
with locked("out", Path(sys.argv[1]), whole=sys.argv[2] == "whole"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held(folder: Path, kind: str = "alone") -> Iterator[subprocess.Popen[str]]:
    """A folder that another process holds."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(folder), kind],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with process:
        yield process
        process.kill()


def test_the_second_process_is_refused_with_pid_and_host_of_the_first(tmp_path: Path) -> None:
    with held(tmp_path) as process:
        who = rf"process {process.pid} on {socket.gethostname()}"
        with pytest.raises(SettingError, match=rf"^out={tmp_path}: {who} is at work there"):
            locked("out", tmp_path).__enter__()
        assert str(holder_of(tmp_path)) == who
        assert tidy_lock(tmp_path) is not None
        assert (tmp_path / LOCK_FILE).exists()


def test_death_releases_a_folder_and_the_next_one_tidies_up(tmp_path: Path) -> None:
    with held(tmp_path) as process:
        process.kill()
        process.wait()
        assert (tmp_path / LOCK_FILE).exists()
        assert holder_of(tmp_path) is None
        with locked("out", tmp_path):
            assert (tmp_path / LOCK_FILE).stat().st_size > RESERVE
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_taken_away(tmp_path: Path) -> None:
    with held(tmp_path) as process:
        process.kill()
        process.wait()
        assert tidy_lock(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_ends_leaves_nothing(tmp_path: Path) -> None:
    with held(tmp_path) as process:
        process.communicate()
    assert list(tmp_path.iterdir()) == []


def test_inside_a_lock_its_own_folder_is_free(tmp_path: Path) -> None:
    with locked("out", tmp_path):
        before = (tmp_path / LOCK_FILE).stat().st_ino
        with locked("out", tmp_path / ".." / tmp_path.name):
            assert (tmp_path / LOCK_FILE).stat().st_ino == before
        assert (tmp_path / LOCK_FILE).exists()
    assert granted() == frozenset()


def test_another_thread_is_refused(tmp_path: Path) -> None:
    said: list[str] = []

    def intrude() -> None:
        try:
            locked("out", tmp_path).__enter__()
        except SettingError as error:
            said.append(str(error))

    with locked("out", tmp_path):
        thread = Thread(target=intrude)
        thread.start()
        thread.join()
    assert len(said) == 1
    assert f"process {os.getpid()} on" in said[0]


def test_no_two_are_ever_inside_though_each_takes_the_file_away(tmp_path: Path) -> None:
    inside, met, entered = [0], [0], [0]

    def work() -> None:
        for _ in range(15):
            with locked("out", tmp_path, patience=60.0):
                inside[0] += 1
                met[0] = max(met[0], inside[0])
                entered[0] += 1
                time.sleep(0)
                inside[0] -= 1

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (entered[0], met[0]) == (60, 1)


def test_the_lock_of_a_file_that_was_taken_away_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, taken = lock_module._try_lock, list[int]()

    def late(descriptor: int) -> None:
        if not taken:
            (tmp_path / LOCK_FILE).unlink()  # by the one who had it, since it was opened
        taken.append(descriptor)
        lock(descriptor)

    monkeypatch.setattr(lock_module, "_try_lock", late)
    with locked("out", tmp_path):
        assert len(taken) == 2
        assert os.path.samestat(os.fstat(taken[1]), os.stat(tmp_path / LOCK_FILE))


def test_what_is_inside_a_sweep_is_the_sweeps(tmp_path: Path) -> None:
    run = tmp_path / "3"
    with held(tmp_path, "whole") as process:
        led = leader_of(run)
        assert led is not None
        assert (led[0], led[1].pid) == (tmp_path, process.pid)
        with pytest.raises(SettingError, match=rf"^out={run}: is part of {tmp_path}, where process"):
            new_folder("out", run, "run").__enter__()
        assert not run.exists()
        with acting_for([tmp_path]), new_folder("out", run, "run"):
            assert run.is_dir()
    assert leader_of(run) is None


def test_a_run_does_not_hold_what_is_inside_its_folder(tmp_path: Path) -> None:
    with held(tmp_path), new_folder("out", tmp_path / "outputs" / "other", "run"):
        assert (tmp_path / "outputs" / "other").is_dir()


def test_without_locks_it_goes_on_and_says_so_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(lock_module, "_try_lock", refuse)
    with pytest.warns(UserWarning, match="its file system has no locks"):
        locked("out", tmp_path).__enter__()
    for _ in range(2):  # warnings are errors here
        with locked("out", tmp_path):
            assert (tmp_path / LOCK_FILE).exists()
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_somebody_elses_program_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).write_text("who knows")
    assert holder_of(tmp_path) is None
    with locked("out", tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_room_for_the_reserve_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", refuse)
    with pytest.raises(SettingError, match=rf"^out={tmp_path}: cannot be written: No space left on device$"):
        locked("out", tmp_path).__enter__()
    assert list(tmp_path.iterdir()) == []


def test_last_words_are_written_in_the_space_that_was_kept(tmp_path: Path) -> None:
    def write() -> None:
        if (tmp_path / LOCK_FILE).stat().st_size > RESERVE:
            raise WriteError(errno.ENOSPC, "No space left on device", "run.json")
        (tmp_path / "run.json").write_text("failed")

    with locked("out", tmp_path):
        assert last_words(tmp_path, write)
    assert (tmp_path / "run.json").read_text() == "failed"


def test_last_words_that_nothing_takes_are_given_up(tmp_path: Path) -> None:
    def write() -> None:
        raise WriteError(errno.EIO, "Input/output error", "run.json")

    with locked("out", tmp_path):
        assert not last_words(tmp_path, write)
