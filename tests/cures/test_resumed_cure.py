"""A cure that was stopped goes on, and finds what it would have found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from vanishgrad import Run, cure
from vanishgrad.choices.data import Digits
from vanishgrad.cures import search
from vanishgrad.cures.search import Cure
from vanishgrad.errors import SettingError
from vanishgrad.records import SWEEP_RUNS_FILE
from vanishgrad.sweeps import sweep as sweeps
from vanishgrad.sweeps.work import JobGroup

SETTING = Run(depth=4, width=4, act="sigmoid", max_steps=10, threads=1, data=Digits(train_size=160))


@pytest.fixture(autouse=True)
def _costs_that_are_no_matter_of_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    def costs(run: Run, treated: Sequence[Run], total: int) -> list[float]:
        return [1.0 for _ in treated]

    monkeypatch.setattr(search.find_cure, "__defaults__", (*search.find_cure.__defaults__[:-1], costs))


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> tuple[list[int], Callable[[int], None]]:
    """The numbers of the jobs that are trained, and a way to be interrupted before the n-th group of them."""
    numbers: list[int] = []
    left: list[int] = []
    train_group = sweeps.train_group

    def training(group: JobGroup, *arguments: object) -> None:
        if left and len(left) == 1:
            left.clear()
            raise KeyboardInterrupt
        if left:
            left.pop()
        numbers.extend(job.number for job in group.jobs)
        train_group(group, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(sweeps, "train_group", training)
    return numbers, lambda count: left.extend(range(count))


def found(cured: Cure) -> list[dict[str, object]]:
    return cured.ranking.to_dict("records")


def cured_in(folder: Path) -> Cure:
    return cure(SETTING, folder, seeds=1, pairs=False, workers=1)


def test_the_same_call_goes_on_and_trains_nothing_twice(
    tmp_path: Path, trained: tuple[list[int], Callable[[int], None]]
) -> None:
    numbers, interrupt = trained
    whole = cured_in(tmp_path / "whole")
    asked, groups = sorted(numbers), (tmp_path / "whole" / SWEEP_RUNS_FILE).read_text().count("\n")
    assert asked == list(range(groups))
    numbers.clear()
    for count in (1, 3, 5):  # in the first trial, and in the first round
        interrupt(count)
        with pytest.raises(KeyboardInterrupt):
            cured_in(tmp_path / "parts")
    parts = cured_in(tmp_path / "parts")
    assert sorted(numbers) == asked
    assert str(found(parts)) == str(found(whole))
    assert parts.best == whole.best
    numbers.clear()
    assert str(found(cured_in(tmp_path / "parts"))) == str(found(whole))
    assert numbers == []


def test_another_cure_is_not_taken_for_it(
    tmp_path: Path, trained: tuple[list[int], Callable[[int], None]]
) -> None:
    numbers, interrupt = trained
    interrupt(2)
    with pytest.raises(KeyboardInterrupt):
        cured_in(tmp_path)
    with pytest.raises(SettingError, match=f"^out={tmp_path}: .* has 1 runs, now 2 are asked for"):
        cure(SETTING, tmp_path, seeds=2, workers=1)
    assert numbers == [0]
