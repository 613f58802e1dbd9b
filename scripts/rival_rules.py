"""The published rules of others, on the same tables.

Their thresholds are on mean |g| of a weight matrix. gradients.csv has its L2 norm; of n weights with normally
distributed gradients the mean is sqrt(2 / pi) norm / sqrt(n), which is what is used here.
"""

from __future__ import annotations

import math

import numpy as np
from labelled_runs import Seen

MEAN_OF_NORM = math.sqrt(2 / math.pi)


def sagemaker(seen: Seen) -> set[str]:
    """SageMaker Debugger: VanishingGradient, mean |g| < 1e-7; ExplodingTensor, NaN or infinite.

    https://docs.aws.amazon.com/sagemaker/latest/dg/debugger-built-in-rules.html
    """
    means = _means(seen)
    found = set[str]()
    if (means < 1e-7).any():
        found.add("vanishing")
    if _not_finite(seen):
        found.add("exploding")
    return found


def autotrainer(seen: Seen) -> set[str]:
    """AUTOTRAINER (Zhang et al., ICSE 2021).

    Vanishing: the first layer's mean |g| is under 1e-3 of the last one's and under 1e-4; exploding: it is
    over 70 times the last one's, or not finite; both at the end of training.
    """
    means = _means(seen)
    known = means[np.isfinite(means).all(axis=1)]
    found = {"exploding"} if _not_finite(seen) else set[str]()
    if len(known):
        first, last = known[-1][0], known[-1][-1]
        if first < 1e-3 * last and first < 1e-4:
            found.add("vanishing")
        if last > 0 and first / last > 70:
            found.add("exploding")
    return found


def _means(seen: Seen) -> np.ndarray:
    """Mean |g| of every layer, `(steps, layers)`, those of several matrices together."""
    rows = seen.gradients.assign(square=seen.gradients["grad_norm"] ** 2)
    table = rows.groupby(["step", "layer"])["square"].sum(min_count=1).pow(0.5).unstack("layer")
    sizes = np.array([seen.sizes.get(int(layer), 1) for layer in table.columns], dtype=float)
    return MEAN_OF_NORM * table.to_numpy() / np.sqrt(sizes)


def _not_finite(seen: Seen) -> bool:
    gradient = seen.gradients["grad_norm"]
    return bool(np.isinf(gradient).any()) or seen.status == "diverged"
