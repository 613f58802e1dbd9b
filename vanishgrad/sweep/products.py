"""The matrix products of a stack, and the tanh: the operations where it matters who computes them."""

from __future__ import annotations

from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import Tensor


def multiply(left: Tensor, right: Tensor, out: Tensor) -> Tensor:
    """The product of two matrices for each run, `(runs, rows, inner) @ (runs, inner, columns)`.

    On a CPU by numpy, whose BLAS takes two thirds of the time of torch's for many small matrices
    (`scripts/benchmark_sweep.py --only step`).
    """
    if out.device.type != "cpu":
        return torch.bmm(left, right, out=out)
    np.matmul(left.numpy(), right.numpy(), out=out.numpy())
    return out


def tanh_(tensor: Tensor) -> Tensor:
    """The tanh in its argument's place; on a CPU numpy's, which is ten times as quick and as exact."""
    if tensor.device.type != "cpu":
        return tensor.tanh_()
    array = tensor.numpy()
    np.tanh(array, out=array)
    return tensor


def diverging() -> AbstractContextManager[None]:
    """Inside, numbers may overflow without a warning: a run that diverges is a result."""
    return np.errstate(over="ignore", invalid="ignore")
