"""Clipping against the definitions, over the whole range of float32 gradients."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from vanishgrad.choices.clipping import AGC, ClipByNorm, ClipByValue, Clipping, NoClip
from vanishgrad.errors import SettingError

SHAPES = [(5, 4), (5,), (3, 5), (3,), ()]
OUTPUT = 2  # the first three tensors are the hidden layer's, the others the output layer's


def tensors(scale: float, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [scale * torch.randn(shape, generator=generator) for shape in SHAPES]


def flat(several: list[Tensor]) -> Tensor:
    return torch.cat([tensor.double().flatten() for tensor in several])


def clipped(clip: Clipping, gradients: list[Tensor], parameters: list[Tensor] | None = None) -> list[Tensor]:
    result = [gradient.clone() for gradient in gradients]
    clip.clip_(result, parameters or tensors(1.0, seed=1), OUTPUT)
    return result


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e10, 1e30])
@pytest.mark.parametrize("max_norm", [1e-4, 1e-3])
def test_norm_keeps_the_direction_and_meets_the_bound(scale: float, max_norm: float) -> None:
    before = tensors(scale, seed=0)
    after = flat(clipped(ClipByNorm(max_norm), before))
    assert float(after.norm()) == pytest.approx(max_norm, rel=1e-6)
    torch.testing.assert_close(after / after.norm(), flat(before) / flat(before).norm(), rtol=1e-6, atol=0)


def test_norm_bounds_the_largest_gradients_that_float32_has() -> None:
    before = [torch.full((64, 64), 3e38), torch.full((9,), -3e38)]
    after = flat(clipped(ClipByNorm(1e-3), before, before))
    # the factor, 5e-44, is below float32's normal numbers
    assert float(after.norm()) == pytest.approx(1e-3, rel=1e-5)


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e-3])
@pytest.mark.parametrize("clip", [ClipByNorm(1.0), ClipByValue(1.0), NoClip()], ids=str)
def test_gradients_within_the_bound_stay_as_they_are_bit_by_bit(clip: Clipping, scale: float) -> None:
    before = tensors(scale, seed=0)
    assert all(map(torch.equal, clipped(clip, before), before))


def test_no_clip_leaves_the_largest_alone() -> None:
    before = tensors(1e30, seed=0)
    assert all(map(torch.equal, clipped(NoClip(), before), before))


@pytest.mark.parametrize("scale", [1.0, 1e30])
def test_value_clamps_every_element(scale: float) -> None:
    before = tensors(scale, seed=0)
    after = clipped(ClipByValue(0.25), before)
    for one, other in zip(before, after, strict=True):
        expected = [min(max(value, -0.25), 0.25) for value in one.flatten().tolist()]
        assert other.flatten().tolist() == pytest.approx(expected, rel=1e-7)


def agc_row(gradient: list[float], weight: list[float], factor: float) -> list[float]:
    """One unit, eq. 3 of Brock et al. 2021."""
    size, length = math.hypot(*gradient), max(math.hypot(*weight), 1e-3)
    scale = factor * length / size if size / length > factor else 1.0
    return [scale * value for value in gradient]


def agc(gradients: list[Tensor], parameters: list[Tensor], factor: float) -> list[Tensor]:
    """Unit by unit in Python numbers: rows of matrices are units, a bias vector is one; output untouched."""
    result = []
    for position, (gradient, parameter) in enumerate(zip(gradients, parameters, strict=True)):
        rows = (1, -1) if gradient.ndim < 2 else (len(gradient), -1)
        pairs = zip(gradient.reshape(rows).tolist(), parameter.reshape(rows).tolist(), strict=True)
        units = [agc_row(g, w, factor) if position < OUTPUT else g for g, w in pairs]
        result.append(torch.tensor(units).reshape(gradient.shape))
    return result


@pytest.mark.parametrize("scale", [1e-30, 1e-2, 1.0, 1e30])
@pytest.mark.parametrize("size", [1.0, 1e-5], ids=["weights", "tiny weights"])
def test_agc_is_its_naive_twin(scale: float, size: float) -> None:
    gradients, parameters = tensors(scale, seed=0), tensors(size, seed=1)
    expected = agc(gradients, parameters, 0.05)
    for one, other in zip(clipped(AGC(0.05), gradients, parameters), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=0)


def test_agc_lets_zero_weights_move() -> None:
    gradients, parameters = tensors(1.0, seed=0), [torch.zeros(shape) for shape in SHAPES]
    after = clipped(AGC(0.05), gradients, parameters)
    assert [float(row.norm()) for row in after[0]] == pytest.approx([0.05 * 1e-3] * 5, rel=1e-5)


def test_agc_leaves_small_gradients_and_the_output_layer_alone_bit_by_bit() -> None:
    small, large = tensors(1e-6, seed=0), tensors(1e6, seed=0)
    assert all(map(torch.equal, clipped(AGC(), small), small))
    assert all(map(torch.equal, clipped(AGC(), large)[OUTPUT:], large[OUTPUT:]))


def test_agc_counts_a_kernel_as_one_unit_per_output() -> None:
    generator = torch.Generator().manual_seed(0)
    gradient, weight = (torch.randn(3, 2, 3, 3, generator=generator) for _ in range(2))
    (after,) = (tensor.clone() for tensor in [gradient])
    AGC(0.02).clip_([after], [weight], 1)
    assert [float(unit.norm()) for unit in after] == pytest.approx(
        [0.02 * float(w.norm()) for w in weight], rel=1e-5
    )


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: ClipByNorm(0.0), r"clip\.max_norm=0\.0: must be above 0"),
        (lambda: ClipByNorm(math.nan), r"clip\.max_norm=nan: must be above 0"),
        (lambda: ClipByValue(-1.0), r"clip\.max_value=-1\.0: must be above 0"),
        (lambda: AGC(0.0), r"clip\.factor=0\.0: must be above 0"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(make: Callable[[], object], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        make()
