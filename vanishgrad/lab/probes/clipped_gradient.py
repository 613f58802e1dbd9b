"""One gradient of an exploding network, before and after clipping."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd
import torch
from torch import Tensor, nn

from vanishgrad.choices.activation import ReLU, Tanh
from vanishgrad.choices.clipping import AGC, ClipByNorm, ClipByValue, Clipping, NoClip
from vanishgrad.choices.data import load
from vanishgrad.choices.initialization import Normal
from vanishgrad.choices.model.build import build
from vanishgrad.choices.protocol import Activation
from vanishgrad.run import Run

CLIPS: tuple[Clipping, ...] = (NoClip(), ClipByNorm(), ClipByValue(), AGC())
EXPLODING: tuple[tuple[Activation, float], ...] = ((Tanh(), 0.5), (ReLU(), 0.3))  # std of the weights


def clipped_once(seed: int) -> pd.DataFrame:
    """The first gradient of two exploding networks, clipped: a row per activation, clip and layer.

    Columns: `act, clip, setting, run, status, layer, norm, cosine, bound, total`. `cosine` is that of the
    whole gradient with itself before clipping, `total` its norm and `bound` what that may be at most.
    """
    runs = [Run(depth=20, act=act, init=Normal(std), seed=seed) for act, std in EXPLODING]
    return pd.concat([clipped(run, clip) for run in runs for clip in CLIPS])


def clipped(run: Run, clip: Clipping) -> pd.DataFrame:
    """What a clip does to the gradient of the initial network."""
    model = build(run)
    parameters = [parameter.detach() for parameter in model.parameters()]
    before = gradient(run, model)
    after = [one.clone() for one in before]
    clip.clip_(after, parameters, len(parameters) - 2)  # weight and bias of the output layer are last
    norms = [float(one.double().norm()) for one in after if one.ndim > 1]
    table = pd.DataFrame({"layer": range(1, len(norms) + 1), "norm": norms})
    return table.assign(
        act=run.act.name, clip=clip.name, setting=f"clip={clip.name}", run=f"{clip.name} {run.seed}",
        status="completed", cosine=cosine(before, after), total=float(flat(after).norm()),
        bound=bound(clip, sum(one.numel() for one in after)),
    )  # fmt: skip


def gradient(run: Run, model: nn.Module) -> list[Tensor]:
    """Of the first 64 examples, with respect to every parameter."""
    data = load(run.data)
    loss = run.criterion(model(data.train_x[:64]), data.train_y[:64])
    return list(torch.autograd.grad(loss, list(model.parameters())))


def flat(tensors: Iterable[Tensor]) -> Tensor:
    """One vector of all elements."""
    return torch.cat([one.double().flatten() for one in tensors])


def cosine(one: list[Tensor], other: list[Tensor]) -> float:
    a, b = flat(one), flat(other)
    return float(a @ b / (a.norm() * b.norm()))


def bound(clip: Clipping, count: int) -> float:
    """The largest norm of a clipped gradient of `count` elements; NaN where there is none."""
    match clip:
        case ClipByNorm():
            return clip.max_norm
        case ClipByValue():
            return clip.max_value * math.sqrt(count)
        case _:
            return math.nan
