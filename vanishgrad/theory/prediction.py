"""What the theory is given, and what it answers: plain data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Prediction:
    """The theory's figures for a network with its initial weights, in the limit of wide layers.

    What the theory does not give is None, with a note that says why.

    Arguments:
        sigma_w: of the hidden layers' weights, N(0, sigma_w^2 / fan_in).
        sigma_b: of their biases.
        q_star: the variance of pre-activations that deep layers approach.
        chi_1: the factor on the squared gradient per layer there, towards the input.
        c_star: the correlation that two inputs approach.
        xi_q: layers over which a length comes e times nearer to q_star.
        xi_c: layers over which two inputs come e times nearer to c_star.
        xi_grad: layers over which the squared gradient changes by e.
        phase: ordered (chi_1 < 1), critical or chaotic (chi_1 > 1).
        trainable_depth: 6 xi_c, the deepest networks that Schoenholz et al. 2017 could train.
        log10_gradient_ratio: log10 of ||dLoss/dz_1|| / ||dLoss/dz_depth||.
        profile: log10 ||dLoss/dz|| of every hidden layer relative to the last one's; None for a layer whose
            gradient is exactly 0.
        lengths: the variance q of every hidden layer's pre-activations.
        scatter_shift: how far a typical network of this width lies from log10_gradient_ratio.
        scatter: the standard deviation of log10_gradient_ratio over initial weights, at this width.
        jacobian_log10_mean: log10 of the mean squared singular value of dz_depth/dz_1.
        jacobian_variance: the variance of the squared singular values over their squared mean.
        time_factor: recurrent models: the factor on a state's squared gradient per time step.
        notes: what is not covered and why, and what was assumed.
    """

    sigma_w: float | None = None
    sigma_b: float | None = None
    q_star: float | None = None
    chi_1: float | None = None
    c_star: float | None = None
    xi_q: float | None = None
    xi_c: float | None = None
    xi_grad: float | None = None
    phase: str | None = None
    trainable_depth: float | None = None
    log10_gradient_ratio: float | None = None
    profile: tuple[float | None, ...] | None = None
    lengths: tuple[float, ...] | None = None
    scatter_shift: float | None = None
    scatter: float | None = None
    jacobian_log10_mean: float | None = None
    jacobian_variance: float | None = None
    time_factor: float | None = None
    notes: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """Numbers, text, lists and None under the names above, and `note`, all notes in one text or None.

        Infinities are left in: `vanishgrad.records.strict` writes them for JSON.
        """
        values = asdict(self)
        values |= {key: list(value) for key, value in values.items() if isinstance(value, tuple)}
        return values | {"note": "; ".join(self.notes) or None}


@dataclass(frozen=True)
class Inputs:
    """What the theory needs of the training inputs.

    Arguments:
        length: the mean of x^2 over examples and features.
        shared: the mean of x_a x_b over features and pairs of different examples.
        examples: how many there are.
        places: the mean of x^2 at each place of an image, by rows; empty for other data.
        lengths: the mean of x^2 in each quarter of the examples, from the shortest to the longest.
    """

    length: float
    shared: float
    examples: int
    places: tuple[tuple[float, ...], ...] = ()
    lengths: tuple[float, ...] = ()
