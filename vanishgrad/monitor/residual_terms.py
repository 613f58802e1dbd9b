"""The gradient of a residual stream taken apart: dLoss/dx = shortcut term + branch term."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vanishgrad.norms import chunks, norms


@torch.no_grad()
def split(around: Sequence[Tensor], through: Sequence[Tensor]) -> Tensor:
    """How the two terms of each block's gradient compare, `(blocks, 4)` in float64.

    For y = x + F(x) the shortcut term is dLoss/dy times its 1, the branch term dLoss/dy times dF/dx.

    Arguments:
        around: of each block the gradient that comes around the branch, `(batch, ...)`.
        through: the gradient that comes through the branch.

    Returns:
        L2 norms of the sum, of the shortcut term and of the branch term, and the cosine between the two
        terms, NaN where one of them is 0.
    """
    sums = [one + other for one, other in zip(around, through, strict=True)]
    lengths = norms([*sums, *around, *through]).view(3, -1)
    cosines = torch.cat([_cosines(around, through, lengths, group) for group in chunks(around)])
    order = torch.tensor([index for group in chunks(around) for index in group], device=cosines.device)
    return torch.stack([*lengths, cosines[order.argsort()]], dim=1)


def _cosines(
    around: Sequence[Tensor], through: Sequence[Tensor], lengths: Tensor, group: list[int]
) -> Tensor:
    """Of the blocks in `group`. Vectors are scaled to length 1 first: products of 1e-30 would be 0."""
    scaled = [
        torch.stack([terms[index] for index in group]).flatten(1)
        / lengths[row, group].to(terms[0].dtype)[:, None]
        for row, terms in ((1, around), (2, through))
    ]
    return (scaled[0] * scaled[1]).sum(1, dtype=torch.float64)
