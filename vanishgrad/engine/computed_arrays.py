"""The loss on two planes through a trained network's weights, and the way that training took to them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from vanishgrad.choices.data import load
from vanishgrad.choices.model.build import build
from vanishgrad.engine.checkpoint import check_weights, stored
from vanishgrad.engine.prepare import threads
from vanishgrad.engine.run_folder import load_trained
from vanishgrad.errors import SettingError, require
from vanishgrad.measure.activations import FLAT, max_slope, slope
from vanishgrad.modules.dropout import SeededDropout
from vanishgrad.records import ACTIVATIONS_ARRAYS, LANDSCAPE_ARRAYS, SNAPSHOTS, write_arrays
from vanishgrad.run import Run
from vanishgrad.schema import Fault
from vanishgrad.streams import stream

FEWEST_SNAPSHOTS = 3  # with fewer, a plane through them is no plane
EXAMPLES = 512
POINTS = 21  # along each side of a plane
MARGIN = 0.3  # of the path's extent, around it
REACH = 1.0  # of random directions: the weights' own size


@dataclass(frozen=True)
class LossPlane:
    """The loss on a plane: `loss[j, i]` at `x[i]` and `y[j]`, the trained network at (0, 0)."""

    x: Tensor
    y: Tensor
    loss: Tensor


def write_landscape(folder: Path) -> None:
    """Compute landscape.npz of a run that has `snapshots`, and write it into its folder.

    `path_*`: the plane of the two directions in which the snapshots differ most, principal components of
    their differences from the last one; `way` is where each snapshot lies in it, `shares` how much of the
    differences each direction holds. `random_*`: the plane of two Gaussian directions, each filter (a unit's
    incoming weights) of the length of the network's own, biases left alone (Li et al. 2018, section 4). The
    loss is that of the first training examples without penalty, as training sees it: normalization over the
    batch, no dropout.

    Raises:
        SettingError: when the folder has no checkpoint, fewer than three snapshots, or a character model.
    """
    trained = load_trained(folder)
    require(not trained.vocabulary, f"{folder}: the landscape of a character model is not computed")
    model, run = trained.model, trained.run
    with threads(1):
        steps, weights = _snapshots(folder, model)
        centre = weights[-1]
        directions, shares = principal(weights - centre)
        way = (weights - centre) @ directions.T
        loss = _Loss(model, run)
        along = loss.on(centre, directions, *(_span(way[:, side]) for side in (0, 1)))
        side = torch.linspace(-REACH, REACH, POINTS, dtype=torch.float64)
        random = loss.on(centre, _filter_normalized(model, centre, run.seed), side, side)
    write_arrays(
        folder / LANDSCAPE_ARRAYS, steps=steps.numpy(), way=way.numpy(), shares=shares.numpy(),
        **_arrays("path", along), **_arrays("random", random),
    )  # fmt: skip


def principal(differences: Tensor) -> tuple[Tensor, Tensor]:
    """The two orthonormal directions `(2, parameters)` that hold most of `(snapshots, parameters)`, and
    shares.

    Shares are fractions of the sum of squares, as the differences are from the last snapshot, not the mean.
    A network that moved along one line has any second direction at all, with share 0.
    """
    _, sizes, directions = torch.linalg.svd(differences, full_matrices=False)
    total = (sizes**2).sum()
    shares = sizes[:2] ** 2 / total if total > 0 else torch.zeros(2, dtype=sizes.dtype)
    towards_start = torch.where((directions[:2] @ differences[0]) < 0, -1.0, 1.0)
    return directions[:2] * towards_start[:, None], shares


class _Loss:
    """The loss of a network as a function of all its parameters in one vector."""

    def __init__(self, model: nn.Module, run: Run) -> None:
        data = load(run.data)
        self.model, self.criterion = model, run.criterion
        self.x = data.train_x[:EXAMPLES]
        self.x = self.x.to(getattr(torch, run.dtype)) if self.x.is_floating_point() else self.x
        self.y = data.train_y[:EXAMPLES]
        model.train()
        for module in model.modules():
            if isinstance(module, SeededDropout):
                module.eval()

    @torch.no_grad()
    def __call__(self, weights: Tensor) -> float:
        vector_to_parameters(weights.to(next(self.model.parameters()).dtype), self.model.parameters())
        return float(self.criterion(self.model(self.x), self.y))

    def on(self, centre: Tensor, directions: Tensor, x: Tensor, y: Tensor) -> LossPlane:
        rows = [
            [self(centre + a * directions[0] + b * directions[1]) for a in x.tolist()] for b in y.tolist()
        ]
        return LossPlane(x, y, torch.tensor(rows, dtype=torch.float64))


def _snapshots(folder: Path, model: nn.Module) -> tuple[Tensor, Tensor]:
    """Steps `(snapshots,)` and parameters `(snapshots, parameters)`, float64."""
    files = [file for file in (folder / SNAPSHOTS).glob("*.pt") if file.stem.isdecimal()]
    files.sort(key=lambda path: int(path.stem))
    count = f"{folder}: has {len(files)} snapshots; the landscape needs {FEWEST_SNAPSHOTS}, from snapshots=N"
    require(len(files) >= FEWEST_SNAPSHOTS, count)
    weights = []
    for file in files:
        model.load_state_dict(_state(file, model)["model"])
        weights.append(parameters_to_vector(model.parameters()).detach().double())
        require(bool(weights[-1].isfinite().all()), f"{file}: has weights that are not finite")
    return torch.tensor([int(file.stem) for file in files]), torch.stack(weights)


def _state(file: Path, model: nn.Module) -> dict[str, Any]:
    try:
        state = stored(file)
        check_weights(model, state)
    except Fault as fault:
        raise SettingError(fault.of(str(file))) from None
    return state


def _filter_normalized(model: nn.Module, centre: Tensor, seed: int) -> Tensor:
    """Two random directions `(2, parameters)`."""
    vector_to_parameters(centre.to(next(model.parameters()).dtype), model.parameters())
    return torch.stack([_direction(model, seed, number) for number in (0, 1)])


def _direction(model: nn.Module, seed: int, number: int) -> Tensor:
    parts = []
    for name, weight in model.named_parameters():
        drawn = torch.randn(
            weight.shape, generator=stream(seed, "landscape", number, name), dtype=torch.float64
        )
        flat, own = drawn.flatten(1) if weight.dim() > 1 else drawn[:, None], weight.detach().double()
        length = (
            own.flatten(1).norm(dim=1) if weight.dim() > 1 else torch.zeros(len(own), dtype=torch.float64)
        )
        parts.append((flat / flat.norm(dim=1, keepdim=True) * length[:, None]).flatten())
    return torch.cat(parts)


def _span(places: Tensor) -> Tensor:
    """Points that hold the path with a margin; around 0 where it has no extent."""
    low, high = float(places.min()), float(places.max())
    around = MARGIN * (high - low) or 1.0
    assert math.isfinite(around)
    return torch.linspace(low - around, high + around, POINTS, dtype=torch.float64)


def _arrays(name: str, plane: LossPlane) -> dict[str, Any]:
    return {f"{name}_{part}": getattr(plane, part).numpy() for part in ("x", "y", "loss")}


WIDEST = 6.0  # on either side of 0; what lies beyond counts at the ends
BINS = 60


def write_activation_inputs(folder: Path) -> None:
    """Write activations.npz of a run: what the first training examples give in every hidden layer.

    `edges` of the bins, `(bins + 1,)`; `start` and `end`, the fraction of a layer's inputs in each bin,
    `(layers, bins)`, of the initial network and of the trained one; `flat`, `(bins,)`, whether the slope in
    the middle of a bin is under 5 % of the largest.

    Raises:
        SettingError: when the folder has no checkpoint, or of a recurrent network, whose gates are no layers.
    """
    trained = load_trained(folder)
    run = trained.run
    require(run.model.feedforward, f"{folder}: model={run.model.name} has no layers of activations")
    edges = torch.linspace(-WIDEST, WIDEST, BINS + 1, dtype=torch.float64)
    with threads(1):
        histograms = {
            "start": _histograms(build(run), run, edges), "end": _histograms(trained.model, run, edges),
        }  # fmt: skip
        module = run.act.module().to(torch.float64)
        steep = slope(module, (edges[1:] + edges[:-1]) / 2).abs()
    arrays: dict[str, Any] = {name: each.numpy() for name, each in histograms.items()}
    flat = (steep < FLAT * max_slope(module)).numpy()
    write_arrays(folder / ACTIVATIONS_ARRAYS, edges=edges.numpy(), flat=flat, **arrays)


@torch.no_grad()
def _histograms(model: nn.Module, run: Run, edges: Tensor) -> Tensor:
    """`(layers, bins)`, each row with sum 1; normalization over the batch, as in training."""
    histograms: list[Tensor] = []
    kind = type(run.act.module())

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        values = inputs[0].detach().double().clamp(edges[0], edges[-1]).flatten()
        histograms.append(torch.histogram(values[values.isfinite()], edges).hist)

    hooks = [each.register_forward_hook(keep) for each in model.modules() if type(each) is kind]
    inputs = load(run.data).train_x[:EXAMPLES].to(getattr(torch, run.dtype))
    model.train()
    model(inputs)
    for hook in hooks:
        hook.remove()
    require(bool(histograms), f"act={run.act.name}: the network has no layer with an activation")
    counts = torch.stack(histograms)
    return counts / counts.sum(1, keepdim=True).clamp(min=1)
