"""The examples in the docstrings of the report's public functions run, and give what they say."""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from vanishgrad import records
from vanishgrad.report import figures, labels, load_runs, settings
from vanishgrad.report.exhibits import EXHIBITS

DRAWING = {
    name: getattr(figures, name) for name in figures.__all__ if inspect.isroutine(getattr(figures, name))
}
OTHERS = (load_runs, labels.varied_keys, settings.verdict_of, records.flatten)


@pytest.mark.parametrize("function", [*DRAWING.values(), *OTHERS], ids=lambda each: each.__name__)
def test_the_example_of_a_function_runs(function: Callable[..., Any]) -> None:
    # A decorated figure has the globals of its decorator: doctest's own search would pass it over.
    names = dict(inspect.unwrap(function).__globals__)
    (example,) = doctest.DocTestFinder(recurse=False).find(function, function.__name__, False, names)
    assert example.examples, f"{function.__name__} has no example"
    assert not doctest.DocTestRunner().run(example).failed


def test_every_figure_of_a_report_is_a_function_of_the_library() -> None:
    assert {exhibit.draw for exhibit in EXHIBITS} <= set(DRAWING.values())
