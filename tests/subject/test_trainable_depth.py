"""How deep networks train: as deep as theory says an input's signal goes, 6 xi_c, and not beyond.

Schoenholz et al. 2017, fig. 5, on the digits: tanh with sigma_b^2 = 0.05, below and above the critical
sigma_w^2 = 1.76, where signals go to any depth. Plain gradient descent, fifteen epochs.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from vanishgrad import Run, predict, train
from vanishgrad.choices.activation import Tanh
from vanishgrad.choices.initialization import Gaussian

SIGMA_B = math.sqrt(0.05)
BASE = Run(
    width=100, act=Tanh(), lr=0.02, epochs=15, log_every=10**6, measure="gradients", threads=1
)  # fmt: skip


def accuracy(run: Run) -> float:
    found = train(run).final["val_accuracy"]
    assert found is not None
    return found


def limit(variance_w: float) -> tuple[Run, float]:
    run = replace(BASE, init=Gaussian(math.sqrt(variance_w), SIGMA_B))
    depth = predict(run).trainable_depth
    assert depth is not None
    return run, depth


def test_the_limit_is_farthest_at_the_critical_weights() -> None:
    depths = {variance_w: limit(variance_w)[1] for variance_w in (0.6, 1.0, 1.4, 1.7, 2.2, 3.0, 5.0)}
    ordered, chaotic = [depths[v] for v in (0.6, 1.0, 1.4, 1.7)], [depths[v] for v in (5.0, 3.0, 2.2)]
    assert ordered == sorted(ordered)
    assert chaotic == sorted(chaotic)
    assert min(depths[1.7], depths[2.2]) > 2.5 * max(depths[1.0], depths[5.0])


@pytest.mark.slow
@pytest.mark.parametrize(
    "variance_w, phase", [(0.6, "ordered"), (1.0, "ordered"), (3.0, "chaotic"), (5.0, "chaotic")]
)
def test_networks_train_within_the_limit_and_not_beyond(variance_w: float, phase: str) -> None:
    run, depth = limit(variance_w)
    assert predict(run).phase == phase
    assert accuracy(replace(run, depth=round(0.6 * depth))) > 0.8
    assert accuracy(replace(run, depth=round(1.6 * depth))) < 0.5
