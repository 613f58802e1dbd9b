"""What a run folder says beside its tables: the prediction at its start, the diagnosis at its end."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from vanishgrad import Run, diagnose, predict, train
from vanishgrad.choices.activation import Sigmoid, Tanh
from vanishgrad.choices.data import Digits
from vanishgrad.choices.initialization import Xavier
from vanishgrad.records import read_theory, strict
from vanishgrad.report import load_runs

VANISHING = Run(
    depth=15, width=16, max_steps=20, log_every=5, data=Digits(train_size=256), act=Sigmoid(), epochs=9
)
HEALTHY = replace(VANISHING, depth=3, act=Tanh(), init=Xavier(), max_steps=200, epochs=99)


@pytest.mark.parametrize("run", [VANISHING, HEALTHY], ids=["vanishing", "healthy"])
def test_a_run_folder_has_its_diagnosis(run: Run, tmp_path: Path) -> None:
    result = train(run, tmp_path)
    found = json.loads((tmp_path / "diagnosis.json").read_text())
    assert found == json.loads(json.dumps(strict(diagnose(tmp_path).plain())))
    assert [finding["finding"] for finding in found] == [one.finding for one in result.diagnosis]
    assert ("vanishing" in result.diagnosis) == (run is VANISHING)


def test_a_run_folder_has_its_prediction(tmp_path: Path) -> None:
    train(VANISHING, tmp_path)
    assert read_theory(tmp_path) == strict(predict(VANISHING).plain())


def test_the_report_holds_the_prediction_against_the_first_step(tmp_path: Path) -> None:
    """Drawn from the last hidden layer down: there the two agree by construction, elsewhere by theory."""
    train(VANISHING, tmp_path)
    rows = load_runs(tmp_path).gradients
    first = rows[(rows["step"] == 0) & (rows["layer"] <= 15)].set_index("layer")
    ratio = first["predicted_delta_norm"] / first["delta_norm"]
    assert ratio[15] == pytest.approx(1)
    assert ratio.between(0.3, 3).all()  # over 12 decades; the width of 16 scatters
    assert rows.loc[(rows["step"] > 0) | (rows["layer"] == 16), "predicted_delta_norm"].isna().all()


def test_a_folder_without_a_prediction_is_read_all_the_same(tmp_path: Path) -> None:
    train(VANISHING, tmp_path)
    (tmp_path / "theory.json").write_text("{")
    assert load_runs(tmp_path).gradients["predicted_delta_norm"].isna().all()
