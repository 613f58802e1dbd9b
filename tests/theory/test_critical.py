"""Critical points against their analytic limits, published values and the definitions they must satisfy."""

import math
import warnings

import pytest
import torch
from torch import nn

from vanishgrad.errors import SettingError
from vanishgrad.theory.critical import CriticalPoint, SaturatedCriticalPoint, critical_point
from vanishgrad.theory.gaussian import Function, roots, scales
from vanishgrad.theory.mean_field import chi_1, length_map, q_star, second_moment


def called(value: object) -> str:
    """A name for a test that is the same in every process."""
    return getattr(value, "__name__", str(value))


class Erf(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.erf(x)


SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
WITHOUT_BIAS: list[tuple[Function, float]] = [
    (nn.Identity(), 1),
    (nn.Tanh(), 1),
    (nn.Softsign(), 1),
    (Erf(), math.sqrt(math.pi) / 2),
    (nn.ReLU(), math.sqrt(2)),
    (nn.ReLU(inplace=True), math.sqrt(2)),
    (nn.LeakyReLU(0.01), math.sqrt(2 / (1 + 0.01**2))),
    (nn.LeakyReLU(-1.0), 1),
    (nn.LeakyReLU(3.0), math.sqrt(2 / 10)),
    (nn.PReLU(init=0.25), math.sqrt(2 / (1 + 0.25**2))),
    (nn.ELU(), 1),
    (nn.ELU(0.0), math.sqrt(2)),
    (nn.ELU(0.5), math.sqrt(2 / 1.25)),
    (nn.ELU(2.0), math.sqrt(2 / 5)),
    (nn.SELU(), math.sqrt(2 / (1 + SELU_ALPHA**2)) / SELU_SCALE),
    (nn.Hardtanh(), 1),
    (torch.sin, 1),
    (lambda x: torch.tanh(3 * x), 1 / 3),
]


@pytest.mark.parametrize(("f", "sigma_w"), WITHOUT_BIAS, ids=called)
def test_attracting_zero_gives_the_mean_squared_one_sided_slope(f: Function, sigma_w: float) -> None:
    assert critical_point(f) == pytest.approx((sigma_w, 0.0), rel=1e-13)


HALF_STABLE: list[tuple[Function, float, float]] = [
    (nn.GELU(), 1.98306, 0.17292),
    (nn.SiLU(), 1.98800, 0.55514),
    (nn.Mish(), 2.01352, 0.09453),
]


@pytest.mark.parametrize(("f", "variance_w", "variance_b"), HALF_STABLE, ids=called)
def test_half_stable_points_are_the_known_ones(f: Function, variance_w: float, variance_b: float) -> None:
    point = critical_point(f)
    assert (point.sigma_w**2, point.sigma_b**2) == pytest.approx((variance_w, variance_b), abs=1e-5)


@pytest.mark.parametrize("f", [f for f, _, _ in HALF_STABLE], ids=called)
def test_at_half_stable_points_the_length_map_touches_the_diagonal(f: Function) -> None:
    point = critical_point(f)
    q = next(roots(lambda q: chi_1(f, point.sigma_w, q) - 1, scales(1e-3, 1e3)))
    step = 1e-4 * q
    chi_parallel = (length_map(f, q + step, *point) - length_map(f, q - step, *point)) / (2 * step)
    assert length_map(f, q, *point) == pytest.approx(q, rel=1e-10)
    assert chi_parallel == pytest.approx(1, abs=1e-7)
    assert q_star(f, *point, start=q) == q


def test_half_stable_points_follow_the_scale_of_the_function() -> None:
    plain, narrow = critical_point(nn.GELU()), critical_point(lambda x: nn.functional.gelu(4 * x))
    assert narrow == pytest.approx((plain.sigma_w / 4, plain.sigma_b / 4), rel=1e-10)


def test_sigmoid_keeps_its_gradients_only_where_it_is_saturated() -> None:
    with pytest.warns(SaturatedCriticalPoint, match=r"Sigmoid .* sigma_w=10\.15, with 5\d% .* saturated"):
        point = critical_point(nn.Sigmoid())
    assert point == pytest.approx((10.149, 0.0), abs=5e-4)
    q = q_star(torch.sigmoid, *point)
    assert chi_1(torch.sigmoid, point.sigma_w, q) == pytest.approx(1, rel=1e-10)


def shifted(x: torch.Tensor) -> torch.Tensor:
    """dE[f^2]/dq = E[f'^2] everywhere, up to rounding, but only a negative bias variance would balance it."""
    return x + 1


def zero(x: torch.Tensor) -> torch.Tensor:
    return 0 * x


UNBALANCED = (nn.Softplus(), nn.LogSigmoid(), nn.Tanhshrink(), torch.sign, torch.square, shifted, zero)


@pytest.mark.parametrize("f", UNBALANCED, ids=called)
def test_an_activation_without_critical_point_is_refused(f: Function) -> None:
    with pytest.raises(SettingError, match="no critical point"):
        critical_point(f)


def test_the_refusal_names_the_activation_the_reason_and_the_choices() -> None:
    with pytest.raises(SettingError, match=r"critical: Softplus has no .* its gradients; choose .*relu"):
        critical_point(nn.Softplus())


def test_softplus_loses_its_length_wherever_its_gradients_keep_theirs() -> None:
    """The reason for the refusal: the bias variance that would be needed is negative at every length."""
    f = nn.Softplus()
    needed = (q - second_moment(f, q) / chi_1(f, 1.0, q) for q in scales(1e-6, 1e6))
    assert max(needed) < 0


FREE_OF_SATURATION: list[Function] = [*(f for f, _ in WITHOUT_BIAS), *(f for f, _, _ in HALF_STABLE)]


def test_nothing_but_sigmoid_warns() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for f in FREE_OF_SATURATION:
            critical_point(f)


@pytest.mark.parametrize("f", [nn.PReLU(), nn.GELU()], ids=called)
def test_gradient_modes_do_not_matter(f: nn.Module) -> None:
    expected = critical_point(f)
    with torch.no_grad():
        assert critical_point(f) == expected
    with torch.inference_mode():
        assert critical_point(f) == expected


def test_a_learned_slope_is_used_as_it_is_and_gets_no_gradient() -> None:
    f = nn.PReLU(init=0.25)
    with torch.no_grad():
        f.weight.fill_(0.5)
    assert critical_point(f) == pytest.approx((math.sqrt(2 / 1.25), 0.0), rel=1e-13)
    assert f.weight.grad is None
    assert f.weight.requires_grad


def test_no_random_number_is_drawn() -> None:
    before = torch.get_rng_state()
    critical_point(nn.GELU())
    assert torch.equal(torch.get_rng_state(), before)


def test_the_point_unpacks_and_names_its_parts() -> None:
    sigma_w, sigma_b = point = critical_point(nn.ReLU())
    assert point == CriticalPoint(sigma_w=sigma_w, sigma_b=sigma_b)


def test_depth_neither_fades_nor_explodes_at_the_critical_point_of_tanh() -> None:
    """2000 layers: q decays as 1 / (2 l), the theory's power law, instead of exponentially."""
    q, point = 1.0, critical_point(torch.tanh)
    for _ in range(2000):
        q = length_map(torch.tanh, q, *point)
    assert q == pytest.approx(1 / (2 * 2000), rel=0.02)
