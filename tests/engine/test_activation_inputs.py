"""Histograms of what enters the activations of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from vanishgrad.choices.activation import ReLU, Sigmoid, Tanh
from vanishgrad.choices.data import load
from vanishgrad.choices.model.build import build
from vanishgrad.choices.model.recurrent import RNN
from vanishgrad.choices.protocol import Activation
from vanishgrad.engine import train
from vanishgrad.engine.computed_arrays import EXAMPLES, WIDEST, write_activation_inputs
from vanishgrad.errors import SettingError
from vanishgrad.run import Run


def arrays_of(folder: Path, run: Run) -> dict[str, np.ndarray]:
    train(run, out=folder)
    write_activation_inputs(folder)
    with np.load(folder / "activations.npz") as arrays:
        return dict(arrays)


def test_the_first_layer_gets_the_data_times_its_weights(tmp_path: Path) -> None:
    run = Run(depth=2, width=8, max_steps=3, act=Tanh())
    found = arrays_of(tmp_path / "run", run)
    matrix = next(module for module in build(run).modules() if isinstance(module, torch.nn.Linear))
    x = load(run.data).train_x[:EXAMPLES].flatten(1).double().numpy()
    z = x @ matrix.weight.detach().double().numpy().T + matrix.bias.detach().double().numpy()
    counts, _ = np.histogram(np.clip(z, -WIDEST, WIDEST), found["edges"])
    assert found["start"].shape == found["end"].shape == (2, len(found["edges"]) - 1)
    assert found["start"][0] == pytest.approx(counts / counts.sum(), abs=2 / z.size)
    assert found["start"].sum(axis=1) == pytest.approx(np.ones(2))
    assert not np.array_equal(found["start"], found["end"])


@pytest.mark.parametrize(
    "act, low, high",
    [
        # s(z) (1 - s(z)) = 0.05 / 4 and 1 - tanh(z)^2 = 0.05, solved for z
        (Sigmoid(), -4.357, 4.357),
        (Tanh(), -2.178, 2.178),
        (ReLU(), 0.0, np.inf),
    ],
)
def test_it_is_flat_where_the_slope_is_under_a_twentieth_of_the_largest(
    act: Activation, low: float, high: float, tmp_path: Path
) -> None:
    found = arrays_of(tmp_path / "run", Run(depth=1, width=4, max_steps=1, act=act))
    middle = (found["edges"][1:] + found["edges"][:-1]) / 2
    assert found["flat"].tolist() == [not low < z < high for z in middle]


def test_a_recurrent_network_is_refused(tmp_path: Path) -> None:
    from vanishgrad.choices.data import Adding

    run = Run(model=RNN(), data=Adding(length=5, train_size=64), width=4, max_steps=1)
    train(run, out=tmp_path)
    with pytest.raises(SettingError, match="model=rnn has no layers of activations"):
        write_activation_inputs(tmp_path)
