"""What a run needs of the machine's memory, estimated before anything is allocated."""

from __future__ import annotations

import math
import os

from vanishgrad.choices.data import MovingDigits
from vanishgrad.choices.model import CNN, GRU, LSTM, MLP, RNN, ConvLSTM
from vanishgrad.choices.residual import DenseShortcut
from vanishgrad.errors import require
from vanishgrad.run import Run

COPIES = 6  # weights, gradients, two optimizer states, and the monitor's start and previous weights
OBJECTS = 16 * 2**10  # bytes of Python objects per layer: modules, graph nodes, records
KEPT = 4  # tensors per layer as large as its output: norm, activation, dLoss/dz, ...


def at_least_parameters(run: Run) -> int:
    """Parameters of the matrices between hidden layers: a bound that needs no network."""
    between = max(0, run.depth - 1)
    match run.model:
        case CNN():
            matrices = 9 * between
        case RNN() | LSTM() | GRU():
            matrices = gates_of(run) * run.depth
        case ConvLSTM(kernel=kernel):
            matrices = 2 * gates_of(run) * kernel**2 * run.depth  # encoder and forecaster
        case _:
            matrices = between
    return matrices * run.width**2


def check_memory(run: Run, parameters: int, batch: int) -> None:
    """Refuse a run that needs more memory than the machine has.

    Arguments:
        run: the setting.
        parameters: of its network.
        batch: examples per step.

    Raises:
        SettingError: with the estimate and what would lower it.
    """
    needed = needed_bytes(run, parameters, batch)
    available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    require(
        needed < available,
        f"depth={run.depth} width={run.width} batch_size={run.batch_size}: needs about "
        f"{needed / 2**30:.3g} GiB ({parameters:,} parameters), this machine has "
        f"{available / 2**30:.3g} GiB; {_remedy(run)}",
    )


def needed_bytes(run: Run, parameters: int, batch: int) -> float:
    """Bytes that training takes, about: parameters, activations and Python's objects."""
    element = 8 if run.dtype == "float64" else 4
    kept = run.depth if not run.recompute_every else run.recompute_every + run.depth // run.recompute_every
    activations = KEPT * batch * _values(run) * (kept + 1)
    return element * (COPIES * parameters + activations) + OBJECTS * run.depth


def _values(run: Run) -> float:
    """Numbers per example in the output of a hidden layer, on average over the layers."""
    match run.model:
        case CNN(stages=stages):
            return run.width * math.prod(run.data.shape[1:]) * _per_unit(run, stages)
        case RNN() | LSTM() | GRU():
            steps = run.data.shape[1] if len(run.data.shape) == 3 else run.data.shape[0]  # images by rows
            return run.width * gates_of(run) * steps
        case ConvLSTM(patch=patch):
            assert isinstance(run.data, MovingDigits)
            frames = run.data.given + run.data.predicted
            return run.width * gates_of(run) * (run.data.side // patch) ** 2 * frames
        case _:
            return run.width * _per_unit(run)


def gates_of(run: Run) -> int:
    """Matrices in a recurrent layer that read the hidden state."""
    match run.model:
        case RNN():
            return 1
        case GRU():
            return 3
        case _:
            return 4


def _per_unit(run: Run, stages: int = 1) -> float:
    """Full-sized maps (or numbers) in a layer's output per unit of width, averaged over equal stages.

    From stage to stage maps are a quarter as large and twice as many. Dense blocks do not double them, but
    their first layer reads all that came before.
    """
    used = min(stages, run.span_count)
    if not isinstance(run.residual, DenseShortcut):
        return sum(2.0**-stage for stage in range(used)) / used
    growth = run.span_count / (used * run.residual.every)
    return sum(4.0**-stage * (1 + (stage + 1 / 2) * growth) for stage in range(used)) / used


def _remedy(run: Run) -> str:
    match run.model:
        case MLP() | CNN():
            kept = "" if run.recompute_every else ", or set recompute_every"
            return f"lower depth, width or batch_size{kept}"
        case _:
            return "lower depth, width, batch_size or the length of the sequences"
