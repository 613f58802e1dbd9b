"""Whatever is typed ends with its work or with one clear message: a part of `scripts/fuzz.py commands`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from vanishgrad.config.location import use_own

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(scope="module", autouse=True)
def scripts() -> Iterator[None]:
    use_own(None)  # a command of another test may have named a folder
    sys.path.insert(0, str(SCRIPTS))
    yield
    sys.path.remove(str(SCRIPTS))


Check = Callable[[Iterable[int], int], set[object]]


@pytest.fixture(scope="module")
def check(scripts: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Check]:
    """Run command lines; the statuses that they ended with."""
    from fuzz_commands import Commands

    from vanishgrad.sweeps import processes

    warm = processes.warm
    commands = Commands(tmp_path_factory.mktemp("commands"))

    def run(numbers: Iterable[int], seed: int) -> set[object]:
        cases = [commands.run(seed, number) for number in numbers]
        wrong = [f"{one.what}\n    {one.wrong}" for one in cases if one.wrong]
        assert not wrong, "\n".join(wrong)
        return {one.status for one in cases}

    yield run
    processes.warm = warm


def test_a_few_command_lines_end_with_their_work_or_one_message(check: Check) -> None:
    assert check(range(24), 1) == {0, 2}


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_many_command_lines_end_with_their_work_or_one_message(part: int, check: Check) -> None:
    assert check(range(part * 50, part * 50 + 50), 2) == {0, 2}


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
