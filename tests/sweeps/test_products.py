"""The products of a stack against torch's own."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from vanishgrad.engine.chain import diverging, product, tanh_
from vanishgrad.streams import stream

VIEWS: dict[str, Callable[[Tensor], Tensor]] = {
    "whole": lambda tensor: tensor,
    "transposed": lambda tensor: tensor.transpose(1, 2).contiguous().transpose(1, 2),
    "one of several": lambda tensor: torch.stack([tensor, tensor])[1],
    "the same for all": lambda tensor: tensor[:1].expand(len(tensor), -1, -1),
}


@pytest.mark.parametrize("right", VIEWS)
@pytest.mark.parametrize("left", VIEWS)
def test_each_run_has_its_own_product(left: str, right: str) -> None:
    noise = stream(0, "test")
    a = VIEWS[left](torch.randn(3, 5, 4, generator=noise, dtype=torch.float64))
    b = VIEWS[right](torch.randn(3, 4, 6, generator=noise, dtype=torch.float64))
    out = torch.full((3, 5, 6), torch.nan, dtype=torch.float64)
    product(a, b, out)()
    torch.testing.assert_close(out, torch.stack([x @ y for x, y in zip(a, b, strict=True)]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tanh_is_as_exact_as_torchs(dtype: torch.dtype) -> None:
    z = torch.cat([torch.linspace(-10, 10, 2001, dtype=dtype), torch.logspace(-30, 0, 61, dtype=dtype)])
    exact, runs = z.double().tanh(), z.repeat(2, 1, 1)
    tanh_(runs)()
    assert (runs - exact).abs().div(exact.abs() + 1e-300).max() <= 4 * torch.finfo(dtype).eps


def test_a_product_that_overflows_is_no_warning() -> None:
    large = torch.full((2, 1, 1), 1e300, dtype=torch.float64)
    with warnings.catch_warnings(), diverging():
        warnings.simplefilter("error")
        out, ends = torch.zeros_like(large), torch.tensor([[[torch.inf, torch.nan]]])
        product(large, large, out)()
        assert out.isinf().all()
        tanh_(ends)()
        assert ends.isnan().flatten().tolist() == [False, True]
