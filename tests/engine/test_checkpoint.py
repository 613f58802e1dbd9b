"""Checkpoints and snapshots: what they hold, and when they are written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from vanishgrad.choices.data import load
from vanishgrad.choices.model.build import build
from vanishgrad.choices.normalization import BatchNorm, WeightNorm
from vanishgrad.choices.optimizer import SGD, Adagrad, Adam, RMSprop
from vanishgrad.choices.regularization import Dropout
from vanishgrad.choices.residual import IdentityShortcut, Rezero
from vanishgrad.engine import Progress, train
from vanishgrad.run import Run


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"norm": BatchNorm(), "reg": Dropout(0.3)}, {"norm": WeightNorm()},
        {"residual": Rezero(), "depth": 5},
        {"dtype": "float64"}, {"norm": BatchNorm(), "residual": IdentityShortcut(), "depth": 5}, {"depth": 0},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("optim", [SGD(), Adam()], ids=lambda optim: optim.name)
def test_a_checkpoint_restores_the_evaluation(
    changes: dict[str, Any], optim: SGD | Adam, small: Run, tmp_path: Path
) -> None:
    run = replace(small, optim=optim, **changes)
    result = train(run, tmp_path)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["step"] == 6
    model, data = build(replace(run, seed=99)), load(run.data)
    model.load_state_dict(state["model"])
    with torch.no_grad():
        outputs = model.eval()(data.val_x.to(getattr(torch, run.dtype)))
    assert float(torch.nn.functional.cross_entropy(outputs, data.val_y)) == result.final["val_loss"]


@pytest.mark.parametrize("optim", [SGD(momentum=0.9), Adam(), Adagrad(), RMSprop()], ids=lambda one: one.name)
def test_a_checkpoint_holds_the_optimizer_and_the_generators(
    optim: SGD | Adam | Adagrad | RMSprop, small: Run, tmp_path: Path
) -> None:
    train(replace(small, optim=optim), tmp_path)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["optimizer"]
    assert all(isinstance(value, Tensor) for values in state["optimizer"].values() for value in values)
    torch.Generator().set_state(state["generators"]["order"])


def test_checkpoints_are_saved_on_the_way(small: Run, tmp_path: Path) -> None:
    found = []

    def look(progress: Progress) -> None:
        there = (tmp_path / "checkpoint.pt").exists()
        found.append(torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] if there else None)

    train(replace(small, save_every=2), tmp_path, observe=look)
    assert found[:6] == [None, None, 2, 2, 4, 4]
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 6


def test_a_checkpoint_on_the_way_holds_the_network_of_its_step(small: Run, tmp_path: Path) -> None:
    run = replace(small, norm=BatchNorm(), reg=Dropout(0.3))

    def stop(progress: Progress) -> None:
        if progress.step == 5:
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError):
        train(replace(run, save_every=4), tmp_path, observe=stop)
    expected = train(replace(run, max_steps=4)).model.state_dict()
    found = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["model"]
    assert list(found) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=0, msg=name)


@pytest.mark.parametrize(
    "count, steps", [(0, []), (1, [6]), (2, [0, 6]), (3, [0, 3, 6]), (4, [0, 2, 4, 6]), (50, list(range(7)))]
)
def test_snapshots_are_spread_evenly_over_the_run(
    count: int, steps: list[int], small: Run, tmp_path: Path
) -> None:
    train(replace(small, snapshots=count), tmp_path)
    folder = tmp_path / "snapshots"
    found = {int(path.stem): torch.load(path, weights_only=True) for path in folder.glob("*.pt")}
    assert sorted(found) == steps
    assert folder.exists() == bool(steps)
    for step, state in found.items():
        expected = train(replace(small, max_steps=step)).model.state_dict()
        assert state["step"] == step
        assert all(torch.equal(value, expected[name]) for name, value in state["model"].items())
