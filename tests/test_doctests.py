"""The examples in docstrings run and answer what they say, without a warning, in an empty folder."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import vanishgrad

FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
RUN_ON_IMPORT = {"vanishgrad.__main__"}


def module_names() -> list[str]:
    """All modules of the package."""
    inside = pkgutil.walk_packages(vanishgrad.__path__, "vanishgrad.")
    return [name for name in ("vanishgrad", *(one.name for one in inside)) if name not in RUN_ON_IMPORT]


def examples() -> Iterator[doctest.DocTest]:
    """One per docstring that has examples, whatever it documents."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in module_names():
        yield from (test for test in finder.find(importlib.import_module(name)) if test.examples)


EXAMPLES = {test.name: test for test in examples()}


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_an_example_answers_what_it_says(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    failed, tried = runner.run(EXAMPLES[name], out=report.append, clear_globs=False)
    assert not failed, "".join(report)
    assert tried


def test_no_example_is_skipped_or_overlooked() -> None:
    found = [one for test in EXAMPLES.values() for one in test.examples]
    assert not any(one.options.get(doctest.SKIP) for one in found)
    files = sorted(Path(vanishgrad.__path__[0]).rglob("*.py"))
    written = sum(len(re.findall(r"^ *>>> ", file.read_text(encoding="utf-8"), re.M)) for file in files)
    assert len(found) == written


@pytest.mark.parametrize("name", ["q_star", "chi_1", "length_map", "second_moment", "slope_moment"])
def test_the_functions_of_the_theory_have_an_example(name: str) -> None:
    assert f"vanishgrad.theory.mean_field.{name}" in EXAMPLES


def test_a_wrong_answer_is_noticed() -> None:
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, None)
    report: list[str] = []
    assert doctest.DocTestRunner(optionflags=FLAGS).run(wrong, out=report.append).failed == 1
