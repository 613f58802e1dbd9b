"""LSUV: the variances of every linear output, measured again with hooks of its own."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from vanishgrad import Run, build
from vanishgrad.choices.activation import ReLU, Tanh
from vanishgrad.choices.data import Digits, load
from vanishgrad.choices.initialization import LSUV
from vanishgrad.choices.normalization import BatchNorm, NoNorm, WeightNorm
from vanishgrad.choices.protocol import Activation, Normalization, Residual
from vanishgrad.choices.regularization import Dropout
from vanishgrad.choices.residual import DenseShortcut, HighwayShortcut, IdentityShortcut, NoResidual, Rezero

EXAMPLES = 200
# all training examples are the batch, so that its order and its draw do not matter
BASE = Run(
    depth=6, width=32, dtype="float64", data=Digits(train_size=EXAMPLES), init=LSUV(0.02, 10, EXAMPLES)
)


def variances(run: Run) -> dict[str, float]:
    """The variance over batch and units of every linear module's output, in training mode without dropout."""
    model, found = build(run), {}
    handles = [
        module.register_forward_hook(
            lambda module, inputs, output, path=path: found.__setitem__(path, output.detach())
        )
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear)
    ]
    for path, module in model.named_modules():
        if path.split(".")[-1].startswith("dropout"):
            module.eval()
    with torch.no_grad():
        model(load(run.data).train_x.double())
    assert len(handles) == len(found)
    return {path: float(((z - z.mean()) ** 2).sum() / (z.numel() - 1)) for path, z in found.items()}


@pytest.mark.parametrize("act", [Tanh(), ReLU()], ids=str)
@pytest.mark.parametrize("norm", [NoNorm(), BatchNorm(), WeightNorm()], ids=str)
@pytest.mark.parametrize(
    "residual", [NoResidual(), IdentityShortcut(), Rezero(), HighwayShortcut(), DenseShortcut()], ids=str
)
def test_every_layer_starts_with_unit_output_variance(
    act: Activation, norm: Normalization, residual: Residual
) -> None:
    found = variances(replace(BASE, act=act, norm=norm, residual=residual))
    assert len(found) == (9 if residual.name == "highway" else 7)  # two gates beside
    assert all(abs(variance - 1) < 0.02 for variance in found.values()), found


def test_without_it_variances_are_far_from_one() -> None:
    found = variances(replace(BASE, act=Tanh(), init=LSUV(tolerance=1e9, batch_size=EXAMPLES)))
    assert min(found.values()) < 0.5


@pytest.mark.parametrize("act", [Tanh(), ReLU()], ids=str)
def test_weights_stay_orthonormal_up_to_a_factor_and_biases_are_zero(act: Activation) -> None:
    for name, value in build(replace(BASE, act=act)).named_parameters():
        if name.endswith("bias"):
            assert not value.any()
            continue
        rows = value.detach() if value.shape[0] <= value.shape[1] else value.detach().T
        gram = rows @ rows.T
        torch.testing.assert_close(
            gram / gram[0, 0], torch.eye(len(gram), dtype=gram.dtype), atol=1e-10, rtol=0
        )


def test_running_statistics_and_modes_are_as_new_afterwards() -> None:
    model = build(replace(BASE, norm=BatchNorm(), reg=Dropout()))
    assert all(module.training for module in model.modules())
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            assert module.num_batches_tracked is not None
            assert module.num_batches_tracked.item() == 0
            assert not module.running_mean.any()  # type: ignore[union-attr]
            assert (module.running_var == 1).all()


def linear_weights(run: Run) -> list[Tensor]:
    return [
        value.detach()
        for name, value in build(run).named_parameters()
        if "linear" in name or "output" in name
    ]


@pytest.mark.parametrize(
    "twin", [replace(BASE, reg=Dropout()), replace(BASE, recompute_every=2)], ids=["dropout", "recompute"]
)
def test_what_adds_no_layer_changes_nothing(twin: Run) -> None:
    assert all(map(torch.equal, linear_weights(BASE), linear_weights(twin)))


def test_a_batch_smaller_than_the_data_gives_its_tolerance_on_other_examples_too() -> None:
    found = variances(replace(BASE, act=Tanh(), init=LSUV(0.02, 10, 100)))
    assert all(abs(variance - 1) < 0.15 for variance in found.values()), found


def test_layers_that_no_signal_reaches_are_left_alone() -> None:
    model = build(replace(BASE, data=Digits(train_size=2, scale="unit"), init=LSUV(batch_size=2), depth=0))
    assert all(parameter.isfinite().all() for parameter in model.parameters())


def test_depth_costs_one_pass_over_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    forward = nn.Tanh.forward
    monkeypatch.setattr(nn.Tanh, "forward", lambda self, x: calls.append(self) or forward(self, x))
    build(replace(BASE, depth=50, act=Tanh()))
    assert len(calls) == 50
