"""The tables and arrays that not every run has, condensed to what the figures show of them.

Each function takes one run folder and the number of logged steps to keep (None: all), and gives a table,
without rows where the run did not write the file.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import pandas as pd

from vanishgrad.diagnosis.layers import When, moment, root_sum_square, thin
from vanishgrad.records import (
    ACTIVATIONS_ARRAYS,
    DEAD_UNITS_FILE,
    EXTRA_COLUMNS,
    FILTERS_ARRAYS,
    FRAMES_ARRAYS,
    FRAMES_FILE,
    GATES_FILE,
    INPUT_GRADIENTS_FILE,
    LANDSCAPE_ARRAYS,
    PRETRAIN_FILE,
    RESIDUAL_FILE,
    SAMPLE_FILE,
    TIME_GRADIENTS_FILE,
    UnreadableRun,
    read_extra,
)
from vanishgrad.schema import Fault, arrays, fit, is_there, opened

Condense: TypeAlias = Callable[[Path, int | None], pd.DataFrame]
GATE: list[Hashable] = ["step", "gate"]
ENDS: list[Hashable] = ["near_zero", "near_one"]
TIME_COLUMNS = ("step", "moment", "t", "t_to_end", "grad_norm", "cell_grad_norm")
MOST_FILTERS = 36
MOMENTS = ("start", "pretrained", "trained")


class Condensed(NamedTuple):
    """A table, or an empty one and why it could not be read."""

    table: pd.DataFrame
    broken: str | None = None


NOTHING = pd.DataFrame()  # of which nobody changes anything


class Extra(NamedTuple):
    """A file that some runs have, and the function that reads it."""

    file: str
    condense: Condense


def condensed(folder: Path, name: str, most_steps: int | None) -> Condensed:
    """Read one of `EXTRAS`; an empty table without columns where the run did not write the file."""
    extra = EXTRAS[name]
    if not is_there(folder / extra.file):  # of most runs most files: nothing of pandas is needed to say so
        return Condensed(NOTHING)
    try:
        return Condensed(extra.condense(folder, most_steps))
    except UnreadableRun as error:
        return Condensed(NOTHING, error.reason)
    except Fault as fault:
        return Condensed(NOTHING, fault.of(extra.file))


def read_sample(folder: Path, length: int) -> str:
    """Read the first `length` characters of the text sampled from a network; empty where there is none."""
    try:
        with opened(folder / SAMPLE_FILE) as file:
            return file.read(4 * length).decode(errors="replace")[:length]
    except (OSError, Fault):
        return ""


def read_time_gradients(folder: Path, most_steps: int | None = None) -> pd.DataFrame:
    """Read time_gradients.csv: `step, moment, t, t_to_end, grad_norm, cell_grad_norm`, at start and end.

    ||dLoss/dh_t|| of the state of all layers together, for a stack hands its gradient on through all of them;
    an encoder and the forecaster that takes over from it are one line. `t_to_end` is 0 at the last time step,
    negative before.
    """
    rows = _rows(folder, TIME_GRADIENTS_FILE, "step", "t", "grad_norm")
    if rows.empty:
        return pd.DataFrame(columns=list(TIME_COLUMNS))
    keys = [rows["step"], rows["t"]]
    norms = {name: root_sum_square(rows[name], keys) for name in ("grad_norm", "cell_grad_norm")}
    whole = pd.DataFrame(norms).reset_index()
    whole["t_to_end"] = whole["t"] - rows["t"].max()
    ends: tuple[When, ...] = ("start", "end")
    both = pd.concat([moment(whole, "grad_norm", when).assign(moment=when) for when in ends])
    return both[list(TIME_COLUMNS)]


def read_gates(folder: Path, most_steps: int | None = None) -> pd.DataFrame:
    """Read gates.csv: `step, gate, near_zero, near_one`, means over time steps and layers."""
    rows = _rows(folder, GATES_FILE, "step", "gate", "near_zero", "near_one")
    return _thinned(rows, most_steps).groupby(GATE, sort=False)[ENDS].mean().reset_index()


def read_residual_terms(folder: Path, most_steps: int | None = None) -> pd.DataFrame:
    """Read residual_gradients.csv: `step, block, shortcut_norm, branch_norm, cosine`, at the start."""
    rows = _rows(folder, RESIDUAL_FILE, "step", "block", "shortcut_norm", "branch_norm", "cosine")
    return moment(rows, "shortcut_norm", "start")


def read_input_gradients(folder: Path, most_steps: int | None = None) -> pd.DataFrame:
    """Read input_gradients.csv: `step, lag, correlation`, at the start."""
    rows = _rows(folder, INPUT_GRADIENTS_FILE, "step", "lag", "correlation")
    return moment(rows, "correlation", "start")


def read_dead_units(folder: Path, most_steps: int | None = None) -> pd.DataFrame:
    """Read dead_units.csv: `step, layer, units, dead_fraction`."""
    return _thinned(_rows(folder, DEAD_UNITS_FILE, "step", "layer", "units", "dead_fraction"), most_steps)


def read_pretraining(folder: Path, most_steps: int | None = None) -> pd.DataFrame:
    """Read pretrain.csv: `layer, epoch, loss, relative_loss`, relative to the loss of epoch 0, before it."""
    rows = _rows(folder, PRETRAIN_FILE, "layer", "epoch", "loss")
    before = rows.loc[rows["epoch"] == 0].drop_duplicates("layer").set_index("layer")["loss"]
    return rows.assign(relative_loss=rows["loss"] / rows["layer"].map(before))


def read_frame_losses(folder: Path, most_steps: int | None = None) -> pd.DataFrame:
    """Read frames.csv, at the end.

    `step, frame, cross_entropy, mean_frame_cross_entropy, floor_cross_entropy`.
    """
    rows = _rows(folder, FRAMES_FILE, "step", "frame", "cross_entropy")
    return moment(rows, "cross_entropy", "end")


def read_filters(folder: Path, most_steps: int | None = None) -> pd.DataFrame:
    """Read filters.npz: `moment, filters, units`.

    `filters` are the first ones, `(filters, height, width)`, means over channels.
    """
    found = arrays(folder / FILTERS_ARRAYS)
    known = {when: found[when] for when in MOMENTS if when in found and found[when].size}
    for when in known:
        fit(known, {when: "fchw"})
    rows = [(when, one[:MOST_FILTERS].mean(axis=1), len(one)) for when, one in known.items()]
    return pd.DataFrame(rows, columns=["moment", "filters", "units"])


def read_predicted_frames(folder: Path, most_steps: int | None = None) -> pd.DataFrame:
    """Read frames.npz: `given, true, predicted`, frames `(time, height, width)` of the first example."""
    found, names = arrays(folder / FRAMES_ARRAYS), ["given", "true", "predicted"]
    if not any(found[name].size for name in names if name in found):
        return pd.DataFrame(columns=names)
    fit(found, {"given": "e.chw", "true": "etchw", "predicted": "etchw"})
    return pd.DataFrame([{name: found[name][0, :, 0] for name in names}], columns=names)


def read_landscape(folder: Path, most_steps: int | None = None) -> pd.DataFrame:
    """Read landscape.npz: `plane, x, y, loss, path, shares`, a row for each of the two planes."""
    found = arrays(folder / LANDSCAPE_ARRAYS)
    fit(found, {"way": ".d", "shares": "d"})
    for plane in ("path", "random"):
        fit(found, {f"{plane}_x": "x", f"{plane}_y": "y", f"{plane}_loss": "yx"})
    rows = [
        {"plane": plane, **{part: found[f"{plane}_{part}"] for part in ("x", "y", "loss")},
         "path": found["way"], "shares": found["shares"]}
        for plane in ("path", "random")
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["plane", "x", "y", "loss", "path", "shares"])


def read_activation_inputs(folder: Path, most_steps: int | None = None) -> pd.DataFrame:
    """Read activations.npz: `moment, edges, fractions, flat`, histograms of z by layer."""
    found = arrays(folder / ACTIVATIONS_ARRAYS)
    fit(found, {"flat": "b", "start": "lb", "end": "lb"})
    fit({"edges": found.get("edges", found["flat"])[1:], "flat": found["flat"]}, {"flat": "b", "edges": "b"})
    rows = [
        {"moment": moment, "edges": found["edges"], "fractions": found[moment], "flat": found["flat"] != 0}
        for moment in ("start", "end")
    ]
    return pd.DataFrame(rows, columns=["moment", "edges", "fractions", "flat"])


EXTRAS: Mapping[str, Extra] = MappingProxyType(
    {
        "time_gradients": Extra(TIME_GRADIENTS_FILE, read_time_gradients),
        "gates": Extra(GATES_FILE, read_gates),
        "residual_terms": Extra(RESIDUAL_FILE, read_residual_terms),
        "input_gradients": Extra(INPUT_GRADIENTS_FILE, read_input_gradients),
        "dead_units": Extra(DEAD_UNITS_FILE, read_dead_units),
        "pretraining": Extra(PRETRAIN_FILE, read_pretraining),
        "frame_losses": Extra(FRAMES_FILE, read_frame_losses),
        "filters": Extra(FILTERS_ARRAYS, read_filters),
        "predicted_frames": Extra(FRAMES_ARRAYS, read_predicted_frames),
        "landscape": Extra(LANDSCAPE_ARRAYS, read_landscape),
        "activation_inputs": Extra(ACTIVATIONS_ARRAYS, read_activation_inputs),
    }
)


def _rows(folder: Path, file: str, *needed: str) -> pd.DataFrame:
    """All columns of the table, those that it lacks empty; it must have the `needed` ones."""
    rows = read_extra(folder, file)
    missing = [name for name in needed if name not in rows]
    if missing:
        raise UnreadableRun(folder, f"{file} has no column {missing[0]}")
    return rows.reindex(columns=list(EXTRA_COLUMNS[file]))


def _thinned(rows: pd.DataFrame, most_steps: int | None) -> pd.DataFrame:
    return rows if most_steps is None or rows.empty else thin(rows, most_steps)
