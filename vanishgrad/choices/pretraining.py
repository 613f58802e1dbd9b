"""Greedy layer-wise pretraining: one hidden layer at a time, without labels, before the whole is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vanishgrad.choices.protocol import Learner, Pretraining, Setting
from vanishgrad.errors import at_least, between, require

MOST_GIBBS = 1_000  # sampling steps of a chain
LARGEST_RATE = 1e30  # a float32 can hold it


@dataclass(frozen=True)
class NoPretraining(Pretraining):
    """None. The parameters are there so that a sweep may set them with other choices; no effect.

    Arguments:
        epochs: passes over the training inputs per layer.
        lr: learning rate of every layer.
    """

    epochs: int = 20
    lr: float = 0.1
    name: ClassVar[str] = "none"
    pretrains: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check(self)

    def learner(self, linear: nn.Linear, act: nn.Module, inputs: Tensor, probabilities: bool) -> Learner:
        raise AssertionError("nothing is pretrained")


@dataclass(frozen=True)
class RBM(Pretraining):
    """Stacked restricted Boltzmann machines (Hinton et al. 2006), each trained by contrastive divergence.

    All units are binary. Inputs in [0, 1], and the activities of the layer below, are probabilities; binary
    data are drawn from them at every pass. Needs act=sigmoid and data.scale=unit.

    Arguments:
        epochs: passes over the training inputs per layer.
        lr: learning rate of every layer.
        k: Gibbs steps of CD-k.
        freeze: true trains only the output layer afterwards, the start that fine-tuning has.
    """

    epochs: int = 20
    lr: float = 0.1
    k: int = 1
    freeze: bool = False
    name: ClassVar[str] = "rbm"

    def __post_init__(self) -> None:
        _check(self)
        between("pretrain.k", self.k, 1, MOST_GIBBS)

    def learner(self, linear: nn.Linear, act: nn.Module, inputs: Tensor, probabilities: bool) -> Learner:
        return BoltzmannLayer(linear, inputs, self.k, self.lr)

    def refuse(self, setting: Setting) -> None:
        _refuse_layers(setting)
        require(
            setting.act.probability,
            f"pretrain=rbm with act={setting.act.name}: a binary unit is on with probability "
            "sigmoid(W x + b); use act=sigmoid, or pretrain=autoencoder",
        )
        require(
            setting.data.probabilities,
            "pretrain=rbm with data.scale=standard: its inputs are probabilities; use data.scale=unit",
        )


@dataclass(frozen=True)
class Autoencoder(Pretraining):
    """Each hidden layer learns to encode its input so that a decoder restores it (Bengio et al. 2007).

    The decoder is logistic with cross-entropy, summed over units, where what it restores lies in [0, 1]
    (data.scale=unit, act=sigmoid); else it is linear with the squared error as a fraction of the variance. It
    starts as the encoder transposed and is thrown away.

    Arguments:
        epochs: passes over the training inputs per layer.
        lr: learning rate of every layer.
        tied: whether the decoder's weights stay the encoder's, transposed; else they go their own way.
        freeze: true trains only the output layer afterwards, the start that fine-tuning has.
    """

    epochs: int = 20
    lr: float = 0.1
    tied: bool = True
    freeze: bool = False
    name: ClassVar[str] = "autoencoder"

    def __post_init__(self) -> None:
        _check(self)

    def learner(self, linear: nn.Linear, act: nn.Module, inputs: Tensor, probabilities: bool) -> Learner:
        return EncoderLayer(
            linear, act, inputs, logistic=probabilities, tied=self.tied, corruption=0.0, lr=self.lr
        )

    def refuse(self, setting: Setting) -> None:
        _refuse_layers(setting)


@dataclass(frozen=True)
class DenoisingAutoencoder(Pretraining):
    """An autoencoder that restores what masking noise took away (Vincent et al. 2010).

    Arguments:
        epochs: passes over the training inputs per layer.
        lr: learning rate of every layer.
        corruption: probability that an element of the input is set to 0.
        tied: whether the decoder's weights stay the encoder's, transposed; else they go their own way.
        freeze: true trains only the output layer afterwards, the start that fine-tuning has.
    """

    epochs: int = 20
    lr: float = 0.1
    corruption: float = 0.25
    tied: bool = True
    freeze: bool = False
    name: ClassVar[str] = "denoising_autoencoder"

    def __post_init__(self) -> None:
        _check(self)
        require(
            0 <= self.corruption < 1,
            f"pretrain.corruption={self.corruption}: must be at least 0 and below 1",
        )

    def learner(self, linear: nn.Linear, act: nn.Module, inputs: Tensor, probabilities: bool) -> Learner:
        return EncoderLayer(
            linear,
            act,
            inputs,
            logistic=probabilities,
            tied=self.tied,
            corruption=self.corruption,
            lr=self.lr,
        )

    def refuse(self, setting: Setting) -> None:
        _refuse_layers(setting)


def _check(choice: Pretraining) -> None:
    at_least("pretrain.epochs", choice.epochs, 0)
    require(
        0 < choice.lr <= LARGEST_RATE,
        f"pretrain.lr={choice.lr}: must be above 0 and at most {LARGEST_RATE:g}",
    )


def _refuse_layers(setting: Setting) -> None:
    """Pretraining stacks plain hidden layers."""
    pretrain = f"pretrain={setting.pretrain.name}"
    require(
        setting.model.plain_layers and setting.depth >= 1,
        f"{pretrain} with model={setting.model.name} depth={setting.depth}: trains the hidden layers of an "
        "mlp one by one; use model=mlp with at least one",
    )
    norm, residual = setting.norm, setting.residual
    require(
        not (norm.normalizes or norm.acts_on_weights or residual.shortcuts),
        f"{pretrain} with norm={norm.name} residual={residual.name}: a layer is trained alone, as "
        "act(W x + b); use norm=none residual=none",
    )


def bernoulli(probabilities: Tensor, generator: torch.Generator) -> Tensor:
    """1 with the given probability, else 0; drawn on the CPU, so that every device sees the same noise."""
    uniform = torch.rand(probabilities.shape, dtype=probabilities.dtype, generator=generator)
    return (uniform.to(probabilities.device) < probabilities).to(probabilities.dtype)


def log_odds(v: Tensor) -> Tensor:
    """log p/(1-p) of each unit's mean p over `v`, `(n, units) -> (units,)`.

    Half an example on and half a one off are added, which keeps units that never change finite.
    """
    on = v.sum(0) + 0.5
    return torch.log(on / (len(v) + 1 - on))


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

    Examples `v`, `(batch, visible)`, are probabilities, and binary data are drawn from them: next to the
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


class EncoderLayer:
    """A hidden layer that learns to encode its input (Bengio et al. 2007; Vincent et al. 2010).

    The decoder starts as the encoder transposed, with the bias that restores the mean input: from there a
    tied decoder stays the encoder's transpose and a free one goes its own way. It is thrown away.

    Arguments:
        linear: the layer, whose weights and bias are changed in place.
        act: its activation, left as it is.
        inputs: all its inputs, `(n, visible)`.
        logistic: whether inputs are probabilities, restored by a sigmoid under cross-entropy; else they are
            restored linearly under the squared error, counted in variances of the inputs: where units are
            many or large, the same learning rate then serves.
        tied: whether the decoder's weights are the encoder's.
        corruption: probability that an element of the input is hidden from the encoder.
        lr: learning rate.
    """

    def __init__(
        self, linear: nn.Linear, act: nn.Module, inputs: Tensor, *,
        logistic: bool, tied: bool, corruption: float, lr: float,
    ) -> None:  # fmt: skip
        self.weight, self.bias = (p.detach().requires_grad_() for p in (linear.weight, linear.bias))
        self.decoder_bias = (log_odds(inputs) if logistic else inputs.mean(0)).requires_grad_()
        self.variance = _variance(inputs)
        self.decoder = self.weight if tied else self.weight.detach().clone().requires_grad_()
        self.act, self.logistic, self.corruption, self.lr = act, logistic, corruption, lr

    def loss(self, inputs: Tensor, noise: torch.Generator) -> Tensor:
        """Cross-entropy, summed over units, mean over examples; or the fraction of variance not restored."""
        code = self.act(F.linear(self._corrupted(inputs, noise), self.weight, self.bias))
        restored = F.linear(code, self.decoder.t(), self.decoder_bias)
        if self.logistic:
            return F.binary_cross_entropy_with_logits(restored, inputs, reduction="sum") / len(inputs)
        return F.mse_loss(restored, inputs, reduction="sum") / (len(inputs) * self.variance)

    @torch.no_grad()
    def update_(self, inputs: Tensor, noise: torch.Generator) -> None:
        """One step of gradient descent on a batch."""
        free = [] if self.decoder is self.weight else [self.decoder]
        parameters = [self.weight, self.bias, self.decoder_bias, *free]
        with torch.enable_grad():
            gradients = torch.autograd.grad(self.loss(inputs, noise), parameters)
        torch._foreach_add_(parameters, gradients, alpha=-self.lr)

    def _corrupted(self, inputs: Tensor, noise: torch.Generator) -> Tensor:
        if not self.corruption:
            return inputs
        return inputs * bernoulli(torch.full_like(inputs, 1 - self.corruption), noise)


def _variance(inputs: Tensor) -> Tensor:
    """Summed over units; 1 for inputs that never vary, whose mean restores them."""
    variance = inputs.var(0, correction=0).sum()
    return torch.where(variance > 0, variance, 1.0)
