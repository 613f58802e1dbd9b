"""A hidden layer as an encoder: what it makes of its input must be enough to restore it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vanishgrad.training.pretraining.bernoulli import bernoulli, log_odds


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
