"""A training that is asked to end does so after a step, and leaves what it takes to go on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from vanishgrad.choices.data import Digits
from vanishgrad.engine import resume, train
from vanishgrad.engine.stack import Stack
from vanishgrad.records import CHECKPOINT_FILE, read_run
from vanishgrad.run import Run

RUN = Run(depth=2, width=3, max_steps=6, log_every=1, batch_size=16, threads=1, data=Digits(train_size=80))


@pytest.fixture
def asked_in(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps in the middle of which Ctrl-C is pressed, once for each time that they stand here."""
    steps: list[int] = []
    measured = Stack._pass

    def passing(self: Stack, step: int, *arguments: object) -> object:
        done = measured(self, step, *arguments)  # type: ignore[arg-type]
        for _ in range(steps.count(step)):
            os.kill(os.getpid(), signal.SIGINT)
        return done

    monkeypatch.setattr(Stack, "_pass", passing)
    return steps


@pytest.mark.parametrize("step", [0, 3, 6])
def test_a_run_of_the_library_goes_on_to_the_same_bytes(
    tmp_path: Path, asked_in: list[int], step: int
) -> None:
    train(RUN, tmp_path / "whole")
    asked_in.append(step)
    with pytest.raises(KeyboardInterrupt):
        train(RUN, tmp_path / "parts")
    record = read_run(tmp_path / "parts")
    assert record["steps"] == min(step + 1, 6)
    if step == 6:  # the last one, which nothing is left to do after
        assert record["status"] == "completed"
    else:
        assert record["status"] == "interrupted"
        asked_in.clear()
        assert resume(tmp_path / "parts").status == "completed"
    for file in ("gradients.csv",):
        assert (tmp_path / "parts" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


def test_who_asks_twice_is_not_kept_waiting(tmp_path: Path, asked_in: list[int]) -> None:
    asked_in += [2, 2]
    with pytest.raises(KeyboardInterrupt):
        train(RUN, tmp_path)
    assert read_run(tmp_path)["status"] == "interrupted"
    assert not (tmp_path / CHECKPOINT_FILE).exists()  # of a step that was half done
