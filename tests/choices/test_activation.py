"""Every activation against its formula, in float64."""

import math
from collections.abc import Callable
from types import FunctionType

import pytest
import torch
from torch import Tensor, nn

from vanishgrad.choices.activation import (
    ELU,
    GELU,
    SELU,
    Erf,
    Identity,
    LeakyReLU,
    Mish,
    PReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softplus,
    Softsign,
    Tanh,
)
from vanishgrad.choices.protocol import Activation
from vanishgrad.errors import SettingError


def described(value: object) -> str | None:
    """A test id without memory addresses, which would differ between the processes of one test run."""
    return None if isinstance(value, FunctionType) else str(value)


SCALE, ALPHA = 1.0507009873554805, 1.6732632423543772  # Klambauer et al. 2017, eq. 14

FORMULAS: list[tuple[Activation, Callable[[float], float]]] = [
    (ReLU(), lambda x: max(x, 0.0)),
    (Sigmoid(), lambda x: 1 / (1 + math.exp(-x))),
    (Tanh(), lambda x: (math.exp(2 * x) - 1) / (math.exp(2 * x) + 1)),
    (Softsign(), lambda x: x / (1 + abs(x))),
    (Softplus(), lambda x: math.log(1 + math.exp(x))),
    (LeakyReLU(), lambda x: x if x > 0 else 0.01 * x),
    (LeakyReLU(0.3), lambda x: x if x > 0 else 0.3 * x),
    (PReLU(), lambda x: x if x > 0 else 0.25 * x),
    (PReLU(0.4), lambda x: x if x > 0 else 0.4 * x),
    (ELU(), lambda x: x if x > 0 else math.exp(x) - 1),
    (ELU(2.0), lambda x: x if x > 0 else 2 * (math.exp(x) - 1)),
    (SELU(), lambda x: SCALE * (x if x > 0 else ALPHA * (math.exp(x) - 1))),
    (GELU(), lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2),
    (SiLU(), lambda x: x / (1 + math.exp(-x))),
    (Mish(), lambda x: x * math.tanh(math.log(1 + math.exp(x)))),
    (Erf(), math.erf),
    (Identity(), lambda x: x),
]


@pytest.mark.parametrize("act, formula", FORMULAS, ids=described)
def test_an_activation_is_its_formula(act: Activation, formula: Callable[[float], float]) -> None:
    x = torch.linspace(-4, 4, 81, dtype=torch.float64)
    expected = torch.tensor([formula(value) for value in x.tolist()], dtype=torch.float64)
    torch.testing.assert_close(apply(act, x), expected, rtol=1e-6, atol=1e-7)


def apply(act: Activation, x: Tensor) -> Tensor:
    return act.module().to(x.dtype)(x).detach()


@pytest.mark.parametrize("act", [act for act, _ in FORMULAS], ids=str)
def test_every_call_builds_a_module_of_its_own_and_only_prelu_learns(act: Activation) -> None:
    first, second = act.module(), act.module()
    assert first is not second
    assert len(list(first.parameters())) == (1 if isinstance(first, nn.PReLU) else 0)


def test_the_negative_slope_is_that_of_leaky_relu_and_prelu() -> None:
    slopes = [act.negative_slope for act in (LeakyReLU(0.2), PReLU(0.3), ReLU(), ELU(), Identity())]
    assert slopes == [0.2, 0.3, 0, 0, 0]


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: LeakyReLU(math.nan), r"act\.slope=nan: must be a finite number"),
        (lambda: PReLU(math.inf), r"act\.slope=inf: must be a finite number"),
        (lambda: ELU(-1.0), r"act\.alpha=-1\.0: must be finite, at least 0"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(make: Callable[[], object], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        make()


def slope(act: Activation, x: float) -> float:
    at = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    act.module().double()(at).backward()
    assert at.grad is not None
    return at.grad.item()


@pytest.mark.parametrize("act", [act for act, _ in FORMULAS], ids=described)
def test_what_an_activation_says_of_itself_is_what_its_function_does(act: Activation) -> None:
    f, wide = act.module().double(), torch.linspace(-4, 4, 81, dtype=torch.float64)
    flat_tails = abs(slope(act, 1e4)) < 1e-6 and abs(slope(act, -1e4)) < 1e-6
    assert act.bounded == flat_tails
    assert act.homogeneous == torch.allclose(f(3 * wide), 3 * f(wide), rtol=1e-12)
    assert act.probability == torch.allclose(f(wide), 1 / (1 + torch.exp(-wide)), rtol=1e-12)
    if act.half_linear:
        assert slope(act, 20.0) == pytest.approx(1, abs=1e-3)
        assert abs(slope(act, -20.0)) < 0.5
