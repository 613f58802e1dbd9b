"""All ten chapters, quickly: every one of them runs and renders."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from vanishgrad.lab import CHAPTERS


@pytest.mark.slow
def test_every_chapter_runs_and_renders(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vanishgrad", "lab", "profile=quick", f"out={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    claims = pd.read_csv(tmp_path / "claims.csv")
    assert list(claims["chapter"].unique()) == [one.name for one in CHAPTERS]
    for chapter in CHAPTERS:
        assert len(claims[claims["chapter"] == chapter.name].drop_duplicates("claim")) == len(chapter.claims)
        for plate in chapter.plates:
            assert (tmp_path / "figures" / f"{chapter.name}_{plate.name}.png").stat().st_size > 5000
    assert "Quick profile" in (tmp_path / "index.html").read_text(encoding="utf-8")
