"""Every normalization layer against its formula."""

from collections.abc import Callable
from types import FunctionType

import pytest
import torch
from torch import Tensor, nn

from vanishgrad.choices.normalization import (
    EPSILON,
    BatchNorm,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    NoNorm,
    RMSNorm,
    WeightNorm,
)
from vanishgrad.choices.protocol import Normalization
from vanishgrad.errors import SettingError


def described(value: object) -> str | None:
    """A test id without memory addresses, which would differ between the processes of one test run."""
    return None if isinstance(value, FunctionType) else str(value)


EPS = 1e-5


def module_of(norm: Normalization, width: int, spatial: int = 0) -> nn.Module:
    module = norm.module(width, spatial)
    assert module is not None
    return module.double()


def values(*shape: int, seed: int = 0) -> Tensor:
    """Neither centred nor of unit size."""
    return 3 + 2 * torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def standardized(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    centred = x - x.mean(axes, keepdim=True)
    return centred / ((centred**2).mean(axes, keepdim=True) + EPS).sqrt()


@pytest.mark.parametrize("shape", [(16, 6), (16, 6, 5, 5)], ids=["units", "maps"])
def test_batch_normalizes_over_the_batch_in_training_and_with_running_statistics_after(
    shape: tuple[int, ...],
) -> None:
    spatial = len(shape) - 2
    module, axes = module_of(BatchNorm(), 6, spatial), (0, 2, 3)[: 1 + spatial]
    broadcast = (1, 6, *(1,) * spatial)
    mean, variance = torch.zeros(6, dtype=torch.float64), torch.ones(6, dtype=torch.float64)
    for seed in range(3):
        x = values(*shape, seed=seed)
        torch.testing.assert_close(module(x), standardized(x, axes))
        mean = 0.9 * mean + 0.1 * x.mean(axes)
        variance = 0.9 * variance + 0.1 * x.var(
            axes
        )  # the unbiased one, as in Ioffe and Szegedy, algorithm 2
    module.eval()
    x = values(*shape, seed=9)
    expected = (x - mean.view(broadcast)) / (variance.view(broadcast) + EPS).sqrt()
    torch.testing.assert_close(module(x), expected)


def over_groups(x: Tensor, groups: int) -> Tensor:
    split = x.reshape(len(x), groups, -1)
    return standardized(split, (2,)).reshape(x.shape)


FORMULAS: list[tuple[Normalization, int, Callable[[Tensor], Tensor]]] = [
    (LayerNorm(), 0, lambda x: standardized(x, (1,))),
    (LayerNorm(), 2, lambda x: standardized(x, (1, 2, 3))),
    (RMSNorm(), 0, lambda x: x / (x**2).mean(1, keepdim=True).sqrt()),
    (RMSNorm(), 2, lambda x: x / (x**2).mean(1, keepdim=True).sqrt()),
    (GroupNorm(3), 0, lambda x: over_groups(x, 3)),
    (GroupNorm(3), 2, lambda x: over_groups(x, 3)),
    (GroupNorm(6), 2, lambda x: standardized(x, (2, 3))),
    (InstanceNorm(), 2, lambda x: standardized(x, (2, 3))),
]


@pytest.mark.parametrize("norm, spatial, formula", FORMULAS, ids=described)
@pytest.mark.parametrize("training", [True, False])
def test_example_wise_normalizations_are_their_formulas(
    norm: Normalization, spatial: int, formula: Callable[[Tensor], Tensor], training: bool
) -> None:
    x = values(4, 6, *(5,) * spatial)
    torch.testing.assert_close(module_of(norm, 6, spatial).train(training)(x), formula(x))


@pytest.mark.parametrize(
    "norm, spatial", [*((n, s) for n, s, _ in FORMULAS), (BatchNorm(), 0), (BatchNorm(), 2)], ids=str
)
def test_scale_and_shift_are_learned_and_start_without_effect(norm: Normalization, spatial: int) -> None:
    parameters = list(module_of(norm, 6, spatial).parameters())
    starts = {value for parameter in parameters for value in parameter.tolist()}
    assert starts <= {0.0, 1.0}
    assert len(parameters) == (1 if isinstance(norm, RMSNorm) else 2)
    assert all(parameter.shape == (6,) for parameter in parameters)


@pytest.mark.parametrize("norm", [NoNorm(), NoNorm("post"), WeightNorm(), WeightNorm("post")], ids=str)
def test_none_and_weight_are_no_layers(norm: Normalization) -> None:
    assert norm.module(6) is None


@pytest.mark.parametrize(
    "choice", [NoNorm, BatchNorm, LayerNorm, RMSNorm, GroupNorm, InstanceNorm, WeightNorm]
)
def test_the_position_is_pre_or_post(choice: type) -> None:
    assert choice().position == "pre"
    assert choice(position="post").position == "post"
    with pytest.raises(SettingError, match=r"norm\.position=after: choose one of pre, post"):
        choice(position="after")


def test_instance_norm_needs_extent() -> None:
    with pytest.raises(SettingError, match="norm=instance: a perceptron's units have no extent"):
        InstanceNorm().module(6)


def test_groups_divide_the_width() -> None:
    with pytest.raises(SettingError, match=r"norm\.groups=4: must divide width=6"):
        GroupNorm(4).module(6)
    with pytest.raises(SettingError, match=r"norm\.groups=0: must be at least 1"):
        GroupNorm(0)


def test_what_would_always_be_zero_is_refused() -> None:
    with pytest.raises(SettingError, match=r"norm\.groups=6 with width=6: a group of one unit is always 0"):
        GroupNorm(6).module(6)
    with pytest.raises(SettingError, match="norm=layer with width=1: one unit alone is always 0"):
        LayerNorm().module(1)


def test_what_theory_adds_to_the_variance_is_what_torch_adds() -> None:
    for module in (nn.BatchNorm1d(2), nn.LayerNorm(2), nn.GroupNorm(1, 2)):
        assert module.eps == EPSILON
