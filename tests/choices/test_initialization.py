"""The distribution of every initialization against its definition, for linear and convolution weights."""

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
from vanishgrad.choices.initialization import (
    LSUV,
    Critical,
    Default,
    Gaussian,
    He,
    LeCun,
    Normal,
    Orthogonal,
    Xavier,
    Zeros,
    edge_of_chaos,
)
from vanishgrad.choices.protocol import Activation, Initialization
from vanishgrad.errors import SettingError
from vanishgrad.theory import SaturatedCriticalPoint


def described(value: object) -> str | None:
    """A test id without memory addresses, which would differ between the processes of one test run."""
    return None if isinstance(value, FunctionType) else str(value)


LINEAR, CONVOLUTION = (300, 200), (100, 60, 3, 3)
FANS = {LINEAR: (200, 300), CONVOLUTION: (540, 900)}

Variance = Callable[[int, int], float]


def drawn(
    init: Initialization, shape: tuple[int, ...], act: Activation | None = None, seed: int = 0
) -> Tensor:
    weight = torch.full(shape, torch.nan, dtype=torch.float64)
    init.weight_(weight, act or ReLU(), torch.Generator().manual_seed(seed))
    return weight


def biases(init: Initialization, fan_in: int, act: Activation | None = None) -> Tensor:
    bias = torch.full((50_000,), torch.nan, dtype=torch.float64)
    init.bias_(bias, fan_in, act or ReLU(), torch.Generator().manual_seed(1))
    return bias


def kurtosis(values: Tensor) -> float:
    """E[x^4] / E[x^2]^2: 3 for a normal distribution, 9/5 for a uniform one around 0."""
    return float((values**4).mean() / (values**2).mean() ** 2)


def he_variance(slope: float) -> Variance:
    return lambda fan_in, fan_out: 2 / ((1 + slope**2) * fan_in)


NORMAL: list[tuple[Initialization, Activation, Variance]] = [
    (Xavier(), ReLU(), lambda fan_in, fan_out: 2 / (fan_in + fan_out)),
    (Xavier(), Tanh(), lambda fan_in, fan_out: 2 / (fan_in + fan_out)),
    (He(), ReLU(), he_variance(0)),
    (He(), Sigmoid(), he_variance(0)),
    (He(), LeakyReLU(0.5), he_variance(0.5)),
    (He(), PReLU(0.25), he_variance(0.25)),
    (LeCun(), SELU(), lambda fan_in, fan_out: 1 / fan_in),
    (Gaussian(1.3, 0.2), Tanh(), lambda fan_in, fan_out: 1.3**2 / fan_in),
    (Normal(0.7), ReLU(), lambda fan_in, fan_out: 0.7**2),
    (Critical(), ReLU(), lambda fan_in, fan_out: 2 / fan_in),
    (Critical(), LeakyReLU(0.5), lambda fan_in, fan_out: 2 / (1.25 * fan_in)),
    (Critical(), GELU(), lambda fan_in, fan_out: 1.98306 / fan_in),
]
UNIFORM: list[tuple[Initialization, Activation, Variance]] = [
    (Default(), ReLU(), lambda fan_in, fan_out: 1 / (3 * fan_in)),
    (Xavier("uniform"), ReLU(), lambda fan_in, fan_out: 2 / (fan_in + fan_out)),
    (He("uniform"), ReLU(), he_variance(0)),
    (He("uniform"), LeakyReLU(0.5), he_variance(0.5)),
    (LeCun("uniform"), ReLU(), lambda fan_in, fan_out: 1 / fan_in),
]
SHAPES = pytest.mark.parametrize("shape", [LINEAR, CONVOLUTION], ids=["linear", "convolution"])


