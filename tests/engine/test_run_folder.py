"""`load_run(DIR)` and going on with a run by `train(run, resume=DIR)`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import nn

from vanishgrad import GradientMonitor, Result, Run, load_run, train
from vanishgrad.choices.data import load
from vanishgrad.description import describe
from vanishgrad.engine import Progress
from vanishgrad.errors import SettingError
from vanishgrad.records import read_run, write_run

OLD = Path(__file__).parents[1] / "folders_of_0_1"
RUN = Run(depth=3, width=8, act="tanh", max_steps=8, seed=3, threads=1)
LSTM = Run(model="lstm", data="adding", width=4, max_steps=3, threads=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trained") / "run"


@pytest.fixture(scope="module")
def result(folder: Path) -> Result:
    return train(RUN, out=folder)


def test_a_run_folder_gives_back_what_training_gave(result: Result, folder: Path) -> None:
    loaded = load_run(folder)
    assert describe(loaded.run) == describe(RUN)
    for name in ("status", "steps", "seconds", "diverged_at", "folder"):
        assert getattr(loaded, name) == getattr(result, name)
    assert loaded.final == pytest.approx(result.final)
    assert loaded.best == pytest.approx(result.best)
    pd.testing.assert_frame_equal(loaded.gradients, result.gradients)
    pd.testing.assert_frame_equal(loaded.metrics, result.metrics)
    assert loaded.diagnosis == result.diagnosis
    assert loaded.error is None


def test_the_network_is_the_trained_one(result: Result, folder: Path) -> None:
    loaded, inputs = load_run(str(folder)), load(RUN.data).val_x
    model = loaded.model()
    assert not model.training
    with torch.no_grad():
        assert torch.equal(model(inputs), result.model.eval()(inputs))
    assert loaded.weights.keys() == model.state_dict().keys()
    assert loaded.model() is not model


def test_the_other_tables_are_there_by_their_names(tmp_path: Path) -> None:
    result = train(LSTM, out=tmp_path)
    loaded = load_run(tmp_path)
    assert loaded.extra.keys() == result.extra.keys() >= {"time_gradients", "gates"}
    for name, table in result.extra.items():
        pd.testing.assert_frame_equal(loaded.extra[name], table)


def test_without_a_checkpoint_the_tables_are_there_and_the_error_says_so(tmp_path: Path) -> None:
    train(RUN, out=tmp_path)
    (tmp_path / "checkpoint.pt").unlink()
    loaded = load_run(tmp_path)
    assert loaded.steps == 8
    for ask in (loaded.model, lambda: loaded.weights):
        with pytest.raises(SettingError, match=rf"^load_run={tmp_path}: has no checkpoint\.pt; only a run"):
            ask()


def test_a_run_that_has_not_begun_to_write_has_no_rows(tmp_path: Path) -> None:
    train(RUN, out=tmp_path)
    for name in ("gradients.csv", "metrics.csv"):
        (tmp_path / name).unlink()
    write_run(tmp_path, read_run(tmp_path) | {"status": "failed", "error": "OSError: no space"})
    loaded = load_run(tmp_path)
    assert (loaded.status, loaded.error) == ("failed", "OSError: no space")
    assert (len(loaded.gradients), len(loaded.metrics)) == (0, 0)


def test_what_a_monitor_wrote_has_tables_and_no_network_to_build(tmp_path: Path) -> None:
    model = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with GradientMonitor(model) as monitor:
        model(torch.ones(4, 3)).square().mean().backward()
        optimizer.step()
    monitor.save(tmp_path)
    loaded = load_run(tmp_path)
    assert len(loaded.gradients) == 1
    for ask in (loaded.model, lambda: loaded.run):
        with pytest.raises(SettingError, match=r"was written by a GradientMonitor, .*build it yourself"):
            ask()


def test_a_sweep_or_an_empty_folder_is_no_run(folder: Path, result: Result, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=rf"holds 1 runs; name one of them, such as {folder}, or"):
        load_run(folder.parent)
    with pytest.raises(SettingError, match="the folder is empty"):
        load_run(tmp_path)


@pytest.mark.parametrize("old", sorted(OLD.glob("**/run.json")), ids=lambda path: path.parent.name)
def test_a_run_folder_of_0_1_is_read(old: Path) -> None:
    loaded = load_run(old.parent)
    assert describe(loaded.run)["seed"] == loaded.record["seed"]
    assert len(loaded.gradients)


def stopped_at(step: int) -> Any:
    def observe(state: Any) -> None:
        if isinstance(state, Progress) and state.step == step:
            raise KeyboardInterrupt

    return observe


def test_train_goes_on_with_a_run_that_was_interrupted(result: Result, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(RUN, out=tmp_path, observe=stopped_at(4))
    with pytest.raises(
        SettingError, match=rf"^resume={tmp_path}: was begun with another setting: lr 0\.1 -> 1"
    ):
        train(Run(depth=3, width=8, act="tanh", max_steps=8, seed=3, threads=1, lr=1.0), resume=tmp_path)
    with pytest.raises(SettingError, match="a run goes on in its own folder"):
        train(RUN, out=tmp_path / "other", resume=tmp_path)
    again = train(RUN, resume=tmp_path)
    pd.testing.assert_frame_equal(again.gradients, load_run(result.folder or "").gradients)
    assert again.folder == tmp_path
