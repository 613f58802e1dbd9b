"""The columns of activations: what each run of a stack has, by its own module."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vanishgrad.measure.recorded import Activated
from vanishgrad.measure.statistics import COLUMNS, ActivationStatistics


def test_activations_with_parameters_are_those_of_each_run() -> None:
    """On negative inputs a unit of slope 0 is dead, one of slope 0.5 is not."""
    called, slopes = nn.PReLU(), (0.0, 0.5)
    own = [{called: nn.PReLU(init=slope)} for slope in slopes]
    inputs = -torch.rand(2, 16, 5, generator=torch.Generator().manual_seed(0)) - 0.1
    outputs = torch.stack([module[called](x) for module, x in zip(own, inputs, strict=True)]).detach()
    found = ActivationStatistics(own)([Activated(called, outputs, inputs)])
    columns = dict(zip(COLUMNS, found[:, 0].tolist(), strict=True))
    assert columns["dead_fraction"] == [1.0, 0.0]
    assert columns["act_mean"] == pytest.approx([0.0, float(outputs[1].mean())])
    assert columns["act_std"] == pytest.approx([0.0, float(outputs[1].std(correction=0))])


def test_activations_without_parameters_are_the_same_for_all_runs() -> None:
    called, x = nn.ReLU(), torch.randn(3, 16, 5, generator=torch.Generator().manual_seed(0))
    together = ActivationStatistics([{}, {}, {}])([Activated(called, called(x), x)])
    for run in range(3):
        alone = ActivationStatistics()([Activated(called, called(x[run]), x[run])])
        torch.testing.assert_close(together[:, :, run], alone[:, :, 0])
