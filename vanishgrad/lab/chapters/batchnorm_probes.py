"""Batch normalization, looked at directly: scale, company, modes, covariate shift."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor, nn

from vanishgrad.choices.activation import ReLU, Tanh
from vanishgrad.choices.data import load
from vanishgrad.choices.initialization import He
from vanishgrad.choices.model.build import build
from vanishgrad.choices.normalization import BatchNorm, GroupNorm, LayerNorm, NoNorm
from vanishgrad.modules.dropout import evaluation_mode
from vanishgrad.run import Run
from vanishgrad.streams import stream

NORMS = (NoNorm(), BatchNorm(), LayerNorm(), GroupNorm())
FACTOR, SCALED_LAYER = 10.0, 3
BATCH_SIZES, DRAWS = (2, 4, 8, 16, 32, 64, 128), 30
MOMENTS, MODE_SIZES, MODE_RATE = (1, 3, 10, 30, 100, 300), (4, 64), 0.05
SHIFT_STEPS = 60


def draw_examples(run: Run, size: int, *purpose: object) -> tuple[Tensor, Tensor]:
    """Training examples and their answers, drawn by the seed of `run` for a purpose."""
    data = load(run.data)
    chosen = torch.randperm(len(data.train_x), generator=stream(run.seed, *purpose))[:size]
    return data.train_x[chosen].to(getattr(torch, run.dtype)), data.train_y[chosen]


def measure_scales(seed: int) -> pd.DataFrame:
    """The weights of one layer times ten: what becomes of the output, and of their gradient, in float64.

    Columns: `norm`, `output_change` relative to the output, `gradient_ratio` of before over after, and
    `cosine` of the weights and their gradient.
    """
    return pd.DataFrame([_scaled(seed, norm) for norm in (NoNorm(), BatchNorm())])


def _scaled(seed: int, norm: NoNorm | BatchNorm) -> dict[str, object]:
    run = Run(depth=5, act=Tanh(), init=He(), norm=norm, dtype="float64", seed=seed)
    model, (x, y) = build(run), draw_examples(run, 64, "scales")
    weight = dict(model.named_parameters())[f"linear_{SCALED_LAYER}.weight"]
    before, gradient = _output_and_gradient(model, weight, x, y)
    with torch.no_grad():
        cosine = float((weight * gradient).sum() / (weight.norm() * gradient.norm()))
        weight.mul_(FACTOR)
    after, smaller = _output_and_gradient(model, weight, x, y)
    change = float((after - before).norm() / before.norm())
    ratio = float(gradient.norm() / smaller.norm())
    return {"norm": norm.name, "output_change": change, "gradient_ratio": ratio, "cosine": cosine}


def _output_and_gradient(model: nn.Module, weight: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    output = model(x)
    loss = nn.functional.cross_entropy(output, y)
    return output.detach(), torch.autograd.grad(loss, [weight])[0]


def measure_company(seed: int) -> pd.DataFrame:
    """`norm, batch_size, noise`: how much an example's output depends on who else is in its batch.

    `noise` is the standard deviation of the output over batches that share one example, relative to the
    norm of its mean; in training mode, in the initial network, in float64.
    """
    rows = [(norm.name, size, _noise(seed, norm, size)) for norm in NORMS for size in BATCH_SIZES]
    return pd.DataFrame(rows, columns=["norm", "batch_size", "noise"])


def _noise(seed: int, norm: NoNorm | BatchNorm | LayerNorm | GroupNorm, size: int) -> float:
    run = Run(depth=3, act=ReLU(), init=He(), norm=norm, dtype="float64", seed=seed)
    model = build(run)
    draws = [draw_examples(run, size + 1, "company", size, number)[0] for number in range(DRAWS)]
    one = draws[0][:1]
    with torch.no_grad():
        outputs = torch.stack([model(torch.cat([one, others[2:]]))[0] for others in draws])
    mean = outputs.mean(0)
    return float((outputs - mean).square().sum(1).mean().sqrt() / mean.norm())


def measure_modes(seed: int) -> pd.DataFrame:
    """`batch_size, step, disagreement`: training examples that get another answer in evaluation mode.

    The same network answers twice: with the statistics of batches as large as those it was trained with,
    and with its running statistics.
    """
    runs = [
        Run(depth=3, act=ReLU(), init=He(), norm=BatchNorm(), batch_size=size, seed=seed)
        for size in MODE_SIZES
    ]
    return pd.concat([_disagreements(run) for run in runs], ignore_index=True)


def _disagreements(run: Run) -> pd.DataFrame:
    model, size = build(run), int(run.batch_size)
    x, _ = draw_examples(run, 1408, "modes")  # whole batches of either size
    rows = []
    for step in range(1, MOMENTS[-1] + 1):
        _descend(model, _gradients(model, draw_examples(run, size, "batch", step)), MODE_RATE)
        if step in MOMENTS:
            rows.append((size, step, disagreement(model, x, size)))
    return pd.DataFrame(rows, columns=["batch_size", "step", "disagreement"])


def disagreement(model: nn.Module, x: Tensor, size: int) -> float:
    """The share of `x` that gets another answer in evaluation mode than in batches of `size` in training."""
    copied = copy.deepcopy(model).train()  # its running statistics may change
    with torch.no_grad():
        together = torch.cat([copied(part).argmax(1) for part in x.split(size)])
    with evaluation_mode(model):
        return float((model(x).argmax(1) != together).double().mean())


def measure_shifts(seed: int) -> pd.DataFrame:
    """`act, norm, step, absolute, relative`: how the update below changes a layer's gradient.

    This is the internal covariate shift of Santurkar et al. (2018, definition 2.1), of the last hidden layer,
    in itself and relative to its gradient.
    """
    runs = [
        Run(depth=5, act=act, init=He(), norm=norm, seed=seed)
        for act in (ReLU(), Tanh())
        for norm in (NoNorm(), BatchNorm())
    ]
    return pd.concat([_shifts(run) for run in runs], ignore_index=True)


def _shifts(run: Run) -> pd.DataFrame:
    model = build(run)
    names = [name for name, _ in model.named_parameters()]
    below = names.index(f"linear_{run.depth}.weight")
    moved = []
    for step in range(SHIFT_STEPS):
        batch = draw_examples(run, 64, "shifts", step)
        first = _gradients(model, batch)
        _descend(model, first[:below], run.rate)
        then = _gradients(model, batch)[below]
        _descend(model, [None] * below + list(first[below:]), run.rate)
        change = float((then - first[below]).norm())
        moved.append((run.act.name, run.norm.name, step, change, change / float(first[below].norm())))
    return pd.DataFrame(moved, columns=["act", "norm", "step", "absolute", "relative"])


def _gradients(model: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
    loss = nn.functional.cross_entropy(model(batch[0]), batch[1])
    return torch.autograd.grad(loss, list(model.parameters()))


def _descend(model: nn.Module, gradients: Sequence[Tensor | None], rate: float) -> None:
    """A step of gradient descent of the first parameters, those without a gradient left out."""
    with torch.no_grad():
        for parameter, gradient in zip(model.parameters(), gradients, strict=False):
            if gradient is not None:
                parameter.sub_(rate * gradient)
