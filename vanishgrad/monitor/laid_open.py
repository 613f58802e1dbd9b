"""Tensors as they lie in memory when a model is called for a whole stack of runs at once, by `torch.vmap`."""

from __future__ import annotations

from torch import Tensor
from torch._C import _functorch


def laid_open(tensor: Tensor) -> tuple[Tensor, int | None]:
    """What `vmap` shows as one run's tensor: the tensor of all runs, and the axis along which they lie.

    Outside of `vmap`, the tensor itself and None.
    """
    if not _functorch.is_batchedtensor(tensor):
        return tensor, None
    return _functorch.get_unwrapped(tensor), _functorch.maybe_get_bdim(tensor)


def values(tensor: Tensor) -> Tensor:
    """The values, outside of the graph; of a stack with the runs along axis 0."""
    whole, axis = laid_open(tensor.detach())
    return whole if axis is None else whole.movedim(axis, 0)


def in_graph(tensor: Tensor) -> bool:
    """Whether gradients flow back through the tensor."""
    return laid_open(tensor)[0].requires_grad