@SHAPES
@pytest.mark.parametrize("init, act, variance", NORMAL, ids=described)
def test_normal_weights_have_the_stated_variance(
    init: Initialization, act: Activation, variance: Variance, shape: tuple[int, ...]
) -> None:
    weight = drawn(init, shape, act)
    # 54,000 draws or more: the variance is known to 0.6 %, the kurtosis to 0.02
    assert float(weight.var()) == pytest.approx(variance(*FANS[shape]), rel=0.025)
    assert abs(float(weight.mean())) < 4 * float(weight.std()) / math.sqrt(weight.numel())
    assert kurtosis(weight) == pytest.approx(3, abs=0.1)


@SHAPES
@pytest.mark.parametrize("init, act, variance", UNIFORM, ids=described)
def test_uniform_weights_have_the_stated_variance_and_fill_their_interval(
    init: Initialization, act: Activation, variance: Variance, shape: tuple[int, ...]
) -> None:
    weight = drawn(init, shape, act)
    bound = math.sqrt(3 * variance(*FANS[shape]))
    assert float(weight.var()) == pytest.approx(bound**2 / 3, rel=0.015)
    assert kurtosis(weight) == pytest.approx(1.8, abs=0.03)
    assert 0.999 * bound < float(weight.max()) <= bound
    assert -bound <= float(weight.min()) < -0.999 * bound


