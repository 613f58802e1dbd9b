"""What the package says of itself: its version, and what it needs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import vanishgrad
from vanishgrad.cli import main
from vanishgrad.engine.recorder import versions

REPOSITORY = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
NEEDED = {
    match[1]: match[2]
    for text in PROJECT["project"]["dependencies"]
    if (match := re.fullmatch(r"([\w-]+)(?:>=([\d.]+))?(?:,<[\d.]+)?", text))
}
UNTESTED = ("torch",)  # CONTRIBUTING.md says why


def pinned(file: str) -> dict[str, str]:
    lines = (REPOSITORY / file).read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def release(version: str) -> tuple[int, ...]:
    numbers = tuple(map(int, version.split(".")))
    return numbers + (0,) * (3 - len(numbers))


def test_the_version_stands_in_one_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert "version" not in PROJECT["project"]
    file = REPOSITORY / PROJECT["tool"]["hatch"]["version"]["path"]
    assert file.read_text().count("0.1.0") == 1
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"vanishgrad {vanishgrad.__version__}\n"
    assert versions()["vanishgrad"] == vanishgrad.__version__


def test_every_dependency_has_a_lower_bound_that_is_tested() -> None:
    assert len(NEEDED) == len(PROJECT["project"]["dependencies"])
    lowest = pinned("lowest.txt")
    for name, bound in NEEDED.items():
        assert bound, f"{name} has no lower bound"
        assert name in UNTESTED or release(lowest[name]) == release(bound), name
    assert set(NEEDED) <= set(lowest)


def test_what_is_pinned_is_not_older_than_what_is_needed() -> None:
    for name, version in pinned("constraints.txt").items():
        if name in NEEDED:
            assert release(version) >= release(NEEDED[name])


def test_a_test_that_never_ends_is_ended() -> None:
    assert 0 < PROJECT["tool"]["pytest"]["ini_options"]["timeout"] <= 300


@pytest.mark.slow
def test_a_slow_test_has_more_time(request: pytest.FixtureRequest) -> None:
    (marker,) = request.node.iter_markers("timeout")
    assert marker.args[0] > PROJECT["tool"]["pytest"]["ini_options"]["timeout"]
