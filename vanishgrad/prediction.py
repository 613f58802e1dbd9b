"""What mean-field theory says of a run before it is trained, from the length of its real inputs."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray

from vanishgrad.choices.activation import function_of
from vanishgrad.choices.data import Data, load
from vanishgrad.choices.data.dataset import Dataset
from vanishgrad.choices.regularization import NoReg
from vanishgrad.errors import instance_of
from vanishgrad.run import Run
from vanishgrad.theory.critical import chi_grid, critical_line, normalized_chi_grid
from vanishgrad.theory.gaussian import scales
from vanishgrad.theory.prediction import Inputs, Prediction

MOST_EXAMPLES = 4_000  # spread evenly over the training set: the mean length is then known to 1 %

PARTS = 4  # of the examples, sorted by length


_known: WeakKeyDictionary[Dataset, Inputs] = WeakKeyDictionary()


def inputs_of(data: Data, dataset: Dataset | None = None) -> Inputs:
    """Measured on `dataset`, else on what `data` loads. Symbols are one-hot vectors."""
    dataset = load(data) if dataset is None else dataset
    if dataset not in _known:
        _known[dataset] = _measured(data, dataset)
    return _known[dataset]


def _measured(data: Data, dataset: Dataset) -> Inputs:
    x, count = dataset.train_x, len(dataset.train_x)
    if data.symbols is not None or not x.is_floating_point():
        return Inputs(1 / (data.symbols or int(x.max()) + 1), 0.0, count)
    x = x[:: max(1, count // MOST_EXAMPLES)].to("cpu", torch.float64)
    squares = x.square().mean(0)
    # of n examples the squared mean counts each with itself: n^2 shared = n (n - 1) pairs + n length
    n, length, together = len(x), float(squares.mean()), float(x.mean(0).square().mean())
    shared = (n * together - length) / (n - 1) if n > 1 else length
    places = tuple(tuple(row) for row in squares.mean(0).tolist()) if x.dim() == 4 else ()
    return Inputs(length, shared, count, places, _quarters(x))


def _quarters(x: torch.Tensor) -> tuple[float, ...]:
    """The mean of x^2 in each of PARTS equal parts of the examples, sorted by it."""
    ordered = x.square().flatten(1).mean(1).sort().values
    return tuple(float(part.mean()) for part in ordered.tensor_split(min(PARTS, len(ordered))))


FLOAT32_LENGTH = 1e76  # variance at which pre-activations leave float32
FLOAT32_GRADIENT = -38.0  # decades below which float32 gradients become 0
OUT_OF_REACH = "inputs taken to have the length 1, since the data are out of reach: {}"
BEYOND = "numbers of this setting are beyond the range of float64: {}"
LEARNED = "pretrain={}: learned weights are not random; not covered by the theory"
GATED = "model={}: gates multiply states, whose distribution is not Gaussian; not covered by the theory"
Figures = dict[str, Any]


def predict(run: Run, data: Dataset | None = None) -> Prediction:
    """What mean-field theory says of `run`'s initial network, in the limit of wide layers.

    It raises for no valid run: what is not covered is None, with a note.

    Arguments:
        run: the setting.
        data: its data, if they are loaded already.
    """
    instance_of("predict", run, Run, "a Run, such as Run(depth=20, act='sigmoid')")
    try:
        inputs = inputs_of(run.data, data)
    except Exception as error:  # a missing file or network is no reason to know nothing
        prediction = _predicted(_essential(run), Inputs(1.0, 0.0, 10_000, (), (1.0,)))
        return replace(prediction, notes=(OUT_OF_REACH.format(error), *prediction.notes))
    return _predicted(_essential(run), inputs)


def _essential(run: Run) -> Run:
    """The run without what the initial network does not depend on, so that a sweep is predicted once."""
    return Run(
        depth=run.depth, width=run.width, batch_size=run.batch_size, dtype=run.dtype, model=run.model,
        act=run.act, init=run.init, norm=run.norm, residual=run.residual, pretrain=run.pretrain,
        reg=run.reg if run.reg.drops else NoReg(), data=run.data,
    )  # fmt: skip


@lru_cache(maxsize=256)
def _predicted(run: Run, inputs: Inputs) -> Prediction:
    try:
        return _without_nan(_of_family(run, inputs))
    except (ArithmeticError, ValueError) as error:  # weights of 1e200, slopes of 1e100
        return Prediction(notes=(BEYOND.format(error),))


def _of_family(run: Run, inputs: Inputs) -> Prediction:
    if run.pretrain.pretrains:
        return Prediction(notes=(LEARNED.format(run.pretrain.name),))
    return run.model.predict(run, inputs)


def _without_nan(prediction: Prediction) -> Prediction:
    """None in place of what is not a number, with a note."""
    lost = [name for name, value in vars(prediction).items() if _is_nan(value)]
    notes = (*prediction.notes, BEYOND.format(", ".join(lost)))
    return replace(prediction, **dict.fromkeys(lost), notes=notes) if lost else prediction


def _is_nan(value: object) -> bool:
    values = value if isinstance(value, tuple) else (value,)
    return any(isinstance(each, float) and math.isnan(each) for each in values)


COLUMNS, ROWS = 120, 80
WIDEST = 20.0  # a critical sigma_w beyond is off the map
Array = NDArray[np.float64]


class Chi(NamedTuple):
    """sigma_w `(n,)`, sigma_b `(m,)` and chi_1 `(m, n)`."""

    sigma_w: Array
    sigma_b: Array
    chi_1: Array


def chi_around(run: Run, prediction: Prediction) -> Chi | str:
    """The plane around the run's own sigmas, or why there is none."""
    if run.blocks:
        return "no phase diagram: it is of networks without shortcuts"
    if prediction.sigma_w is None or prediction.sigma_b is None or not run.model.one_scale:
        return "no phase diagram: there is no one sigma_w and sigma_b"
    f, noise = function_of(run.act), run.reg.noise
    if run.norm.of_examples and run.norm.position == "pre":
        w, b = _axes(prediction.sigma_w, prediction.sigma_b, 2.0)
        return Chi(w, b, normalized_chi_grid(f, w, b))
    if run.norm.normalizes:
        return f"no phase diagram: with norm={run.norm.name} the weights' scale does not matter"
    on_edge = [point.sigma_w for point in critical_line(f, scales(1e-3, 1e3, 2.0)) if point.sigma_w < WIDEST]
    w, b = _axes(prediction.sigma_w, prediction.sigma_b, 2.0 * min(on_edge, default=1.5) / math.sqrt(noise))
    start = max(prediction.lengths[0], 1e-5) if prediction.lengths else 1.0
    return Chi(w, b, chi_grid(f, w * math.sqrt(noise), b, min(start, 1e5)))


def _axes(sigma_w: float, sigma_b: float, edge: float) -> tuple[Array, Array]:
    right, top = max(1.6 * sigma_w, edge, 2.0), max(1.5 * sigma_b, 1.0)
    return np.linspace(right / COLUMNS, right, COLUMNS), np.linspace(0.0, top, ROWS)