@pytest.mark.parametrize(
    "module, shape", [(nn.Linear(200, 300), LINEAR), (nn.Conv2d(60, 100, 3), CONVOLUTION)], ids=str
)
def test_default_is_what_torch_itself_draws(module: nn.Linear | nn.Conv2d, shape: tuple[int, ...]) -> None:
    """Kolmogorov-Smirnov distance of two samples of n: above 1.95 sqrt(2 / n) once in 1,000 draws."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        module.reset_parameters()
    ours, theirs = (
        w.double().flatten().sort().values for w in (drawn(Default(), shape), module.weight.detach())
    )
    below = torch.searchsorted(theirs, ours) / len(theirs)
    own = torch.arange(len(ours)) / len(ours)
    assert float((below - own).abs().max()) < 1.95 * math.sqrt(2 / len(ours))
    assert module.bias is not None
    bias = biases(Default(), FANS[shape][0])
    assert float(module.bias.detach().abs().max()) == pytest.approx(float(bias.max()), rel=0.05)
    assert float(bias.var()) == pytest.approx(1 / (3 * FANS[shape][0]), rel=0.02)


@pytest.mark.parametrize("init, gain", [(Orthogonal(), 1.0), (Orthogonal(1.7), 1.7), (LSUV(), 1.0)], ids=str)
@pytest.mark.parametrize("shape", [(5, 5), (3, 7), (7, 3), (4, 5, 3, 3), (40, 2, 3, 3)], ids=str)
def test_orthogonal_weights_have_orthonormal_rows_or_columns(
    init: Initialization, gain: float, shape: tuple[int, ...]
) -> None:
    matrix = drawn(init, shape).flatten(1)
    gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    torch.testing.assert_close(gram, gain**2 * torch.eye(len(gram), dtype=gram.dtype), atol=1e-12, rtol=0)


def test_orthogonal_weights_prefer_no_direction() -> None:
    """Haar measure: each of the n^2 entries has mean 0 and variance 1 / n over draws."""
    draws = torch.stack([drawn(Orthogonal(), (3, 3), seed=seed) for seed in range(2_000)])
    torch.testing.assert_close(draws.mean(0), torch.zeros(3, 3, dtype=draws.dtype), atol=0.06, rtol=0)
    torch.testing.assert_close(draws.var(0), torch.full((3, 3), 1 / 3, dtype=draws.dtype), atol=0.04, rtol=0)


def test_zeros_are_zeros() -> None:
    assert not drawn(Zeros(), LINEAR).any()
    assert not biases(Zeros(), 200).any()


@pytest.mark.parametrize(
    "init", [Xavier(), He(), LeCun(), Orthogonal(), Normal(), LSUV(), Gaussian(2.0, 0.0)], ids=str
)
def test_biases_start_at_zero_unless_stated(init: Initialization) -> None:
    assert not biases(init, 200).any()


@pytest.mark.parametrize(
    "init, act, variance",
    [(Gaussian(1.0, 0.3), Tanh(), 0.09), (Critical(), GELU(), 0.17292), (Critical(), SiLU(), 0.55514)],
    ids=str,
)
def test_gaussian_biases_have_the_stated_variance_whatever_the_fan(
    init: Initialization, act: Activation, variance: float
) -> None:
    bias = biases(init, 200, act)
    assert float(bias.var()) == pytest.approx(variance, rel=0.03)
    assert kurtosis(bias) == pytest.approx(3, abs=0.1)


def test_the_default_bias_lies_within_one_over_root_fan_in() -> None:
    bias = biases(Default(), 100)
    assert 0.0999 < float(bias.max()) <= 0.1


A = 0.3
EDGES: list[tuple[Activation, float, float]] = [
    (Tanh(), 1, 0),
    (ELU(), 1, 0),
    (Softsign(), 1, 0),
    (Erf(), 0.8862, 0),
    (SELU(), 0.6909, 0),
    (ReLU(), math.sqrt(2), 0),
    (LeakyReLU(A), math.sqrt(2 / (1 + A**2)), 0),
    (PReLU(A), math.sqrt(2 / (1 + A**2)), 0),
    (Identity(), 1, 0),
    (GELU(), math.sqrt(1.98306), math.sqrt(0.17292)),
    (SiLU(), math.sqrt(1.98800), math.sqrt(0.55514)),
    (Mish(), math.sqrt(2.01352), math.sqrt(0.09453)),
]


@pytest.mark.parametrize("act, sigma_w, sigma_b", EDGES, ids=str)
def test_critical_lies_on_the_published_edge_of_chaos(
    act: Activation, sigma_w: float, sigma_b: float
) -> None:
    # SELU's exact value is 0.69049; the contract's 0.6909 differs in the fourth digit
    assert edge_of_chaos(act) == pytest.approx((sigma_w, sigma_b), abs=5e-4)


def test_critical_sigmoid_warns_that_it_is_saturated() -> None:
    edge_of_chaos.cache_clear()
    with pytest.warns(SaturatedCriticalPoint, match=r"10\.15"):
        assert edge_of_chaos(Sigmoid()) == pytest.approx((10.149, 0), abs=5e-4)


def test_critical_softplus_is_refused() -> None:
    with pytest.raises(SettingError, match=r"init=critical: Softplus has no critical point.*choose"):
        edge_of_chaos(Softplus())


@pytest.mark.parametrize("init", [Default(), Xavier(), Orthogonal(), Gaussian(), Normal(), LSUV()], ids=str)
def test_draws_depend_on_their_generator_alone(init: Initialization) -> None:
    before = torch.get_rng_state()
    assert torch.equal(drawn(init, (6, 4), seed=5), drawn(init, (6, 4), seed=5))
    assert not torch.equal(drawn(init, (6, 4), seed=5), drawn(init, (6, 4), seed=6))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Xavier("gauss"), r"init\.distribution=gauss: choose one of normal, uniform"),
        (lambda: He("unifrom"), r"init\.distribution=unifrom: .*did you mean uniform"),
        (lambda: LeCun(""), r"init\.distribution=: choose one of"),
        (lambda: Orthogonal(0.0), r"init\.gain=0\.0: must be above 0"),
        (lambda: Gaussian(-1.0), r"init\.sigma_w=-1\.0: must be at least 0"),
        (lambda: Gaussian(1.0, -0.1), r"init\.sigma_b=-0\.1: must be at least 0"),
        (lambda: Normal(math.nan), r"init\.std=nan: must be at least 0"),
        (lambda: LSUV(tolerance=0.0), r"init\.tolerance=0\.0: must be above 0"),
        (lambda: LSUV(max_iterations=0), r"init\.max_iterations=0: must be at least 1"),
        (lambda: LSUV(batch_size=1), r"init\.batch_size=1: must be at least 2"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(make: Callable[[], object], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        make()
