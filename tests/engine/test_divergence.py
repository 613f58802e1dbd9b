"""A run that reaches inf or nan: recorded to that step, with the step and the layer, and ended cleanly."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vanishgrad.choices.activation import Identity, ReLU, Sigmoid, Tanh
from vanishgrad.choices.clipping import AGC, ClipByNorm, ClipByValue, Clipping
from vanishgrad.choices.data import load
from vanishgrad.choices.initialization import Normal
from vanishgrad.choices.loss import MSE
from vanishgrad.choices.model.build import build
from vanishgrad.choices.normalization import BatchNorm, WeightNorm
from vanishgrad.choices.protocol import Activation
from vanishgrad.choices.regularization import L2, Dropout, WeightDecay
from vanishgrad.engine import train
from vanishgrad.run import Run

Batches = Callable[[Run, int], list[Tensor]]
Same = Callable[[nn.Module, nn.Module], None]
Poison = Callable[[Callable[[nn.Module], None]], None]


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> Poison:
    """Every network built after `poison(change)` has been changed by `change(model)`."""

    def install(change: Callable[[nn.Module], None]) -> None:
        def poisoned(run: Run) -> nn.Module:
            model = build(run)
            with torch.no_grad():
                change(model)
            return model

        monkeypatch.setattr("vanishgrad.engine.trainer.build", poisoned)

    return install


def naive_step_of_divergence(run: Run, batches: list[Tensor]) -> int | None:
    """The first step with a loss, gradient or weight that is not finite, by plain gradient descent."""
    model, data = build(run), load(run.data)
    parameters = list(model.parameters())
    for step, rows in enumerate(batches):
        loss = nn.functional.cross_entropy(model(data.train_x[rows]), data.train_y[rows])
        gradients = torch.autograd.grad(loss, parameters)
        if not all(bool(t.isfinite().all()) for t in (loss, *gradients, *parameters)):
            return step
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter -= run.rate * gradient
    return None


@pytest.mark.parametrize(
    "act, lr",
    [
        *((Identity(), lr) for lr in (50.0, 1e3, 1e10, 1e20, 1e38)),
        (ReLU(), 1e20),
        (Sigmoid(), 3e38),
        (Tanh(), 3e38),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
@pytest.mark.parametrize("log_every", [1, 7])
def test_the_step_of_divergence_is_the_first_with_a_number_that_is_not_finite(
    act: Activation, lr: float, log_every: int, small: Run, batches_of: Batches
) -> None:
    run = replace(small, depth=4, act=act, lr=lr, max_steps=20, log_every=log_every, init=Normal(std=1.0))
    expected = naive_step_of_divergence(run, batches_of(run, 70)[:21])
    result = train(run)
    assert expected is not None
    assert result.status == "diverged"
    assert result.steps == result.diverged_at["step"] == expected  # type: ignore[index]
    logged = [step for step in range(expected) if step % log_every == 0]
    assert list(result.gradients["step"].unique()) == [*logged, expected]
    assert result.metrics["step"].iloc[-1] == expected


def test_weights_that_explode_in_the_last_update_are_noticed(small: Run) -> None:
    run = replace(small, lr=1e38, init=Normal(std=1.0), act=Identity())
    result = train(replace(run, max_steps=1))
    assert result.status == "diverged"
    assert result.diverged_at["step"] == 1  # type: ignore[index]


@pytest.mark.parametrize("act", [ReLU(), Sigmoid(), Tanh()], ids=lambda act: act.name)
@pytest.mark.parametrize("layer", [1, 2, 3, 4])
@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("measure", ["all", "gradients"])
def test_a_weight_that_is_not_finite_is_found_in_its_layer(
    act: Activation, layer: int, value: float, measure: str, small: Run, poison: Poison
) -> None:
    def change(model: nn.Module) -> None:
        name = "output" if layer == 4 else f"linear_{layer}"
        model.get_submodule(name).weight[0, 0] = value  # type: ignore[union-attr, operator, index]

    poison(change)
    result = train(replace(small, depth=3, act=act, measure=measure))
    assert result.status == "diverged"
    assert result.diverged_at is not None
    assert (result.diverged_at["step"], result.diverged_at["layer"]) == (0, layer)


def test_initial_weights_that_overflow_are_noticed_though_every_output_is_finite(small: Run) -> None:
    result = train(replace(small, act=Sigmoid(), init=Normal(std=3e38)))
    assert result.status == "diverged"
    assert result.diverged_at is not None
    assert (result.diverged_at["step"], result.diverged_at["layer"]) == (0, 1)


def test_decay_that_blows_weights_up_is_noticed(small: Run) -> None:
    """Weights times (1 - lr strength) = -1e9 at every step, whatever their gradient."""
    run = replace(small, depth=1, act=Sigmoid(), reg=WeightDecay(1e10), max_steps=12)
    result = train(run)
    assert result.status == "diverged"
    assert all(
        value.isfinite().all() for value in train(replace(run, max_steps=result.steps - 1)).model.parameters()
    )


@pytest.mark.parametrize("act", [ReLU(), Tanh()], ids=lambda act: act.name)
def test_a_bias_that_is_not_finite_is_found_in_its_layer(act: Activation, small: Run, poison: Poison) -> None:
    poison(lambda model: model.get_submodule("linear_2").bias.fill_(math.inf))  # type: ignore[union-attr, operator, arg-type, return-value]
    result = train(replace(small, depth=3, act=act))
    assert result.diverged_at is not None
    assert result.diverged_at["layer"] == 2


def test_the_layer_whose_output_overflows_is_blamed_and_not_the_one_before(
    small: Run, poison: Poison
) -> None:
    """Outputs of layer 1 add up to more than float32 holds, but each is finite; those of layer 2 are not."""

    def change(model: nn.Module) -> None:
        first, second = model.get_submodule("linear_1"), model.get_submodule("linear_2")
        nn.init.zeros_(first.weight)  # type: ignore[arg-type]
        nn.init.constant_(first.bias, 1e37)  # type: ignore[arg-type]
        nn.init.constant_(second.weight, 100.0)  # type: ignore[arg-type]

    poison(change)
    result = train(replace(small, depth=3))
    assert result.diverged_at is not None
    assert result.diverged_at["layer"] == 2


def test_an_overflow_of_the_loss_alone_is_the_output_layers(small: Run, poison: Poison) -> None:
    poison(lambda model: model.get_submodule("output").bias.fill_(1e25))  # type: ignore[union-attr, operator, arg-type, return-value]
    result = train(replace(small, loss=MSE()))
    assert result.diverged_at is not None
    assert (result.diverged_at["layer"], result.diverged_at["what"]) == (3, "loss")
    assert result.metrics["train_loss"].tolist() == [math.inf]


def test_a_gradient_that_overflows_going_back_is_found_where_it_first_did(small: Run, poison: Poison) -> None:
    """The forward pass is finite: dead tiny activations carry large weights; only the way back overflows."""

    def change(model: nn.Module) -> None:
        for name, size in (("linear_1", 1e-30), ("linear_2", 1e-8), ("linear_3", 1e19), ("output", 1e22)):
            module = model.get_submodule(name)
            nn.init.constant_(module.weight, size)  # type: ignore[arg-type]
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        model.get_submodule("output").weight[0] = 0  # type: ignore[union-attr, operator, index]

    poison(change)
    result = train(replace(small, depth=3, act=Identity()))
    # delta of layer 3 is about 1e22, of layer 2 about 1e42: more than float32 holds
    assert result.diverged_at is not None
    assert (result.diverged_at["layer"], result.diverged_at["what"]) == (2, "delta_norm")


def test_files_of_a_diverged_run_are_complete(small: Run, tmp_path: Path) -> None:
    result = train(replace(small, depth=4, act=Identity(), lr=1e20, log_every=7, max_steps=20), tmp_path)
    record = json.loads((tmp_path / "run.json").read_text(), parse_constant=pytest.fail)
    assert record["status"] == "diverged"
    assert record["diverged_at"] == result.diverged_at
    assert record["error"] is None
    with open(tmp_path / "gradients.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {len(row) for row in rows} == {14}
    last = [row for row in rows if int(row["step"]) == result.steps]
    assert [row["layer"] for row in last] == ["1", "2", "3", "4", "5"]
    assert {value for row in last for value in row.values()} & {"inf", "nan"}
    assert all(row["update_ratio"] == "" for row in last)
    checkpoint = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert checkpoint["step"] == result.steps


def test_numbers_that_are_not_finite_are_written_as_inf_and_nan(
    small: Run, tmp_path: Path, poison: Poison
) -> None:
    poison(lambda model: model.get_submodule("linear_1").weight.fill_(math.nan))  # type: ignore[union-attr, operator, arg-type, return-value]
    result = train(replace(small, batch_size="full"), tmp_path)
    with open(tmp_path / "gradients.csv", newline="") as file:
        first = next(csv.DictReader(file))
    assert first["weight_norm"] == first["grad_norm"] == first["act_mean"] == "nan"
    record = json.loads((tmp_path / "run.json").read_text(), parse_constant=pytest.fail)
    assert record["metrics"]["final"]["train_loss"] == "nan"
    for split in ("train", "val"):  # an output that is not a number is no answer
        assert not result.metrics[f"{split}_accuracy"][0] > 0


@pytest.mark.parametrize("reg", [Dropout(0.3), L2(0.01)], ids=lambda reg: reg.name)
@pytest.mark.parametrize("recompute_every", [0, 1])
def test_looking_for_the_layer_changes_neither_statistics_nor_noise(
    reg: Dropout | L2, recompute_every: int, small: Run, same_state: Same
) -> None:
    run = replace(
        small, depth=3, norm=BatchNorm(), reg=reg, lr=1e38, max_steps=9, recompute_every=recompute_every
    )
    logged, not_logged = train(replace(run, log_every=1)), train(replace(run, log_every=100))
    assert logged.status == not_logged.status == "diverged"
    assert logged.steps == not_logged.steps
    assert 0 < logged.steps < 9
    same_state(logged.model, not_logged.model)
    state = logged.model.state_dict()
    assert int(state["norm_1.num_batches_tracked"]) == logged.steps + 1
    if isinstance(reg, Dropout):
        assert state["dropout_1._extra_state"] == logged.steps + 1


def test_rows_of_a_divergence_between_logged_steps_equal_those_of_a_logged_one(small: Run) -> None:
    run = replace(small, depth=3, reg=Dropout(0.3), act=Identity(), lr=1e20, max_steps=9)
    logged, not_logged = train(replace(run, log_every=1)), train(replace(run, log_every=100))
    assert logged.steps == not_logged.steps
    columns = logged.gradients.columns.drop("name")
    ours = logged.gradients.groupby("step").get_group(logged.steps)[columns].to_numpy(float)
    theirs = not_logged.gradients.groupby("step").get_group(logged.steps)[columns].to_numpy(float)
    assert len(ours) == 4
    assert ours == pytest.approx(theirs, rel=1e-6, nan_ok=True)


@pytest.mark.parametrize("clip", [ClipByNorm(), ClipByValue(), AGC()], ids=lambda clip: clip.name)
def test_clipping_does_not_hide_a_divergence(clip: Clipping, small: Run, poison: Poison) -> None:
    poison(lambda model: model.get_submodule("linear_2").weight.fill_(math.inf))  # type: ignore[union-attr, operator, arg-type, return-value]
    result = train(replace(small, clip=clip))
    assert result.status == "diverged"


def test_weight_normalization_that_diverges_is_recorded(small: Run) -> None:
    result = train(replace(small, norm=WeightNorm(), lr=1e38, act=Identity()))
    assert result.status == "diverged"
    assert result.diverged_at is not None


def test_large_weights_explode_and_clipping_by_norm_keeps_them_finite(small: Run) -> None:
    run = replace(small, depth=20, width=64, init=Normal(std=1.0), max_steps=20)
    assert train(run).status == "diverged"
    clipped: Any = train(replace(run, clip=ClipByNorm(1.0)))
    assert clipped.status == "completed"
