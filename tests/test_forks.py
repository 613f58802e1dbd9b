"""Work shared with copies of this process."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from vanishgrad import forks
from vanishgrad.forks import Aside, shared
from vanishgrad.report import load_runs, loading

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are copied on Linux alone")


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cores, and nothing that breaks in a copy: none of these tests computes."""
    monkeypatch.setattr(forks, "cores", lambda: 2)
    monkeypatch.setattr(forks, "_can_copy", lambda: True)


def by(number: int) -> tuple[int, int]:
    return number**2, os.getpid()


@pytest.mark.usefixtures("two")
def test_other_processes_answer_in_order() -> None:
    with shared(by, range(20)) as answers:
        found = list(answers)
    assert [square for square, _ in found] == [number**2 for number in range(20)]
    processes = {process for _, process in found}
    assert os.getpid() not in processes
    assert len(processes) <= forks.MOST


@pytest.mark.usefixtures("two")
def test_what_a_process_that_died_left_undone_this_one_does() -> None:
    here = os.getpid()

    def dies_elsewhere(number: int) -> int:
        if number == 3 and os.getpid() != here:
            os._exit(9)
        return number

    with shared(dies_elsewhere, range(8)) as answers:
        assert list(answers) == list(range(8))


@pytest.mark.usefixtures("two")
def test_an_error_elsewhere_is_the_error_here() -> None:
    def refuses(number: int) -> int:
        raise KeyError(number, os.getpid())

    with shared(refuses, [7]) as answers, pytest.raises(KeyError) as raised:
        list(answers)
    assert raised.value.args == (7, os.getpid())


def test_one_core_does_all_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "_can_copy", lambda: True)
    monkeypatch.setattr(forks, "cores", lambda: 1)
    with shared(by, [1, 2]) as answers:
        assert list(answers) == [(1, os.getpid()), (4, os.getpid())]


@pytest.mark.parametrize(
    ("platform", "module", "thread", "copies"),
    [
        ("linux", "no.such", Aside, True), ("linux", "no.such", threading.Thread, False),
        ("linux", "pytest", Aside, False), ("darwin", "no.such", Aside, False),
    ],
)  # fmt: skip
def test_a_process_is_copied_only_where_a_copy_is_whole(
    monkeypatch: pytest.MonkeyPatch, platform: str, module: str, thread: type, copies: bool
) -> None:
    over = threading.Event()
    one = Aside(lambda: None) if thread is Aside else threading.Thread(target=over.wait)
    monkeypatch.setattr(forks, "BREAK_FORKS", (module,))
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(forks, "running_threads", lambda: [threading.current_thread(), one])
    assert forks._can_copy() is copies


@pytest.mark.usefixtures("two")
def test_two_processes_read_what_one_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "AT_A_TIME", 2)
    for number in range(7):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "run.json").write_text(f'{{"status": "completed", "seed": {number}}}')
        (folder / "gradients.csv").write_text(f"step,layer,grad_norm\n0,1,0.{number}\n0,2,{number}\n")
    (tmp_path / "1/metrics.csv").write_text("step,train_loss,val_loss\n0,0.5,\n1,0.25,0.5\n")
    (tmp_path / "3/gradients.csv").write_text("step,layer\n0,one\n")
    (tmp_path / "4/run.json").write_text("{")
    both = load_runs(tmp_path, most_steps=120)
    monkeypatch.setattr(forks, "_can_copy", lambda: False)
    one = load_runs(tmp_path, most_steps=120)
    assert [folder.name for folder, _ in both.skipped] == ["3", "4"]
    assert both.skipped == one.skipped
    assert both.names == one.names
    assert both.gradients.equals(one.gradients)
    assert both.metrics.equals(one.metrics)
    assert [run.diagnosis for run in both] == [run.diagnosis for run in one]
