"""What is seen of a sweep while it goes on."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from vanishgrad.cli.sweep_display import (
    LONGEST,
    Tally,
    _clock,
    drawn,
    one_line,
    outcome_text,
    setting,
    sweep_display,
)
from vanishgrad.run import Run
from vanishgrad.sweeps.job import Job, Outcome

RUN = Run()


def jobs_of(*labels: str) -> list[Job]:
    return [Job(number, RUN, Path(str(number)), label=label) for number, label in enumerate(labels)]


def four() -> list[Job]:
    return jobs_of("act=relu seed=0", "act=relu seed=1", "act=sigmoid seed=0", "act=sigmoid seed=1")


def completed(number: int, **metrics: float | None) -> Outcome:
    return Outcome(number, "completed", 1.0, metrics)


def failed(number: int, error: str = "RuntimeError: out of luck") -> Outcome:
    return Outcome(number, "failed", 0.0, error=error)


def text_of(tally: Tally, now: float, width: int = 100) -> list[str]:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    with console.capture() as captured:
        console.print(drawn(tally, now))
    return [line.rstrip() for line in captured.get().splitlines()]


def test_where_nobody_watches_every_run_is_a_line_when_it_ends(capsys: pytest.CaptureFixture[str]) -> None:
    with sweep_display(Console(width=30), four(), {}) as display:
        display.started([0, 1, 2, 3])
        assert capsys.readouterr().out == ""
        display.ended(completed(2, val_accuracy=0.9171, val_loss=0.3, gradient_slope=0.0208))
        assert capsys.readouterr().out == (
            "  2  act=sigmoid seed=0  completed  accuracy 0.917  slope +0.021\n"
        )
        display.ended(failed(0))
        display.refresh()
    assert capsys.readouterr().out == "  0  act=relu seed=0     failed: RuntimeError: out of luck\n"


def test_lines_are_flushed_into_a_file_as_they_are(tmp_path: Path) -> None:
    with open(tmp_path / "log", "w") as file:
        jobs = jobs_of("data.sizes=[a,b] seed=0")
        with sweep_display(Console(file=file, width=20), jobs, {}) as display:
            display.ended(completed(0))
            assert (tmp_path / "log").read_text() == "  0  data.sizes=[a,b] seed=0  completed\n"


def test_a_terminal_is_drawn_on_and_left_as_it_was() -> None:
    file = io.StringIO()
    console = Console(
        file=file, width=100, height=20, force_terminal=True, color_system=None, _environ={"TERM": "xterm"}
    )
    with sweep_display(console, four(), {}) as display:
        display.started([0, 1, 2, 3])
        display.ended(failed(0))
        display.refresh()
    shown = file.getvalue()
    assert "1 of 4 runs done · 3 running · 1 failed" in shown
    assert "out of luck" not in shown
    assert shown.endswith("\x1b[1A\x1b[2K" * 2)  # up, and the line is empty again
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1  # the cursor is back


def test_a_terminal_that_cannot_be_drawn_on_gets_lines() -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, _environ={"TERM": "dumb"})
    with sweep_display(console, four(), {}) as display:
        display.ended(completed(1, val_loss=0.25))
    assert file.getvalue() == "  1  act=relu seed=1     completed  loss 0.25\n"


@pytest.mark.parametrize(
    ("outcome", "line"),
    [
        (completed(0, val_accuracy=math.nan, val_loss=0.3), "completed"),
        (completed(0, val_accuracy=None, val_loss=0.31, gradient_slope=None), "completed  loss 0.31"),
        (completed(0, val_loss=1.5, bits_per_character=2.1), "completed  loss 1.5  bits per character 2.100"),
        (Outcome(0, "diverged", 1.0, {"val_loss": math.inf}, 12, 12), "diverged at step 12"),
        (Outcome(0, "diverged", 1.0, {"gradient_slope": -0.5}, 0, 0), "diverged at step 0  slope -0.500"),
        (Outcome(0, "interrupted", 1.0), "interrupted"),
        (failed(0, "ValueError: a\n\n  b\n"), "failed: ValueError: a b"),
        (Outcome(0, "failed", 0.0), "failed: for an unknown reason"),
    ],
)
def test_how_a_run_ended(outcome: Outcome, line: str) -> None:
    assert outcome_text(outcome) == line


def test_a_long_error_is_cut() -> None:
    assert one_line("a" * LONGEST) == "a" * LONGEST
    assert one_line("a" * (LONGEST + 1)) == "a" * (LONGEST - 1) + "…"


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("act=relu seed=1", "act=relu"),
        ("seed=10 lr=0.1 act=relu", "lr=0.1 act=relu"),
        ("data.seed=1 seed=2", "data.seed=1"),
        ("seed=3", ""),
        ("", ""),
    ],
)
def test_a_setting_is_a_label_without_its_seed(label: str, name: str) -> None:
    assert setting(label) == name


def tally_of(jobs: Sequence[Job], *outcomes: Outcome) -> Tally:
    tally = Tally(jobs, {}, 0.0)
    for outcome in outcomes:
        tally.ended(outcome, 1.0)
    return tally


def test_the_best_and_the_worst_setting_by_the_mean_accuracy_over_seeds() -> None:
    found = tally_of(
        four(), completed(0, val_accuracy=0.9), completed(1, val_accuracy=0.5),
        completed(2, val_accuracy=0.8, val_loss=0.1), completed(3, val_accuracy=math.nan),
    )  # fmt: skip
    assert list(map(str, found.standings())) == [
        "accuracy 0.800 (1 run)  act=sigmoid", "accuracy 0.700 (2 runs)  act=relu",
    ]  # fmt: skip


def test_the_lowest_loss_is_best_where_there_is_no_accuracy() -> None:
    jobs = jobs_of("lr=1", "lr=2", "lr=3", "lr=4", "lr=5")
    stopped = Outcome(4, "interrupted", 1.0, {"val_loss": 0.0})
    losses = [completed(number, val_loss=loss) for number, loss in enumerate((2.0, 0.5, 3.0, math.inf))]
    lines = text_of(tally_of(jobs, *losses, stopped), 1.0)
    assert lines[2:] == ["best   loss 0.5 (1 run)  lr=2", "worst  loss 3 (1 run)  lr=3"]


def test_one_setting_is_not_the_worst_too_and_nothing_known_is_no_line() -> None:
    jobs = jobs_of("seed=0", "seed=1", "seed=2")
    assert len(text_of(tally_of(jobs, failed(0)), 1.0)) == 2
    found = tally_of(jobs, failed(0), completed(1, val_accuracy=0.5), completed(2, val_accuracy=0.6))
    assert text_of(found, 1.0)[2:] == ["best   accuracy 0.550 (2 runs)"]


def test_the_time_left_follows_from_the_pace_and_counts_down() -> None:
    tally = Tally(four(), {}, 100.0)
    tally.started([0, 1])
    assert tally.remaining(105.0) is None
    assert text_of(tally, 105.0)[1].endswith("0:00:05 elapsed, ? left")
    tally.ended(completed(0), 110.0)
    assert tally.remaining(110.0) == 30.0
    assert tally.remaining(112.5) == 27.5
    assert text_of(tally, 112.5)[1].endswith("0:00:12 elapsed, 0:00:28 left")
    assert tally.remaining(141.0) is None  # longer than foreseen: nobody knows
    for number in (1, 2, 3):
        tally.ended(completed(number), 140.0)
    assert tally.remaining(140.0) == 0.0


def test_runs_that_ended_before_count_as_done_but_say_nothing_about_the_pace() -> None:
    elsewhere = {0: completed(0), 1: failed(1), 77: completed(77)}
    tally = Tally(four(), elsewhere, 0.0)
    assert (tally.done, tally.counts(), tally.remaining(5.0)) == (2, {"failed": 1}, None)
    tally.started([1, 2])  # the failed one again
    assert (tally.done, tally.counts()) == (1, {"running": 2})
    tally.ended(completed(1), 10.0)
    assert (tally.done, tally.counts(), tally.remaining(10.0)) == (2, {"running": 1}, 20.0)


def test_a_run_that_is_said_to_go_on_after_its_end_stays_ended() -> None:
    tally = tally_of(four(), completed(0))
    tally.started([0, 1])
    assert (tally.done, tally.counts()) == (1, {"running": 1})


@pytest.mark.parametrize("width", [60, 100, 160])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    long = " ".join(f"choice{number}=value" for number in range(20))
    tally = Tally(jobs_of(f"{long} lr=1", f"{long} lr=2"), {}, 0.0)
    tally.started([0, 1])
    tally.ended(completed(0, val_accuracy=0.5), 4000.0)
    tally.ended(completed(1, val_accuracy=0.6), 40000.0)
    lines = text_of(tally, 40001.0, width)
    assert len(lines) == 4
    assert max(map(len, lines)) <= width
    assert lines[3].startswith("worst  accuracy 0.500 (1 run)  choice0=value")


@pytest.mark.parametrize(
    "seconds, told", [(-3.0, "0:00:00"), (0.4, "0:00:00"), (65.0, "0:01:05"), (90061.0, "1 day, 1:01:01")]
)
def test_a_time_is_told_in_whole_seconds(seconds: float, told: str) -> None:
    assert _clock(seconds) == told
