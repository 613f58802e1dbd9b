"""The figures of metrics.csv against a naive twin, and what counts as final and best."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from vanishgrad.choices.clipping import AGC, ClipByNorm, ClipByValue, Clipping, NoClip
from vanishgrad.choices.data import Digits, load
from vanishgrad.choices.loss import BCE, MSE
from vanishgrad.choices.model.build import build
from vanishgrad.choices.normalization import BatchNorm
from vanishgrad.choices.regularization import L1, L2, ElasticNet, NoReg, Regularization
from vanishgrad.choices.schedule import CosineLR, StepLR
from vanishgrad.engine import train
from vanishgrad.run import Run

Batches = Callable[[Run, int], list[Tensor]]


def clipped(clip: Clipping, model: torch.nn.Module, gradients: list[Tensor]) -> list[Tensor]:
    """What each clipping does, as its paper says, one element or unit at a time."""
    if isinstance(clip, ClipByNorm):
        total = math.sqrt(sum(float((g**2).sum()) for g in gradients))
        return [g * min(1.0, clip.max_norm / total) for g in gradients]
    if isinstance(clip, ClipByValue):
        return [g.clamp(-clip.max_value, clip.max_value) for g in gradients]
    if not isinstance(clip, AGC):
        return gradients
    found = []
    for (name, parameter), gradient in zip(model.named_parameters(), gradients, strict=True):
        values = parameter.detach()
        units = list(zip(values, gradient, strict=True)) if parameter.ndim == 2 else [(values, gradient)]
        kept = []
        for weight, part in units:
            limit = clip.factor * max(float(weight.norm()), 1e-3)
            kept.append(part * min(1.0, limit / float(part.norm())) if float(part.norm()) > 0 else part)
        whole = torch.stack(kept) if parameter.ndim == 2 else kept[0]
        found.append(gradient if name.startswith("output") else whole)
    return found


def penalty(reg: Regularization, model: torch.nn.Module) -> Tensor:
    weights = [parameter for parameter in model.parameters() if parameter.ndim == 2]
    one, two = sum(w.abs().sum() for w in weights), sum((w**2).sum() for w in weights)
    match reg:
        case L1(strength):
            return torch.as_tensor(strength * one)
        case L2(strength):
            return torch.as_tensor(strength * two)
        case ElasticNet(l1, l2):
            return torch.as_tensor(l1 * one + l2 * two)
    return torch.zeros(())


CLIPS = [NoClip(), ClipByNorm(0.3), ClipByNorm(1e6), ClipByValue(0.01), AGC(0.05)]


@pytest.mark.parametrize("clip", CLIPS, ids=str)
@pytest.mark.parametrize(
    "reg", [NoReg(), L1(0.01), L2(0.01), ElasticNet(0.01, 0.02)], ids=lambda reg: reg.name
)
def test_metrics_equal_a_naive_twin(
    clip: Clipping, reg: Regularization, small: Run, batches_of: Batches
) -> None:
    run = replace(small, clip=clip, reg=reg, dtype="float64", log_every=1, eval_every=1, lr=0.3)
    table = train(run).metrics
    model, data = build(run), load(run.data)
    x, val_x = data.train_x.double(), data.val_x.double()
    for step, rows in enumerate(batches_of(run, len(x))[:7]):
        row = table.iloc[step]
        outputs = model(x[rows])
        loss = torch.nn.functional.cross_entropy(outputs, data.train_y[rows])
        added = penalty(reg, model)
        gradients = list(torch.autograd.grad(loss + added, list(model.parameters())))
        kept = clipped(clip, model, gradients)
        with torch.no_grad():
            held_out = model(val_x)
            for parameter, gradient in zip(model.parameters(), kept, strict=True):
                parameter -= 0.3 * gradient
        expected = {
            "train_loss": float(loss.detach()),
            "train_accuracy": float((outputs.argmax(1) == data.train_y[rows]).double().mean()),
            "val_loss": float(torch.nn.functional.cross_entropy(held_out, data.val_y)),
            "val_accuracy": float((held_out.argmax(1) == data.val_y).double().mean()),
            "grad_norm": math.sqrt(sum(float((g**2).sum()) for g in gradients)),
            "clipped_grad_norm": math.sqrt(sum(float((g**2).sum()) for g in kept)),
            "penalty": math.nan if isinstance(reg, NoReg) else float(added.detach()),
        }
        assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-9, nan_ok=True)


@pytest.mark.parametrize("loss", [MSE(), BCE()], ids=lambda loss: loss.name)
def test_other_losses_sum_over_outputs_and_average_over_examples(
    loss: MSE | BCE, small: Run, batches_of: Batches
) -> None:
    run = replace(small, loss=loss, dtype="float64", max_steps=1)
    data, model = load(run.data), build(run)
    rows = batches_of(run, len(data.train_x))[0]
    outputs = model(data.train_x[rows].double()).detach()
    total = 0.0
    for output, label in zip(outputs.tolist(), data.train_y[rows].tolist(), strict=True):
        for index, value in enumerate(output):
            target = float(index == label)
            chance = 1 / (1 + math.exp(-value))
            bce = -math.log(chance if target else 1 - chance)
            total += (value - target) ** 2 if isinstance(loss, MSE) else bce
    assert train(run).metrics["train_loss"][0] == pytest.approx(total / len(rows), rel=1e-9)


def test_the_rate_of_every_step_is_recorded(small: Run) -> None:
    run = replace(small, max_steps=10, warmup=2, lr=0.4, log_every=1)
    steps = train(replace(run, schedule=StepLR(gamma=0.1, milestones=(0.5, 0.75)))).metrics["lr"]
    assert list(steps) == pytest.approx([0.2, 0.4, 0.4, 0.4, 0.4, 0.4, 0.04, 0.04, 0.004, 0.004, 0.004])
    cosine = train(replace(run, schedule=CosineLR())).metrics["lr"]
    expected = [0.2, 0.4] + [0.2 * (1 + math.cos(math.pi * (step - 2) / 8)) for step in range(2, 11)]
    assert list(cosine) == pytest.approx(expected, abs=1e-12)
    assert list(train(run).metrics["lr"]) == pytest.approx([0.2] + [0.4] * 10)


def test_the_default_rate_is_resolved_before_it_is_recorded(small: Run) -> None:
    assert set(train(small).metrics["lr"]) == {0.1}


def test_running_statistics_serve_the_evaluation(small: Run) -> None:
    """After many steps at rate ~0, evaluating with running statistics is close to the population's."""
    run = replace(small, norm=BatchNorm(), lr=1e-12, max_steps=200, log_every=100, eval_every=200)
    metrics = train(run).metrics
    assert metrics["val_loss"].iloc[0] != pytest.approx(metrics["val_loss"].iloc[-1], rel=1e-3)


def test_best_is_the_evaluation_with_the_lowest_held_out_loss(small: Run) -> None:
    run = replace(
        small, lr=2.0, max_steps=12, eval_every=2, log_every=3, data=Digits(train_size=40), batch_size=10
    )
    result = train(run)
    evaluated = result.metrics.dropna(subset=["val_loss"])
    row = evaluated.loc[evaluated["val_loss"].idxmin()]
    best = {
        name: result.best[name] for name in ("step", "val_loss", "val_accuracy", "train_loss", "grad_norm")
    }
    assert best == pytest.approx({name: row[name] for name in best})
    last = result.metrics.iloc[-1]
    final = {
        name: result.final[name] for name in ("step", "val_loss", "val_accuracy", "train_loss", "grad_norm")
    }
    assert final == pytest.approx({name: last[name] for name in final})


def test_a_held_out_loss_of_exactly_0_stays_the_best(small: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([1.0, 0.0, 0.5, 0.25])
    monkeypatch.setattr("vanishgrad.engine.session.evaluate", lambda *_: (next(losses), 0.5))
    best = train(replace(small, eval_every=2)).best
    assert (best["step"], best["val_loss"]) == (2, 0.0)
