"""The command, run in this process from an empty directory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from vanishgrad.cli import main, terminal


@dataclass(frozen=True)
class Done:
    """What a command did."""

    status: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one message of a refused command."""
        lines = [line for line in self.err.splitlines() if not line.startswith("note: ")]
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: ")
        return lines[0].removeprefix("error: ")


Vanishgrad = Callable[..., Done]


@pytest.fixture
def vanishgrad(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Vanishgrad:
    """Run the command with its arguments in `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(terminal, "PATIENCE", 1e6)  # on a busy machine nothing is quick

    def run(*arguments: str) -> Done:
        capsys.readouterr()
        GlobalHydra.instance().clear()
        status = main(list(arguments))
        said = capsys.readouterr()
        return Done(status, said.out, said.err)

    return run
