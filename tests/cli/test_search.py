"""Searches: Hydra's Optuna sweeper hands jobs over in batches and is told what each was worth."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="hydra-optuna-sweeper is not installed")

# Optuna 2 was written for an older Python and an older SQLAlchemy.
pytestmark = pytest.mark.filterwarnings("default")

Vanishgrad = Callable[..., Any]

SMALL = ("depth=2", "width=4", "max_steps=3", "data.train_size=128", "dtype=float64")
OPTUNA = ("hydra/sweeper=optuna", "hydra.sweep.dir=search")
SEARCH = (*OPTUNA, "hydra.sweeper.sampler.seed=0")
BATCHES = ("hydra.sweeper.n_trials=5", "hydra.sweeper.n_jobs=2", "hydra.launcher.n_jobs=1")
SPACE = ("lr=interval(0.01,1)", "act=choice(relu,tanh)")
GRID = (*OPTUNA, "hydra/sweeper/sampler=grid")
DIRECTIONS = {"val_accuracy": "maximize", "val_loss": "minimize", "gradient_slope": "minimize"}


def looking_for(objective: str) -> tuple[str, str]:
    return f"objective={objective}", f"hydra.sweeper.direction={DIRECTIONS[objective]}"


def outcomes(search: Path) -> dict[int, dict[str, Any]]:
    lines = map(json.loads, (search / "runs.jsonl").read_text().splitlines())
    return {line["number"]: line for line in lines}


def overrides(search: Path) -> dict[int, list[str]]:
    """Of each run, those that Optuna chose."""
    found = json.loads((search / "sweep.json").read_text())["jobs"]
    return {
        job["number"]: [text for text in job["overrides"] if text.startswith(("lr=", "act="))]
        for job in found
    }


def best(search: Path) -> dict[str, Any]:
    """What Optuna has written."""
    return yaml.safe_load((search / "optimization_results.yaml").read_text())


@pytest.mark.parametrize("objective", DIRECTIONS)
def test_a_search_in_batches_finds_the_best_of_its_runs(
    vanishgrad: Vanishgrad, tmp_path: Path, objective: str
) -> None:
    done = vanishgrad("train", "-m", *SMALL, *SEARCH, *BATCHES, *SPACE, *looking_for(objective))
    assert done.status == 0, done.err
    assert [line for line in done.out.splitlines() if line.endswith((" run", " runs"))] == [
        "2 runs", "2 runs", "1 run",
    ]  # fmt: skip
    search = tmp_path / "search"
    worth = {number: line["metrics"][objective] for number, line in outcomes(search).items()}
    assert worth.keys() == set(range(5))
    winner = (max if DIRECTIONS[objective] == "maximize" else min)(worth, key=worth.__getitem__)
    found = best(search)
    assert found["best_value"] == worth[winner]
    assert [f"{name}={value}" for name, value in found["best_params"].items()] == overrides(search)[winner]


def test_a_run_of_a_search_equals_the_same_run_alone(vanishgrad: Vanishgrad, tmp_path: Path) -> None:
    assert vanishgrad("train", "-m", *SMALL, *SEARCH, *BATCHES, *SPACE, *looking_for("val_loss")).status == 0
    chosen = overrides(tmp_path / "search")
    assert len(set(map(tuple, chosen.values()))) == 5
    for number in (1, 4):
        alone = f"alone{number}"
        assert vanishgrad("train", *SMALL, *chosen[number], f"hydra.run.dir={alone}").status == 0
        for table in ("gradients.csv", "metrics.csv"):
            mine, lone = (
                pd.read_csv(tmp_path / folder / table).drop(columns="seconds", errors="ignore")
                for folder in (f"search/{number}", alone)
            )
            pd.testing.assert_frame_equal(mine, lone, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("objective", ["val_accuracy", "val_loss"])
@pytest.mark.parametrize("launcher", ["vectorized", "basic"])
def test_a_run_that_diverges_ends_no_search_and_is_not_the_best(
    vanishgrad: Vanishgrad, tmp_path: Path, objective: str, launcher: str
) -> None:
    space = (
        "act=identity",
        "lr=choice(1e200,0.1,1e190)",
        "hydra.sweeper.n_trials=3",
        "hydra.sweeper.n_jobs=1",
    )
    done = vanishgrad(
        "train", "-m", *SMALL, *GRID, *space, *looking_for(objective), f"hydra/launcher={launcher}"
    )
    assert done.status == 0, done.err
    search = tmp_path / "search"
    records = [json.loads((search / str(number) / "run.json").read_text()) for number in range(3)]
    assert sorted(record["status"] for record in records) == ["completed", "diverged", "diverged"]
    assert best(search)["best_params"] == {"lr": 0.1}


def test_a_run_that_fails_ends_no_search(
    vanishgrad: Vanishgrad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vanishgrad.engine.session import Session

    real = Session.open

    def unlucky(session: Session) -> None:
        if session.run.lr == 0.2:
            raise RuntimeError("out of luck")
        real(session)

    monkeypatch.setattr(Session, "open", unlucky)
    space = ("lr=choice(0.1,0.2)", "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=1")
    done = vanishgrad("train", "-m", *SMALL, *GRID, *space, *looking_for("val_accuracy"))
    assert done.status == 1
    assert sorted(line["status"] for line in outcomes(tmp_path / "search").values()) == [
        "completed",
        "failed",
    ]
    assert best(tmp_path / "search")["best_params"] == {"lr": 0.1}


def test_an_objective_that_the_runs_do_not_have_is_refused(vanishgrad: Vanishgrad, tmp_path: Path) -> None:
    done = vanishgrad("train", "-m", *SEARCH, "data=adding", "model=lstm", "lr=interval(0.01,1)")
    assert done.status == 2
    assert "objective=val_accuracy: targets that are values" in done.err
    assert not (tmp_path / "search/0").exists()


@pytest.mark.slow
def test_batches_of_a_search_are_shared_by_several_processes(vanishgrad: Vanishgrad, tmp_path: Path) -> None:
    batches = ("hydra.sweeper.n_trials=6", "hydra.sweeper.n_jobs=4", "hydra.launcher.n_jobs=2")
    done = vanishgrad("train", "-m", *SMALL, *SEARCH, *batches, *SPACE, *looking_for("val_loss"))
    assert done.status == 0, done.err
    assert sorted(line["status"] for line in outcomes(tmp_path / "search").values()) == ["completed"] * 6
    losses = [line["metrics"]["val_loss"] for line in outcomes(tmp_path / "search").values()]
    assert best(tmp_path / "search")["best_value"] == min(losses)
