"""Rows of gradients.csv -> one row per step and layer; the start and the end of a run."""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vanishgrad.records import GRADIENT_COLUMNS, Cell
from vanishgrad.rows import Columns, evenly_spaced

if TYPE_CHECKING:
    import pandas as pd

When: TypeAlias = Literal["start", "end"]
CELL: list[Hashable] = ["step", "layer"]


class Measured(NamedTuple):
    """What gradients.csv says of each layer, its weight matrices taken together.

    Arguments:
        steps: the logged ones, `(steps,)`.
        layers: from the input, `(layers,)`; the last one is the output.
        values: `(steps, layers, columns)`, columns as in `MEASURED`; NaN where a figure does not exist.
    """

    steps: Ints
    layers: Ints
    values: Floats

    def column(self, name: str) -> Floats:
        """One figure, `(steps, layers)`."""
        values: Floats = self.values[:, :, MEASURED.index(name)]
        return values

    @property
    def signal(self) -> str:
        """The column that tells how gradients pass: dLoss/dz, or dLoss/dW where nothing else was measured."""
        return "grad_norm" if np.isnan(self.column("delta_norm")).all() else "delta_norm"


def place_of(values: Floats, when: When) -> int | None:
    """The first step with a finite figure in `(steps, places)`, or the last one with as many as ever."""
    count = np.isfinite(values).sum(axis=1)
    if not count.any():
        return None
    places = np.flatnonzero(count > 0 if when == "start" else count == count.max())
    return int(places[0 if when == "start" else -1])


def measured(rows: pd.DataFrame | Columns) -> Measured:
    """Rows of gradients.csv by step and layer."""
    step = np.asarray(rows["step"], np.int64)
    order: Any = slice(None)
    if (np.diff(step) < 0).any():
        order = np.argsort(step, kind="stable")
        step = step[order]
    layer = np.asarray(rows["layer"], np.int64)[order]
    named = "name" in rows and _repeats(step, layer)
    names = np.asarray(rows["name"])[order].astype(str) if named else np.full(len(step), "")
    values = np.full((len(step), len(MEASURED)), np.nan)
    for place, column in enumerate(MEASURED):
        if column in rows:
            values[:, place] = np.asarray(rows[column], np.float64)[order]
    steps = step[np.diff(step, prepend=-1) > 0]
    if not steps.size:
        return Measured(steps, np.empty(0, dtype=np.int64), values[None][:0])
    table, matrices = _regular(step, layer, names, values) or _irregular(steps, step, layer, names, values)
    return Measured(steps, matrices.layers, matrices.by_layer(table, table[0, :, WEIGHT]))


