"""Help, version and what is no command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Vanishgrad = Callable[..., Any]

COMMANDS = ("train", "report", "lab", "diagnose", "cure", "theory", "sample", "options")
REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("arguments", [(), ("help",), ("--help",), ("-h",)])
def test_the_overview_has_a_line_for_every_command_and_three_examples(
    vanishgrad: Vanishgrad, arguments: tuple[str, ...]
) -> None:
    done = vanishgrad(*arguments)
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert all(sum(line.startswith(f"  {name} ") for line in lines) == 1 for name in COMMANDS)
    assert sum(line.startswith("  vanishgrad ") for line in lines) == 3


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_page_wherever_the_flag_stands(vanishgrad: Vanishgrad, name: str) -> None:
    pages = {
        vanishgrad(*arguments).out for arguments in [(name, "--help"), (name, "x=1", "-h"), ("help", name)]
    }
    (page,) = pages
    assert page.startswith(f"usage: vanishgrad {name}")


@pytest.mark.parametrize(
    "arguments",
    [["--help"], [], ["train", "--help"], ["cure", "-h"], ["lab", "-h"], ["report", "-h"], ["--version"]],
)
def test_help_imports_neither_torch_nor_hydra(arguments: list[str]) -> None:
    code = (
        "import sys; from vanishgrad.cli import main; status = main(sys.argv[1:]); "
        "heavy = {'torch', 'hydra', 'omegaconf', 'numpy', 'rich'} & set(sys.modules); "
        "assert not heavy, heavy; sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vanishgrad", "--version"], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "vanishgrad 0.1.0\n")


@pytest.mark.parametrize("arguments", [("train",), ("train", "depth=3"), ("report",), ("options", "act")])
def test_every_command_tells_the_version_of_vanishgrad(
    vanishgrad: Vanishgrad, arguments: tuple[str, ...]
) -> None:
    done = vanishgrad(*arguments, "--version")
    assert (done.status, done.out, done.err) == (0, "vanishgrad 0.1.0\n", "")
    assert "no such command" in vanishgrad("trian", "--version").error


@pytest.mark.parametrize("arguments, hint", [(("trian",), "train"), (("depth=3",), "train"), (("zzz",), "")])
def test_an_unknown_command_is_answered_with_the_valid_ones(
    vanishgrad: Vanishgrad, arguments: tuple[str, ...], hint: str
) -> None:
    done = vanishgrad(*arguments)
    assert (done.status, done.out) == (2, "")
    assert f"choose one of {', '.join(COMMANDS)}" in done.error
    assert ("did you mean" in done.error) == bool(hint)


def test_the_help_page_of_train_lists_every_choice(vanishgrad: Vanishgrad) -> None:
    page = vanishgrad("train", "--help").out
    files = (REPOSITORY / "conf").glob("*/*.yaml")
    assert not [file.stem for file in files if file.stem not in page.split()]
    assert max(map(len, page.splitlines())) <= 82
