"""What is said of a run is said once, in one place, wherever it is printed."""

from __future__ import annotations

import ast
import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from vanishgrad import Run, train
from vanishgrad.choices.activation import Sigmoid
from vanishgrad.choices.data import Adding
from vanishgrad.choices.model import RNN
from vanishgrad.cli.run_table import _states, show_run
from vanishgrad.diagnosis.describe import FLAT, Flow, Where, flow_through_time, headline
from vanishgrad.report import load_runs, write_report
from vanishgrad.report.tables import time_slope

PACKAGE = Path(__file__).parents[2] / "vanishgrad"


def terminal_and_page(run: Run, folder: Path) -> tuple[str, str]:
    """What is printed at the end of a run, and the text of its report."""
    result, screen = train(run, folder / "run"), io.StringIO()
    show_run(Console(file=screen, width=1000), result, folder / "run")
    page = write_report([folder / "run"], folder / "report").page.read_text(encoding="utf-8")
    return screen.getvalue(), re.sub(r"<[^>]*>", "", page)


@pytest.mark.slow
def test_terminal_and_report_agree_that_gradients_keep_their_size_back_through_time(tmp_path: Path) -> None:
    """They shrink 1.04 x per time step, 2 x over all 20: one said that this is flat, the other not."""
    run = Run(
        model=RNN("orthogonal"), data=Adding(length=20), max_steps=20, width=64, log_every=10, threads=1
    )
    said, page = terminal_and_page(run, tmp_path)
    assert "Exploding: the gradient is" in said
    for text in (said, page):
        assert "At the start gradients keep their size back through time." in text
        assert "shrink 1.04" not in text
        assert "by a factor of 1.04" not in text


@pytest.mark.slow
def test_one_page_has_one_number_for_one_thing(tmp_path: Path) -> None:
    """The finding is a median over the run; the slope of the start is another number of the same network."""
    run = Run(depth=8, width=16, act=Sigmoid(), max_steps=220, epochs=1000, log_every=20, threads=1)
    said, page = terminal_and_page(run, tmp_path)
    for text in (said, page):
        factors = set(re.findall(r"([\d.]+) x per layer", text))
        factors |= set(re.findall(r"by a factor of ([\d.]+) per layer", text))
        assert len(factors) == 1, factors


def test_what_is_flat_is_flat_per_layer_and_per_time_step() -> None:
    assert Flow(0.9 * FLAT).flat
    assert not Flow(1.1 * FLAT).flat
    assert not Flow(0.9 * FLAT, decades=-2.5).flat  # over a hundred places it adds up
    places: tuple[Where, ...] = ("layers", "time")
    for where in places:
        assert "keep their size" in headline("", None, Flow(0.9 * FLAT), where)
        assert "shrink 1.14 x" in headline("", None, Flow(1.1 * FLAT), where)


def test_no_room_that_prints_has_a_threshold_of_what_is_flat() -> None:
    rooms = ("cli", "cure", "lab", "report", "sweep")
    files = [file for room in rooms for file in (PACKAGE / room).rglob("*.py")]
    assert files
    found = [
        f"{file}:{node.lineno}"
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, float)
        and any("FLAT" in ast.unparse(target) or "ALIKE" in ast.unparse(target) for target in node.targets)
        and file.parent.name != "figures"  # of what a picture shows
    ]
    assert not found


def test_a_flow_through_time_is_the_slope_of_the_report(tmp_path: Path) -> None:
    run = Run(model=RNN(), data=Adding(length=6, train_size=64, held_out=16), max_steps=2, width=8, threads=1)
    result = train(run, tmp_path / "run")
    (reported,) = load_runs(tmp_path / "run")
    assert flow_through_time(_states(result)["start"]).slope == pytest.approx(time_slope(reported))