def by_layer(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per step and layer of one run.

    Weight matrices of one layer are taken together as if they were one: norms and changes by the root of the
    sum of squares, activation statistics by the mean. Matrices whose outputs are added up to one z, those of
    a gate for the input and for the state, have one dLoss/dz, which counts once.
    """
    import pandas as pd

    if _rises(rows) or not rows.duplicated(CELL).any():
        return rows.drop(columns="name", errors="ignore")
    steps, layers, values = measured(rows)
    cells = pd.MultiIndex.from_product([steps, layers], names=CELL)
    columns = [column for column in rows if column in MEASURED]
    table = pd.DataFrame(values.reshape(len(cells), -1), cells, list(MEASURED))[columns]
    first = rows.drop_duplicates(CELL).set_index(CELL).sort_index()
    others = first[[column for column in first if column not in MEASURED]]
    return others.join(table).reset_index()[[column for column in rows if column != "name"]]


def _rises(rows: pd.DataFrame) -> bool:
    """Whether steps, and in each step layers, come in their order, each once: seen many times quicker."""
    step, layer = np.diff(rows["step"].to_numpy()), np.diff(rows["layer"].to_numpy())
    return bool(((step > 0) | ((step == 0) & (layer > 0))).all())


def thin(rows: pd.DataFrame, most_steps: int) -> pd.DataFrame:
    """Rows of `evenly_spaced` logged steps."""
    steps = np.unique(rows["step"])
    return (
        rows
        if steps.size <= most_steps
        else rows[rows["step"].isin(evenly_spaced(steps.tolist(), most_steps))]
    )


def at_start(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Rows of each run's first logged step at which `column` exists for a layer."""
    return _at(rows, column, "start")


def at_end(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Rows of each run's last logged step at which `column` is finite for as many layers as it ever is.

    For a run that diverged this is the last step before the infinities.
    """
    return _at(rows, column, "end")


def root_sum_square(values: pd.Series[float], keys: list[pd.Series[int]]) -> pd.Series[float]:
    """Per group of `keys`; scaled by the largest: 1e-200 squared would be 0, 1e200 squared infinite."""
    import pandas as pd

    largest = values.groupby(keys).max()
    scale = largest.where((largest > 0) & np.isfinite(largest), 1.0)
    per_row = scale.reindex(pd.MultiIndex.from_arrays(keys)).to_numpy()
    square = (values / per_row) ** 2
    return square.groupby(keys).sum(min_count=1).pow(0.5) * scale


def moment(rows: pd.DataFrame, column: str, when: When) -> pd.DataFrame:
    """`at_start` or `at_end` for the rows of a single run."""
    every = rows["step"].to_numpy()
    steps, layers = np.unique(every[np.isfinite(rows[column].to_numpy(float))], return_counts=True)
    if not steps.size:
        return rows.iloc[:0]
    place = np.flatnonzero(every == (steps[0] if when == "start" else steps[layers == layers.max()][-1]))
    together = place[-1] - place[0] < place.size  # as they are written: a part of the table, not a copy
    return rows.iloc[place[0] : place[-1] + 1] if together else rows.iloc[place]


def _at(rows: pd.DataFrame, column: str, when: When) -> pd.DataFrame:
    """`moment` of every run, without a pass per run: they are counted in one table of runs and steps."""
    import pandas as pd

    if rows.empty:
        return rows
    run, at = pd.factorize(rows["run"])[0], pd.factorize(rows["step"], sort=True)[0]
    shape = int(run.max()) + 1, int(at.max()) + 1
    finite = np.isfinite(rows[column].to_numpy(float))
    layers = np.bincount(run * shape[1] + at, finite, shape[0] * shape[1]).reshape(shape)
    wanted = (layers > 0) & ((layers == layers.max(axis=1, keepdims=True)) | (when == "start"))
    place = wanted.argmax(axis=1) if when == "start" else shape[1] - 1 - wanted[:, ::-1].argmax(axis=1)
    return rows[wanted.any(axis=1)[run] & (at == place[run])]


Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

FIRST = GRADIENT_COLUMNS.index("name") + 1
MEASURED = GRADIENT_COLUMNS[FIRST:]
NORM_PLACES = [MEASURED.index(name) for name in ("grad_norm", "bias_grad_norm", "weight_norm")]
AVERAGED_PLACES = [MEASURED.index(name) for name in ("act_mean", "act_std", "saturation", "dead_fraction")]
CHANGES = {"update_ratio": False, "weight_drift": True}  # whether they are relative to the weights at first
FORWARD = ("weight_norm", "act_mean", "act_std")
BACKWARD = ("delta_norm", "grad_norm", "bias_grad_norm")
DELTA, WEIGHT = MEASURED.index("delta_norm"), MEASURED.index("weight_norm")
# The last part of a module's path: the gate without its source, as i_2 of both xi_2 and hi_2.
GATE = re.compile(r"(?:.*\.)?[xh]([a-z]*_\d+)")


@dataclass(frozen=True, eq=False)
class Matrices:
    """The weight matrices of a network, in the order of the rows of one step.

    Arguments:
        layer: of each.
        names: of each; empty where they are not known.
    """

    layer: tuple[int, ...]
    names: tuple[str, ...] = ()

    @property
    def layers(self) -> Ints:
        """The layers, each once."""
        return np.unique(np.array(self.layer, dtype=np.int64))

    def by_layer(self, values: Floats, first: Floats) -> Floats:
        """`(steps, matrices, columns)` -> `(steps, layers, columns)`.

        Matrices of one layer are taken as if they were one, as `layers.by_layer` does it for a table.

        Arguments:
            values: what was measured, columns as in `MEASURED`.
            first: norms of the weights at the first step, `(matrices,)`.
        """
        if len(set(self.layer)) == len(self.layer):
            return values[:, np.argsort(self.layer, kind="stable")]
        order = np.argsort(self.layer, kind="stable")
        starts = np.searchsorted(np.array(self.layer)[order], self.layers)
        ordered = values[:, order]
        reduced = np.full((len(values), len(starts), len(MEASURED)), np.nan)
        reduced[:, :, NORM_PLACES] = _root_sum_square(ordered[:, :, NORM_PLACES], starts)
        reduced[:, :, AVERAGED_PLACES] = _mean(ordered[:, :, AVERAGED_PLACES], starts)
        for name, at_first in CHANGES.items():
            column = MEASURED.index(name)
            scale = first[order][None] if at_first else ordered[:, :, WEIGHT]
            changed = _root_sum_square((ordered[:, :, column] * scale)[:, :, None], starts)
            with np.errstate(divide="ignore", invalid="ignore"):
                reduced[:, :, column] = (changed / _root_sum_square(scale[:, :, None], starts))[:, :, 0]
        reduced[:, :, DELTA] = self._deltas(values[:, :, DELTA])
        return reduced

    def _deltas(self, delta: Floats) -> Floats:
        """dLoss/dz of every layer `(steps, layers)`: matrices that are added up to one z count once."""
        gates = self._gates()
        sums = np.stack([np.fmax.reduce(delta[:, members], axis=1) for members in gates.values()], axis=1)
        layer = np.array([key[0] for key in gates])
        order = np.argsort(layer, kind="stable")
        starts = np.searchsorted(layer[order], self.layers)
        return _root_sum_square(sums[:, order, None], starts)[:, :, 0]

    def _gates(self) -> dict[tuple[int, str], list[int]]:
        """The places of the matrices whose outputs are added up, by layer and gate."""
        gates: dict[tuple[int, str], list[int]] = {}
        names = self.names or tuple(map(str, range(len(self.layer))))
        for place, (layer, name) in enumerate(zip(self.layer, names, strict=True)):
            gate = GATE.fullmatch(name)
            gates.setdefault((layer, gate[1] if gate else name), []).append(place)
        return gates


def matrices_of(rows: Sequence[Sequence[Cell]]) -> Matrices:
    """Those of one step's rows, whose cells are in the order of GRADIENT_COLUMNS."""
    layer, name = GRADIENT_COLUMNS.index("layer"), GRADIENT_COLUMNS.index("name")
    return Matrices(tuple(int(row[layer] or 0) for row in rows), tuple(str(row[name]) for row in rows))


def values_of(rows: Sequence[Sequence[Cell]]) -> Floats:
    """What was measured in one step, `(matrices, columns)`; NaN where a figure does not exist."""
    return np.array([row[FIRST:] for row in rows], dtype=np.float64)


def first_nonfinite_place(lost: NDArray[np.bool_], biases: Collection[int] = ()) -> tuple[int, str] | None:
    """The row that stopped being finite first, and in which quantity; None where all are finite.

    The forward pass meets trouble nearest the input first, the backward pass nearest the output.

    Arguments:
        lost: which figures are not finite, `(rows, columns)`, rows from the input, columns as in `MEASURED`.
        biases: rows whose bias is not finite, which no column tells.
    """
    for names, order in ((FORWARD, 1), (BACKWARD, -1)):
        part = lost[:, [MEASURED.index(name) for name in names]]
        for row in range(len(part))[::order]:
            if part[row].any():
                return row, names[int(part[row].argmax())]
            if names is FORWARD and row in biases:
                return row, "bias"
    return None


def _root_sum_square(values: Floats, starts: Ints) -> Floats:
    """Over the matrices of each layer; scaled by the largest: 1e-200 squared would be 0, 1e200 infinite."""
    largest = np.fmax.reduceat(values, starts, axis=1)
    scale = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
    sizes = np.diff(np.append(starts, values.shape[1]))
    square = (values / np.repeat(scale, sizes, axis=1)) ** 2
    total = np.add.reduceat(np.where(np.isnan(square), 0.0, square), starts, axis=1)
    return np.where(np.isnan(largest), np.nan, np.sqrt(total) * scale)


def _mean(values: Floats, starts: Ints) -> Floats:
    """Over the matrices of each layer that have the figure."""
    known = ~np.isnan(values)
    total = np.add.reduceat(np.where(known, values, 0.0), starts, axis=1)
    with np.errstate(invalid="ignore"):
        return total / np.add.reduceat(known, starts, axis=1, dtype=np.float64)


def _repeats(step: Ints, layer: Ints) -> bool:
    """Whether some layer has several matrices; text takes longer to read than all numbers together."""
    return not bool(((np.diff(layer) > 0) | (np.diff(step) > 0)).all())


def _regular(step: Ints, layer: Ints, names: Any, values: Floats) -> tuple[Floats, Matrices] | None:
    """The usual case: the same rows in the same order at every step."""
    size = int((step == step[0]).sum())
    if len(step) % size or (step.reshape(-1, size) != step[::size, None]).any():
        return None
    shape = -1, size
    if (np.diff(step[::size]) <= 0).any() or (layer.reshape(shape) != layer[:size]).any():
        return None
    if (names.reshape(shape) != names[:size]).any():
        return None
    return values.reshape(-1, size, len(MEASURED)), Matrices(
        tuple(layer[:size].tolist()), _known(names[:size])
    )


def _irregular(steps: Ints, step: Ints, layer: Ints, names: Any, values: Floats) -> tuple[Floats, Matrices]:
    """Rows that come and go: what is not there at a step is NaN."""
    keys = list(dict.fromkeys(zip(layer.tolist(), names.tolist(), strict=True)))
    place = {key: number for number, key in enumerate(keys)}
    table = np.full((len(steps), len(keys), len(MEASURED)), np.nan)
    column = [place[key] for key in zip(layer.tolist(), names.tolist(), strict=True)]
    table[np.searchsorted(steps, step), column] = values
    return table, Matrices(tuple(key[0] for key in keys), _known(np.array([key[1] for key in keys])))


def _known(names: Any) -> tuple[str, ...]:
    return tuple(names.tolist()) if (names != "").all() else ()


FEWEST_PLACES = 2
FEWEST_LAYERS = FEWEST_PLACES


def log_slope(place: ArrayLike, norm: ArrayLike) -> float:
    """Least-squares slope of log10(norm) over `place`, in decades per place.

    Exact zeros and numbers that are not finite are left out; NaN when fewer than two places remain.
    """
    x, y = np.asarray(place, dtype=float), np.asarray(norm, dtype=float)
    kept = np.isfinite(y) & (y > 0)
    x, y = x[kept], y[kept]
    if np.unique(x).size < FEWEST_PLACES:
        return float("nan")
    centred = x - x.mean()
    return float(centred @ np.log10(y) / (centred @ centred))


def gradient_slope(layer: ArrayLike, norm: ArrayLike) -> float:
    """`log_slope` over the hidden layers' index, in decades per layer.

    Positive: gradients shrink towards the input. Hidden layers are those below the last.
    """
    x, y = np.asarray(layer, dtype=float), np.asarray(norm, dtype=float)
    hidden = x < x.max(initial=-np.inf)
    return log_slope(x[hidden], y[hidden])


def decades_across(layer: ArrayLike, norm: ArrayLike) -> float:
    """Decades by which the fitted norm shrinks from the last hidden layer to the first; negative: it grows.

    Free of scale: multiplying every norm by a constant changes nothing. NaN where there is no slope.
    """
    x = np.unique(np.asarray(layer, dtype=float))
    hidden = x[:-1]
    return gradient_slope(layer, norm) * float(np.ptp(hidden)) if hidden.size else float("nan")


def decades_through(t: ArrayLike, norm: ArrayLike) -> float:
    """Decades by which the fitted norm shrinks from the last time step to the first; negative: it grows.

    Early steps whose gradient is exactly 0 count in the length but not in the fit.
    """
    x = np.asarray(t, dtype=float)
    return log_slope(t, norm) * float(np.ptp(x)) if x.size else float("nan")


def fitted_falls(place: ArrayLike, norms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Decades by which the fitted norm shrinks from the last place to the first, `(steps,)`.

    `decades_across` of many steps at once, over all places given.

    Arguments:
        place: of every column, `(places,)`.
        norms: `(steps, places)`; exact zeros and what is not finite are left out.
    """
    x = np.asarray(place, dtype=float)
    known = np.isfinite(norms) & (norms > 0)
    y = np.log10(np.where(known, norms, 1.0))
    count = known.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        away = (x - (known @ x / count)[:, None]) * known
        slope = (away * y).sum(axis=1) / (away**2).sum(axis=1)
    return np.where(count >= FEWEST_PLACES, slope * float(np.ptp(x) if x.size else 0.0), np.nan)


def steady_fall(place: ArrayLike, norm: ArrayLike) -> float:
    """Decades across all places if each shrank like the middle of them: a single one does not count."""
    x, y = np.asarray(place, dtype=float), np.asarray(norm, dtype=float)
    kept = np.isfinite(y) & (y > 0)
    x, y = x[kept], y[kept]
    if x.size < FEWEST_PLACES:
        return float("nan")
    return float(np.median(np.diff(np.log10(y)) / np.diff(x)) * np.ptp(x))
