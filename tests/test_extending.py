"""The guide's files and examples, run as they are printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
GUIDE = REPOSITORY / "docs" / "extending.md"
BLOCKS: list[tuple[str, str]] = re.findall(r"```(\w+)\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.S)
FILES = {
    named.group(1): text for _, text in BLOCKS if (named := re.match(r"# (own/\S+)\n", text)) is not None
}
SCRIPTS = [text for kind, text in BLOCKS if kind == "python" and text not in FILES.values()]
COMMANDS = [line for kind, text in BLOCKS if kind == "console" for line in text.splitlines()]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with the files of the guide in `own`."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def run(folder: Path, *arguments: str, path: str = "") -> str:
    """What a fresh process prints in the folder."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), path]),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_guide_has_files_scripts_and_commands() -> None:
    assert len(FILES) == 6
    assert len(SCRIPTS) == 3
    assert len(COMMANDS) == 4


def test_the_library_way(own: Path) -> None:
    assert run(own, "-W", "error", "-c", "\n".join(SCRIPTS), path=str(own / "own"))


@pytest.mark.parametrize(
    "command", [COMMANDS[0], *(pytest.param(command, marks=pytest.mark.slow) for command in COMMANDS[1:])]
)
def test_the_command_way(own: Path, command: str) -> None:
    """`--config-dir` alone finds the classes; what was trained is read without them."""
    words = command.split()
    assert words[0] == "vanishgrad"
    assert run(own, "-m", *words)
    (own / "own").rename(own / "gone")
    assert run(own, "-m", "vanishgrad", "diagnose")
