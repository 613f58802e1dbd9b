"""Every figure is a function of the library, and its docstring has an example; the doctests run it."""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from vanishgrad.report import figures, load_runs
from vanishgrad.report.exhibits import EXHIBITS

DRAWING = {
    name: getattr(figures, name) for name in figures.__all__ if inspect.isroutine(getattr(figures, name))
}


@pytest.mark.parametrize("function", [*DRAWING.values(), load_runs], ids=lambda each: each.__name__)
def test_a_public_function_says_what_it_reads_and_has_an_example(function: Callable[..., Any]) -> None:
    module = inspect.getmodule(function)
    (found,) = doctest.DocTestFinder(recurse=False).find(function, function.__name__, module)
    assert found.examples
    assert function is figures.palette or "Arguments:" in found.docstring


def test_every_figure_of_a_report_is_a_function_of_the_library() -> None:
    assert {exhibit.draw for exhibit in EXHIBITS} <= set(DRAWING.values())
