"""A run that was stopped goes on to the same bytes as one that was not."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vanishgrad.choices.activation import Sigmoid, Tanh
from vanishgrad.choices.clipping import ClipByNorm
from vanishgrad.choices.data import Adding, Digits, MovingDigits, Text
from vanishgrad.choices.model.conv_lstm import ConvLSTM
from vanishgrad.choices.model.feedforward import CNN
from vanishgrad.choices.model.recurrent import GRU, LSTM
from vanishgrad.choices.normalization import BatchNorm
from vanishgrad.choices.optimizer import SGD, Adagrad, Adam, RMSprop
from vanishgrad.choices.pretraining import Autoencoder
from vanishgrad.choices.regularization import L2, Dropout
from vanishgrad.choices.residual import IdentityShortcut
from vanishgrad.choices.schedule import CosineLR
from vanishgrad.engine import resume, train
from vanishgrad.engine.pretrain import LayerEpoch
from vanishgrad.engine.session import Progress
from vanishgrad.errors import SettingError
from vanishgrad.run import Run

RUN = Run(
    depth=3, width=6, batch_size=16, max_steps=23, log_every=3, eval_every=5, save_every=7, epochs=30,
    data=Digits(train_size=80),
)  # fmt: skip


class Stopped(KeyboardInterrupt):
    """The user's Ctrl-C."""


def stop_at(step: int) -> Any:
    def observe(state: Progress | LayerEpoch) -> None:
        if isinstance(state, Progress) and state.step == step:
            raise Stopped

    return observe


def plain(tree: Any) -> Any:
    """What a checkpoint holds, tensors as their bytes."""
    if isinstance(tree, dict):
        return {name: plain(branch) for name, branch in tree.items()}
    if isinstance(tree, list | tuple):
        return [plain(branch) for branch in tree]
    return (tree.shape, tree.numpy().tobytes()) if isinstance(tree, torch.Tensor) else tree


def contents(folder: Path) -> dict[str, Any]:
    """Every file of a run folder, without the seconds."""
    found: dict[str, Any] = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(file.relative_to(folder))
        if file.suffix == ".csv":
            rows = list(csv.reader(file.read_text().splitlines()))
            drop = rows[0].index("seconds") if "seconds" in rows[0] else None
            found[name] = [[cell for i, cell in enumerate(row) if i != drop] for row in rows]
        elif file.name == "run.json":
            found[name] = json.loads(file.read_text()) | {"seconds": 0}
        elif file.suffix == ".npz":
            with np.load(file) as arrays:
                found[name] = {key: arrays[key].tobytes() for key in arrays}
        elif file.suffix == ".pt":
            found[name] = plain(torch.load(file, weights_only=True))
        else:
            found[name] = file.read_bytes()
    return found


CASES: list[dict[str, Any]] = [
    {},
    {"optim": SGD(0.9), "norm": BatchNorm(), "reg": Dropout(0.3), "schedule": CosineLR(), "warmup": 4},
    {"optim": Adam(), "residual": IdentityShortcut(), "clip": ClipByNorm(0.1), "recompute_every": 1},
    {"optim": Adagrad(), "batch_size": "full", "snapshots": 4, "dead_every": 4, "input_gradients": 8},
    {"optim": RMSprop(), "reg": L2(0.01), "model": CNN(stages=2), "width": 3},
    {"pretrain": Autoencoder(epochs=2), "act": Sigmoid(), "data": Digits(train_size=80, scale="unit")},
    {"model": GRU(), "depth": 2, "data": Adding(length=5, train_size=80, held_out=16)},
    {
        "model": LSTM(fused=True),
        "act": Tanh(),
        "depth": 2,
        "data": Adding(length=5, train_size=80, held_out=16),
    },
    {"model": ConvLSTM(kernel=3), "depth": 1, "data": MovingDigits(train_size=80, held_out=4, given=2)},
]


@pytest.mark.parametrize("changes", CASES, ids=str)
@pytest.mark.parametrize("stop", [7, 12, 21])
def test_a_stopped_run_goes_on_to_the_same_files(changes: dict[str, Any], stop: int, tmp_path: Path) -> None:
    run = replace(RUN, **changes)
    whole = train(run, tmp_path / "whole")
    with pytest.raises(Stopped):
        train(run, tmp_path / "parts", observe=stop_at(stop))
    assert json.loads((tmp_path / "parts/run.json").read_text())["status"] == "interrupted"
    result = resume(tmp_path / "parts")
    assert (result.status, result.steps, result.final) == ("completed", whole.steps, whole.final)
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def test_a_running_text_goes_on_with_its_memory(tmp_path: Path) -> None:
    (tmp_path / "story.txt").write_text("the cat sat on the mat, and the dog sat on the log. " * 9)
    data = Text(path=str(tmp_path / "story.txt"), length=5)
    run = replace(RUN, model=LSTM(), depth=1, data=data, batch_size=4)
    train(run, tmp_path / "whole")
    with pytest.raises(Stopped):
        train(run, tmp_path / "parts", observe=stop_at(17))
    resume(tmp_path / "parts")
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def test_a_run_can_be_stopped_and_go_on_twice_and_after_a_kill(tmp_path: Path) -> None:
    train(RUN, tmp_path / "whole")
    folder = tmp_path / "parts"
    with pytest.raises(Stopped):
        train(RUN, folder, observe=stop_at(9))
    with pytest.raises(Stopped):
        resume(folder, observe=stop_at(16))
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | {"status": "running"}))  # as a kill leaves it
    with (folder / "gradients.csv").open("a") as file:
        file.write("18,3,1,line")  # and a row that was cut short
    resume(folder)
    assert contents(folder) == contents(tmp_path / "whole")


@pytest.mark.parametrize("stop", [0, 4, 9, 13, 24, 25])
@pytest.mark.parametrize(
    "changes", [{}, {"batch_size": "full"}, {"optim": Adam(), "reg": Dropout(0.2)}], ids=str
)
def test_a_run_that_was_interrupted_between_steps_goes_on_without_a_checkpoint_on_the_way(
    changes: dict[str, Any], stop: int, tmp_path: Path
) -> None:
    # five batches an epoch: 4, 9 and 24 are the last of theirs, and 25 only measures
    run = replace(RUN, save_every=0, max_steps=25, **changes)
    train(run, tmp_path / "whole")
    with pytest.raises(Stopped):
        train(run, tmp_path / "parts", observe=stop_at(stop))
    assert torch.load(tmp_path / "parts/checkpoint.pt", weights_only=True)["step"] == min(stop + 1, 25)
    resume(tmp_path / "parts")
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def test_what_cannot_go_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"resume=.*nowhere: no run\.json"):
        resume(tmp_path / "nowhere")
    train(RUN, tmp_path / "done")
    with pytest.raises(SettingError, match="the run is completed; there is nothing to go on with"):
        resume(tmp_path / "done")
    with pytest.raises(Stopped):
        train(replace(RUN, save_every=0), tmp_path / "bare", observe=stop_at(4))
    (tmp_path / "bare/checkpoint.pt").unlink()  # as after a kill
    with pytest.raises(
        SettingError, match=r"resume=.*bare: has no checkpoint\.pt; only a run that has ended, was stopped"
    ):
        resume(tmp_path / "bare")
