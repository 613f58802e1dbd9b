"""Whatever is typed or found in a folder ends with work or one clear message: a part of `scripts/fuzz.py`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from vanishgrad.config.location import use_own
from vanishgrad.sweeps import processes

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(scope="module", autouse=True)
def scripts() -> Iterator[None]:
    use_own(None)  # a command of another test may have named a folder
    sys.path.insert(0, str(SCRIPTS))
    warm = processes.warm
    yield
    processes.warm = warm
    sys.path.remove(str(SCRIPTS))


Check = Callable[[Iterable[int], int], set[object]]


@pytest.fixture(scope="module")
def check(scripts: None, tmp_path_factory: pytest.TempPathFactory) -> Check:
    """Run command lines; the statuses that they ended with."""
    from fuzz_commands import Commands

    return checked(Commands(tmp_path_factory.mktemp("commands")).run)


@pytest.fixture(scope="module")
def check_folders(scripts: None, tmp_path_factory: pytest.TempPathFactory) -> Check:
    """Damage folders and read them; the statuses that the commands ended with."""
    from fuzz_folders import Folders

    return checked(Folders(tmp_path_factory.mktemp("folders")).run)


def checked(run: Callable[[int, int], Any]) -> Check:
    """Runs cases by their numbers, and fails with those that do not hold."""

    def check(numbers: Iterable[int], seed: int) -> set[object]:
        cases = [run(seed, number) for number in numbers]
        wrong = [f"{one.what}\n    {one.wrong}" for one in cases if one.wrong]
        assert not wrong, "\n".join(wrong)
        return {one.status for one in cases}

    return check


def test_a_few_command_lines_end_with_their_work_or_one_message(check: Check) -> None:
    assert check(range(24), 1) == {0, 2}


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_many_command_lines_end_with_their_work_or_one_message(part: int, check: Check) -> None:
    assert check(range(part * 50, part * 50 + 50), 2) == {0, 2}


def test_a_few_damaged_folders_are_read_or_refused(check_folders: Check) -> None:
    assert check_folders(range(12), 1) == {0, 2}


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_many_damaged_folders_are_read_or_refused(part: int, check_folders: Check) -> None:
    assert {0, 2} <= check_folders(range(part * 25, part * 25 + 25), 2) <= {0, 1, 2, 3}


def test_a_fault_of_a_folder_is_noticed(tmp_path: Path) -> None:
    """Each kind, made by hand."""
    from fuzz_folders import Answer, Folders, tree

    folder = tmp_path / "case"
    folder.mkdir()
    before = tree(folder)

    def said(status: object, err: str = "", there: dict[str, str] = before) -> str:
        return Folders._wrong(cast("Folders", None), Answer(status, "", err), folder, there)

    assert said(0, "note: x") == said(2, f"error: {folder}: y") == ""
    assert said("hang").startswith("hang")
    assert said("traceback", "Traceback").startswith("traceback")
    assert "exit status 7" in said(7)
    assert "printed on stderr" in said(0, "oh")
    assert "0 errors with exit status 2" in said(2)
    assert "1 errors with exit status 0" in said(0, f"error: {folder}")
    assert "names no folder" in said(2, "error: wrong")
    assert "changed: ['gone']" in said(0, there={"gone": "1"})


def test_a_fault_is_noticed(tmp_path: Path) -> None:
    """Each kind, made by hand."""
    from fuzz_commands import Done, faults, ignored

    def said(done: Done) -> str:
        return " ".join(faults(["train"], done, tmp_path, set()))

    assert "Traceback" in said(Done(None, "", "", 0.1, "Traceback (most recent call last)"))
    assert "exit status 1" in said(Done(1, "", "failed: x", 0.1))
    assert "not one error" in said(Done(2, "", "error: a\nerror: b", 0.1))
    assert "not one error" in said(Done(2, "", "oh", 0.1))
    assert "speaks of" in said(Done(2, "", "error: LexerNoViableAltException: x", 0.1))
    assert "speaks of" in said(Done(2, "", "error: does not support INTERVAL_SWEEP", 0.1))
    (tmp_path / "outputs").mkdir()
    assert "left ['outputs']" in said(Done(2, "", "error: x", 0.1))
    runs = [{"choices": {"depth": 3, "act": {"name": "relu"}, "name": "7"}}]
    typed = ["train", "depth=3", "act=relu", "name=7"]
    assert not list(ignored(typed, runs, ""))
    for wrong in ("depth=2", "act=tanh", "name=007", "depth=3,4"):
        assert list(ignored([*typed, wrong], runs, ""))


def test_no_two_runs_of_the_numbers_differ() -> None:
    from command_lines import command_line

    assert [command_line(number, 3) for number in range(50)] == [
        command_line(number, 3) for number in range(50)
    ]
    assert len({tuple(command_line(number, 3)) for number in range(200)}) > 150
