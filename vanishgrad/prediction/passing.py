"""The choices that stand between a layer's weights and the next ones', as the theory sees them."""

from __future__ import annotations

from functools import lru_cache

import torch

from vanishgrad.choices.activation import Activation, Erf, Identity, LeakyReLU, PReLU, ReLU
from vanishgrad.choices.normalization import BatchNorm, GroupNorm, LayerNorm, NoNorm, RMSNorm, WeightNorm
from vanishgrad.choices.regularization import Dropout
from vanishgrad.run import Run
from vanishgrad.theory.gaussian import Function, in_float64
from vanishgrad.theory.normalization import (
    FEWEST,
    SMALLEST_BATCH,
    batch_norm_first,
    batch_norm_last,
    group_norm_first,
    norm_first,
    norm_last,
)
from vanishgrad.theory.stack import PassageMap, plain

EPSILON = 1e-5  # torch's, of batch, layer and group norm


@lru_cache(maxsize=64)
def function_of(act: Activation) -> Function:
    """The activation as a function; the module itself where the theory knows closed forms of it."""
    if isinstance(act, Erf):
        return torch.erf
    module = act.module()
    return module if isinstance(act, ReLU | LeakyReLU | PReLU | Identity) else in_float64(module)


def noise_of(run: Run) -> float:
    """E[m^2] of dropout's factors m, which are 0 or 1 / (1 - rate)."""
    return 1 / (1 - run.reg.rate) if isinstance(run.reg, Dropout) else 1.0


def passing_of(run: Run, batch: int) -> PassageMap | str:
    """Normalization, activation and dropout of `run`; or why the theory has nothing on them.

    Arguments:
        run: the setting.
        batch: examples in a batch.
    """
    f, noise, first = function_of(run.act), noise_of(run), run.norm.position == "pre"
    match run.norm:
        case NoNorm() | WeightNorm():
            return plain(f, noise)
        case LayerNorm():
            return norm_first(f, EPSILON, noise) if first else norm_last(f, EPSILON, True, noise)
        case RMSNorm():
            epsilon = torch.finfo(getattr(torch, run.dtype)).eps
            return norm_first(f, epsilon, noise) if first else norm_last(f, epsilon, False, noise)
        case GroupNorm(groups=groups):
            return _groups(f, run.width // groups, first, noise)
        case BatchNorm():
            if batch < SMALLEST_BATCH:
                return f"batch norm over {batch} examples: gradients have no finite mean below 4"
            passing = batch_norm_first if first else batch_norm_last
            return passing(f, batch, EPSILON, noise)
        case other:
            return f"norm={other.name}: not covered by the theory"


def _groups(f: Function, size: int, first: bool, noise: float) -> PassageMap | str:
    if not first:
        return "group norm after the activation: small groups of values that are not Gaussian are not covered"
    if size < FEWEST:
        return f"group norm over {size} units: gradients have no finite mean below 4"
    return group_norm_first(f, size, EPSILON, noise)
