"""`cure(run)`: the command's search as a function."""

from __future__ import annotations

from pathlib import Path

import pytest

from vanishgrad import Run, cure
from vanishgrad.cures.ranking import COLUMNS
from vanishgrad.cures.search import Cure, Stage, trial_steps
from vanishgrad.errors import SettingError

SICK = Run(depth=8, width=16, act="sigmoid", max_steps=40, threads=1)


@pytest.fixture(scope="module")
def stages() -> list[Stage]:
    return []


@pytest.fixture(scope="module")
def cured(stages: list[Stage], tmp_path_factory: pytest.TempPathFactory) -> Cure:
    out = tmp_path_factory.mktemp("cured") / "trials"
    return cure(SICK, out, seeds=1, pairs=False, workers=1, tell=stages.append)


@pytest.mark.slow
def test_the_best_is_a_setting_that_learns(cured: Cure) -> None:
    assert cured.diagnosis.findings
    assert cured.best is not None
    assert cured.winner is not None
    assert cured.best == cured.winner.treatment.run != SICK


@pytest.mark.slow
def test_the_ranking_is_a_frame_with_the_untreated_setting_last(cured: Cure) -> None:
    ranking = cured.ranking
    assert tuple(ranking.columns) == COLUMNS
    assert ranking["rank"].tolist()[:-1] == list(range(1, len(ranking)))
    assert ranking["overrides"].iloc[-1] == ""
    assert ranking["gain"].iloc[0] > ranking["gain"].iloc[-1]


@pytest.mark.slow
def test_rounds_are_told_and_their_runs_are_kept(cured: Cure, stages: list[Stage]) -> None:
    assert [stage.number for stage in stages] == [0, *range(1, len(cured.rounds) + 1)]
    folders = [course.folder for one in cured.standings for course in one.trial.courses]
    assert all((folder / "run.json").exists() for folder in folders)


def test_what_cannot_be_cured_is_refused_before_there_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="epochs=0: a setting that is not trained has nothing to cure"):
        cure(Run(epochs=0), tmp_path / "new")
    with pytest.raises(SettingError, match=r"^seeds=0: must be at least 1"):
        cure(SICK, tmp_path / "new", seeds=0)
    assert not (tmp_path / "new").exists()
    (tmp_path / "notes.txt").write_text("dear diary")
    with pytest.raises(SettingError, match="there is something in it; name a new folder"):
        cure(SICK, tmp_path)


def test_a_budget_shortens_and_never_lengthens() -> None:
    assert [trial_steps(total, 70) for total in (50, 5000)] == [50, 70]
    assert [trial_steps(total, None) for total in (50, 5000)] == [50, 1000]
