"""The memory that a run is said to need, against tensors counted one by one."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from vanishgrad import Run, build
from vanishgrad.choices.data import CIFAR10, Adding, MovingDigits
from vanishgrad.choices.model.build import blank
from vanishgrad.choices.model.conv_lstm import ConvLSTM
from vanishgrad.choices.model.feedforward import CNN
from vanishgrad.choices.model.recurrent import GRU, LSTM, RNN
from vanishgrad.choices.normalization import BatchNorm
from vanishgrad.choices.protocol import Model, Residual
from vanishgrad.choices.residual import DenseShortcut, IdentityShortcut, NoResidual
from vanishgrad.engine.memory import OBJECTS, check_memory, needed_bytes
from vanishgrad.errors import SettingError

BATCH = 16


def kept(run: Run) -> int:
    """Bytes that the backward pass of `run` waits for: of every tensor saved in the forward pass, once."""
    model = build(run)
    owned = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    storages: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = model(torch.randn(BATCH, *run.data.shape)).sum()
    assert loss.requires_grad
    return sum(t.untyped_storage().nbytes() for pointer, t in storages.items() if pointer not in owned)


def estimated(run: Run) -> float:
    """The part of the estimate for activations."""
    return needed_bytes(run, 0, BATCH) - OBJECTS * run.depth


@pytest.mark.parametrize(
    "residual", [NoResidual(), IdentityShortcut(), DenseShortcut(), DenseShortcut(1)], ids=str
)
@pytest.mark.parametrize("base", [
    Run(depth=24, width=32), Run(depth=24, width=4, model=CNN()), Run(depth=24, width=4, model=CNN(1)),
], ids=["mlp", "cnn", "one stage"])  # fmt: skip
def test_activations_take_about_what_the_estimate_says(base: Run, residual: Residual) -> None:
    run = replace(base, residual=residual, norm=BatchNorm())
    assert 0.35 < kept(run) / estimated(run) < 0.58  # the rest: gradients, and what the monitor copies


def test_recomputation_divides_the_activations_by_about_the_root_of_the_depth() -> None:
    run = Run(depth=100, width=8, model=CNN(), residual=IdentityShortcut())
    assert estimated(replace(run, recompute_every=10)) == pytest.approx(estimated(run) * 21 / 101)


@pytest.mark.parametrize("model", [RNN(), GRU(), LSTM()], ids=str)
def test_recurrent_activations_grow_with_gates_and_time(model: Model) -> None:
    gates = {"rnn": 1, "gru": 3, "lstm": 4}[model.name]
    run = Run(depth=2, width=8, model=model, data=Adding(length=50))
    assert estimated(run) == 4 * 4 * BATCH * 8 * gates * 50 * 3
    assert run.model.cost(run).parameters == 2 * gates * 8 * 8


@pytest.mark.parametrize("base", [
    Run(depth=5, width=8, model=CNN()), Run(depth=5, width=8),
    Run(depth=5, width=8, model=CNN(), data=CIFAR10()),
    Run(depth=7, width=3, model=CNN(), residual=IdentityShortcut()),
    Run(depth=5, width=8, residual=DenseShortcut()),
    Run(depth=5, width=8, model=CNN(), residual=DenseShortcut()),
    Run(depth=2, width=8, model=LSTM(), data=Adding()), Run(depth=2, width=8, model=GRU(), data=Adding()),
    Run(depth=2, width=8, model=RNN(), data=Adding()),
    Run(depth=2, width=8, model=ConvLSTM(), data=MovingDigits()),
], ids=lambda run: f"{run.model.name} {run.residual.name} {run.data.name}")  # fmt: skip
def test_a_network_has_at_least_the_parameters_of_the_bound(base: Run) -> None:
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in blank(base).parameters())
    assert 0 < base.model.cost(base).parameters <= count


@pytest.mark.parametrize("depth", [0, 1])
def test_without_matrices_between_hidden_layers_the_bound_is_zero(depth: int) -> None:
    for run in (Run(depth=depth), Run(depth=depth, model=CNN())):
        assert run.model.cost(run).parameters == 0


@pytest.mark.parametrize("run, remedy", [
    (Run(depth=10**9, model=CNN()), "width or batch_size, or set recompute_every"),
    (Run(depth=10**9, recompute_every=10), "width or batch_size$"),
    (Run(width=10**6, model=LSTM(), data=Adding()), "the length of the sequences"),
    (Run(width=10**6, model=ConvLSTM(), data=MovingDigits()), "the length of the sequences"),
], ids=lambda value: value.model.name if isinstance(value, Run) else "")  # fmt: skip
def test_what_cannot_fit_is_refused_at_once_with_the_settings_that_would_lower_it(
    run: Run, remedy: str
) -> None:
    with pytest.raises(SettingError, match=rf"depth={run.depth} width={run.width}.*GiB.*{remedy}"):
        check_memory(run, run.model.cost(run).parameters, 64)


def test_what_fits_is_not_refused() -> None:
    run = Run(depth=110, width=16, model=CNN(), residual=IdentityShortcut(), data=CIFAR10())
    model: nn.Module = build(run)
    check_memory(run, sum(parameter.numel() for parameter in model.parameters()), 64)


@pytest.mark.parametrize("depth, width", [(1, 64), (5, 64), (20, 7)])
def test_a_perceptron_costs_its_square_matrices(depth: int, width: int) -> None:
    """Between hidden layers width x width weights, as many multiplications per example."""
    run = Run(depth=depth, width=width)
    cost = run.model.cost(run)
    assert (cost.parameters, cost.multiplications) == ((depth - 1) * width**2, width**2)
