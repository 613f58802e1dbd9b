"""The restricted Boltzmann machine: binary units, p(v, h) ~ exp(a v + b h + h W v).

W is `(hidden, visible)`, as in a linear layer; a, `(visible,)`, and b, `(hidden,)`, are the biases.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vanishgrad.errors import require
from vanishgrad.training.pretraining.bernoulli import bernoulli, log_odds


class Statistics(NamedTuple):
    """The derivatives of -F(v) with respect to W, a and b, averaged over examples."""

    W: Tensor
    a: Tensor
    b: Tensor


def hidden_given(v: Tensor, W: Tensor, b: Tensor) -> Tensor:
    """p(h=1 | v), `(batch, visible) -> (batch, hidden)`."""
    return torch.sigmoid(F.linear(v, W, b))


def visible_given(h: Tensor, W: Tensor, a: Tensor) -> Tensor:
    """p(v=1 | h), `(batch, hidden) -> (batch, visible)`."""
    return torch.sigmoid(F.linear(h, W.t(), a))


def free_energy(v: Tensor, W: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """F(v) = -log sum_h exp(a v + b h + h W v), `(batch, visible) -> (batch,)`."""
    return -(v @ a) - F.softplus(F.linear(v, W, b)).sum(1)


def statistics(v: Tensor, h: Tensor) -> Statistics:
    """<h v>, <v> and <h> over a batch; `h` is p(h=1 | v)."""
    return Statistics(h.t() @ v / len(v), v.mean(0), h.mean(0))


def contrastive_divergence(
    v: Tensor, W: Tensor, a: Tensor, b: Tensor, k: int, generator: torch.Generator
) -> Statistics:
    """The CD-k estimate of the gradient of the mean log-likelihood: statistics of data less those k steps on.

    Examples `v`, `(batch, visible)`, are probabilities, and binary data are drawn from them: beside the
    variance of binary reconstructions, that of bare probabilities would pass for weights that are too large.
    All that drives the Gibbs chain is sampled, so that the estimate approaches the gradient as k grows;
    hidden units enter the statistics by their probabilities (Hinton 2002; Hinton 2010, section 3).
    """
    v = bernoulli(v, generator)
    h = hidden_given(v, W, b)
    data = statistics(v, h)
    for _ in range(k):
        v = bernoulli(visible_given(bernoulli(h, generator), W, a), generator)
        h = hidden_given(v, W, b)
    model = statistics(v, h)
    return Statistics(data.W - model.W, data.a - model.a, data.b - model.b)


class BoltzmannLayer:
    """A hidden layer that learns as a restricted Boltzmann machine by plain gradient ascent.

    The visible bias starts at the log odds of the data (Hinton 2010, section 8.1) and is thrown away.

    Arguments:
        linear: the layer, whose weights W and bias b are changed in place.
        inputs: all its inputs, probabilities `(n, visible)`.
        k: Gibbs steps.
        lr: learning rate.
    """

    def __init__(self, linear: nn.Linear, inputs: Tensor, k: int, lr: float) -> None:
        low, high = float(inputs.min()), float(inputs.max())
        require(
            low >= 0 and high <= 1,
            f"pretrain=rbm with inputs from {low:.4g} to {high:.4g}: a restricted Boltzmann machine takes "
            "them for probabilities; bring them to [0, 1] (data.scale=unit), or use pretrain=autoencoder",
        )
        self.W, self.b = linear.weight.detach(), linear.bias.detach()
        self.a = log_odds(inputs)
        self.k, self.lr = k, lr

    def loss(self, v: Tensor, noise: torch.Generator) -> Tensor:
        """Cross-entropy of the reconstruction from p(h | v), summed over units, mean over examples."""
        logits = F.linear(hidden_given(v, self.W, self.b), self.W.t(), self.a)
        return F.binary_cross_entropy_with_logits(logits, v, reduction="sum") / len(v)

    def update_(self, v: Tensor, noise: torch.Generator) -> None:
        """One step on a batch."""
        ascent = contrastive_divergence(v, self.W, self.a, self.b, self.k, noise)
        torch._foreach_add_([self.W, self.a, self.b], list(ascent), alpha=self.lr)
