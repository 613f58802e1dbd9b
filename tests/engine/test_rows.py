"""Which rows a run writes, and when."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vanishgrad.choices.data import load
from vanishgrad.choices.model.build import build
from vanishgrad.engine import train
from vanishgrad.records import GRADIENT_COLUMNS, METRIC_COLUMNS, read_gradients, read_metrics
from vanishgrad.run import Run

GRADIENTS_HEADER = (
    "step,epoch,layer,name,grad_norm,bias_grad_norm,delta_norm,weight_norm,update_ratio,weight_drift,"
    "act_mean,act_std,saturation,dead_fraction"
)
METRICS_HEADER = (
    "step,epoch,lr,train_loss,train_accuracy,val_loss,val_accuracy,penalty,grad_norm,clipped_grad_norm,"
    "seconds"
)


def test_columns_stand_in_the_published_order(small: Run, tmp_path: Path) -> None:
    train(small, tmp_path)
    assert (tmp_path / "gradients.csv").read_text().splitlines()[0] == GRADIENTS_HEADER
    assert (tmp_path / "metrics.csv").read_text().splitlines()[0] == METRICS_HEADER


@pytest.mark.parametrize(
    "log_every, steps", [(1, [0, 1, 2, 3, 4, 5, 6]), (2, [0, 2, 4, 6]), (4, [0, 4, 6]), (100, [0, 6])]
)
def test_logged_steps_are_0_the_multiples_and_the_last(log_every: int, steps: list[int], small: Run) -> None:
    result = train(replace(small, log_every=log_every, eval_every=100))
    assert list(result.gradients["step"].unique()) == steps
    assert list(result.metrics["step"]) == steps
    for _, rows in result.gradients.groupby("step"):
        assert list(rows["layer"]) == [1, 2, 3]
        assert list(rows["name"]) == ["linear_1", "linear_2", "output"]


def test_epochs_count_whole_passes_and_drop_the_partial_batch(small: Run) -> None:
    result = train(replace(small, max_steps=None, epochs=3, log_every=1))  # 70 examples: 4 batches of 16
    assert result.steps == 12
    assert list(result.metrics["epoch"]) == [0] * 4 + [1] * 4 + [2] * 4 + [3]
    assert list(result.gradients["epoch"]) == [epoch for epoch in result.metrics["epoch"] for _ in range(3)]


@pytest.mark.parametrize(
    "eval_every, expected", [(None, [0, 4, 6]), (3, [0, 3, 6]), (5, [0, 5, 6]), (1, list(range(7)))]
)
def test_evaluations_happen_at_their_steps_and_at_the_end(
    eval_every: int | None, expected: list[int], small: Run
) -> None:
    metrics = train(replace(small, eval_every=eval_every, log_every=2)).metrics
    assert list(metrics["step"]) == sorted({0, 2, 4, 6} | set(expected))
    assert list(metrics.loc[metrics["val_loss"].notna(), "step"]) == expected
    assert metrics.drop(columns=["val_loss", "val_accuracy", "penalty"]).notna().all(axis=None)


def test_the_last_step_is_measured_and_updates_nothing(small: Run) -> None:
    result = train(replace(small, log_every=3))
    ratios = result.gradients.groupby("step")["update_ratio"]
    assert (ratios.get_group(3) > 0).all()
    assert ratios.get_group(6).isna().all()
    norm = float(result.model.get_submodule("linear_1").weight.detach().double().norm())  # type: ignore[union-attr, operator]
    last = result.gradients.query("step == 6 and layer == 1")
    assert float(last["weight_norm"].iloc[0]) == pytest.approx(norm, rel=1e-6)


def test_step_0_is_the_initial_network(small: Run) -> None:
    result = train(small)
    model, data = build(small).eval(), load(small.data)
    first = result.gradients.query("step == 0")
    norms = [float(model.get_submodule(name).weight.detach().double().norm()) for name in first["name"]]  # type: ignore[union-attr, operator]
    assert list(first["weight_norm"]) == pytest.approx(norms, rel=1e-6)
    assert (first["weight_drift"] == 0).all()
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(model(data.val_x), data.val_y)
    assert result.metrics["val_loss"][0] == pytest.approx(float(loss), rel=1e-6)


@pytest.mark.parametrize("changes", [{"max_steps": 0}, {"epochs": 0}, {"epochs": 0, "max_steps": 5}], ids=str)
def test_a_run_of_no_steps_describes_the_initial_network(changes: dict[str, int], small: Run) -> None:
    result = train(replace(small, **changes))  # type: ignore[arg-type]
    assert (result.status, result.steps) == ("completed", 0)
    assert list(result.metrics["step"]) == [0]
    assert list(result.gradients["step"]) == [0, 0, 0]
    assert result.gradients["update_ratio"].isna().all()
    assert result.final["val_loss"] == result.metrics["val_loss"][0]


def test_a_linear_model_has_one_layer_without_activation(small: Run) -> None:
    table = train(replace(small, depth=0)).gradients
    assert set(zip(table["layer"], table["name"], strict=True)) == {(1, "output")}
    assert table[["act_mean", "act_std", "saturation", "dead_fraction"]].isna().all(axis=None)
    assert (table["delta_norm"] > 0).all()


def test_measure_gradients_fills_only_those_columns(small: Run, tmp_path: Path) -> None:
    everything = train(small).gradients
    table = train(replace(small, measure="gradients"), tmp_path).gradients
    filled = {"step", "epoch", "layer", "name", "grad_norm", "bias_grad_norm"}
    assert {name for name in table.columns if table[name].notna().any()} == filled
    assert list(table["grad_norm"]) == pytest.approx(list(everything["grad_norm"]), rel=1e-6)
    with open(tmp_path / "gradients.csv", newline="") as file:
        assert all(row["delta_norm"] == "" for row in csv.DictReader(file))


def test_a_full_batch_takes_every_example_in_each_step(small: Run) -> None:
    run = replace(small, batch_size="full", log_every=1, max_steps=3, dtype="float64")
    result = train(run)
    assert list(result.metrics["epoch"]) == [0, 1, 2, 3]
    model, data = build(run), load(run.data)
    loss = torch.nn.functional.cross_entropy(model(data.train_x.double()), data.train_y)
    assert result.metrics["train_loss"][0] == pytest.approx(float(loss.detach()), rel=1e-12)


def test_tables_in_memory_and_on_disk_are_the_same(small: Run, tmp_path: Path) -> None:
    memory, disk = train(small), train(small, tmp_path)
    for ours, theirs in ((memory.gradients, disk.gradients), (memory.metrics, disk.metrics)):
        assert list(ours.columns) == list(theirs.columns)
        assert list(ours.dtypes) == list(theirs.dtypes)
        for name in ours.columns.drop(["name", "seconds"], errors="ignore"):
            assert list(ours[name]) == pytest.approx(list(theirs[name]), rel=1e-8, nan_ok=True)
    assert tuple(read_gradients(tmp_path).columns) == GRADIENT_COLUMNS
    assert tuple(read_metrics(tmp_path).columns) == METRIC_COLUMNS


def test_the_observer_hears_of_every_step(small: Run) -> None:
    heard = []
    train(replace(small, log_every=3), observe=heard.append)
    assert [one.step for one in heard] == list(range(7))
    assert {one.total for one in heard} == {6}
    assert all(math.isfinite(one.loss) and one.accuracy is not None for one in heard)
    assert len({one.grad_norm for one in heard}) == 4  # steps 0, 3, 4 (evaluated) and 6
