"""Folders of version 0.1, which say neither what their choices are nor which remedies fit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from vanishgrad import diagnose
from vanishgrad.cli.diagnose import treated_command
from vanishgrad.description import described
from vanishgrad.records import read_run
from vanishgrad.report import load_runs

Tables = Callable[..., tuple[pd.DataFrame, pd.DataFrame]]
OLD = Path(__file__).parents[1] / "folders_of_0_1"
FOLDERS = sorted(path.parent for path in OLD.rglob("run.json"))


@pytest.fixture
def sick(tmp_path: Path, tables: Tables) -> Path:
    """A folder of 0.1 with the tables of a run that vanishes."""
    folder = tmp_path / "run"
    shutil.copytree(OLD / "single", folder)
    rows, metrics = tables(9.0, accuracy=(0.1, 0.1), saturation=0.65)
    rows.to_csv(folder / "gradients.csv", index=False)
    metrics.to_csv(folder / "metrics.csv", index=False)
    return folder


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.relative_to(OLD)))
def test_what_was_found_then_is_found_now(folder: Path) -> None:
    assert "fitting" not in json.loads((folder / "run.json").read_text())
    then = [one["finding"] for one in json.loads((folder / "diagnosis.json").read_text())]
    assert [one.finding for one in diagnose(folder)] == then
    (run,) = load_runs(folder)
    assert [one.finding for one in run.diagnosis] == then


def test_its_remedies_are_in_words_of_pytorch_and_there_is_nothing_to_type(sick: Path) -> None:
    (run,) = load_runs(sick)
    for found in (diagnose(sick), run.diagnosis):
        assert found.verdict == "vanishing"
        assert found.findings[0].remedies[0].override.startswith("nn.BatchNorm1d")
    assert treated_command(run, run.diagnosis.findings[0].remedies[0].override) is None


@pytest.mark.parametrize(("act", "found"), [("tanh", True), ("relu", False), ("mine", False)])
def test_whether_its_activation_is_bounded_is_known_by_name(sick: Path, act: str, found: bool) -> None:
    """Of an activation that 0.1 did not have the outputs tell, whose deviation of 0.5 is not that of tanh."""
    record: dict[str, Any] = json.loads((sick / "run.json").read_text())
    record["effective"]["act"] = {"name": act}
    (sick / "run.json").write_text(json.dumps(record))
    assert ("saturated" in diagnose(sick)) == found
    tables = [pd.read_csv(sick / f"{name}.csv") for name in ("gradients", "metrics")]
    assert ("saturated" in diagnose(*tables, setting=record["effective"])) == found


def test_its_setting_can_be_read_and_a_setting_with_a_remedy_too() -> None:
    for folder in FOLDERS:
        record = read_run(folder)
        assert described(record["effective"]).seed == record["seed"]


def test_a_table_alone_is_read_without_any_setting() -> None:
    assert diagnose(pd.read_csv(OLD / "single" / "gradients.csv")).learned is None
