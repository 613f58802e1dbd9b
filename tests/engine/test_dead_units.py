"""Units dead on the whole training set, counted by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from vanishgrad.choices.activation import ELU, LeakyReLU, ReLU
from vanishgrad.choices.data import Digits, load
from vanishgrad.choices.initialization import Gaussian
from vanishgrad.choices.model.build import build
from vanishgrad.choices.model.feedforward import CNN
from vanishgrad.choices.regularization import Dropout
from vanishgrad.choices.residual import HighwayShortcut
from vanishgrad.engine import train
from vanishgrad.engine.observations import dead_rows
from vanishgrad.run import Run

# large negative and positive biases: some units are dead, some are not
SMALL = Run(
    depth=3, width=12, init=Gaussian(1.0, 3.0), max_steps=4, dead_every=2, batch_size=16,
    data=Digits(train_size=200),
)  # fmt: skip


def test_the_count_is_that_of_a_pass_over_every_example() -> None:
    table = train(SMALL).extra["dead_units"]
    assert list(table["step"]) == [0, 0, 0, 2, 2, 2, 4, 4, 4]
    x, network = load(SMALL.data).train_x.flatten(1), build(SMALL)
    at_start = table[table["step"] == 0].set_index("layer")
    for layer in (1, 2, 3):
        x = torch.relu(network.get_submodule(f"linear_{layer}")(x))
        dead = (x == 0).all(0).double().mean()
        assert at_start.loc[layer, "dead_fraction"] == pytest.approx(float(dead))
        assert at_start.loc[layer, "units"] == 12
    assert 0 < at_start["dead_fraction"].max() < 1


def test_a_unit_alive_for_one_example_alone_is_alive() -> None:
    run = replace(SMALL, depth=1, width=1, act=ReLU())
    network = build(run)
    x = torch.zeros(3000, 1, 8, 8)
    x[2500, 0, 0, 0] = 1.0
    with torch.no_grad():
        network.get_parameter("linear_1.weight").fill_(1.0)
        network.get_parameter("linear_1.bias").fill_(-0.5)
    assert dead_rows(0, network, x)[0][-1] == 0.0
    assert dead_rows(0, network, x[:2500])[0][-1] == 1.0


def test_the_gates_of_a_highway_are_no_layers() -> None:
    run = replace(SMALL, depth=5, residual=HighwayShortcut())
    table = train(run).extra["dead_units"]
    at_start = table[table["step"] == 0].set_index("layer")
    assert list(at_start.index) == [1, 2, 3, 4, 5]
    found = {}

    def count(layer: int) -> Callable[[nn.Module, object, torch.Tensor], None]:
        return lambda module, inputs, output: found.update({layer: (output == 0).all(0).double().mean()})

    network = build(run)
    for name, module in network.named_modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(count(int(name[-1])))
    network(load(run.data).train_x)
    assert at_start["dead_fraction"].to_dict() == pytest.approx({k: float(v) for k, v in found.items()})
    assert at_start["dead_fraction"].max() > 0


@pytest.mark.parametrize("act", [LeakyReLU(), ELU()])
def test_a_slope_that_is_never_zero_leaves_no_unit_dead(act: LeakyReLU | ELU) -> None:
    assert (train(replace(SMALL, act=act)).extra["dead_units"]["dead_fraction"] == 0).all()


def test_counting_changes_no_weight_and_no_noise() -> None:
    run = replace(SMALL, reg=Dropout(0.5))
    counted, left = train(run), train(replace(run, dead_every=0))
    assert "dead_units" not in left.extra
    for one, other in zip(counted.model.parameters(), left.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_units_of_a_convolution_are_its_places() -> None:
    run = replace(SMALL, model=CNN(stages=2), depth=5, width=3)
    units = train(run).extra["dead_units"].query("step == 0")["units"].tolist()
    assert (units[0], units[-1], len(units)) == (3 * 8 * 8, 6 * 4 * 4, 5)
