"""A trained network, read back from its run folder."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vanishgrad.choices.data.dataset import Dataset
from vanishgrad.choices.model.build import AnyNetwork, blank
from vanishgrad.description import described
from vanishgrad.engine.plan import batch_size_of
from vanishgrad.engine.prepare import check, device_of, threads, threads_of
from vanishgrad.engine.recorder import Provenance, Recorder, Result, Resumed, seconds_before
from vanishgrad.engine.session import Callback
from vanishgrad.engine.stack import Stack
from vanishgrad.errors import SettingError, require
from vanishgrad.records import CHECKPOINT_FILE, UnreadableRun, read_run
from vanishgrad.run import Run


@dataclass(frozen=True, eq=False)
class Trained:
    """A run's network as it was when its last checkpoint was written.

    Arguments:
        run: the setting.
        model: the network, in evaluation mode on the CPU.
        vocabulary: of a character model, the characters by symbol number; else empty.
        step: updates done.
    """

    run: Run
    model: AnyNetwork
    vocabulary: str
    step: int


def load_trained(folder: Path | str) -> Trained:
    """The trained network of a run folder; of a character model without its text.

    Raises:
        SettingError: when the folder holds no run, no checkpoint, or one of another version.
    """
    path = Path(folder)
    run = described(_record("run", path)["effective"])
    state = _state("run", path)
    vocabulary = state.get("vocabulary", "")
    model = run.model.network_of(run, len(vocabulary)) if vocabulary else blank(run)
    model.to(getattr(torch, run.dtype)).load_state_dict(state["model"])
    return Trained(run, model.eval(), vocabulary, int(state["step"]))


def unfinished(path: Path) -> tuple[Run, dict[str, Any], dict[str, Any]]:
    """The setting, the record and the last checkpoint of a run that can go on.

    Raises:
        SettingError: when the folder holds no run, one that has ended, or no checkpoint.
    """
    record = _record("resume", path)
    ended = record["status"] in ("completed", "diverged")
    require(not ended, f"resume={path}: the run is {record['status']}; there is nothing to go on with")
    return described(record["effective"]), record, _state("resume", path)


def _record(key: str, path: Path) -> dict[str, Any]:
    """run.json; `key` is what the folder was given as."""
    try:
        return read_run(path)
    except UnreadableRun as error:
        raise SettingError(f"{key}={path}: {error.reason}") from None


def _state(key: str, path: Path) -> dict[str, Any]:
    """checkpoint.pt; `key` is what the folder was given as."""
    try:
        found = torch.load(path / CHECKPOINT_FILE, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise SettingError(
            f"{key}={path}: has no {CHECKPOINT_FILE}; only a run that has ended, was stopped by Ctrl-C, or "
            "has save_every=STEPS leaves one"
        ) from None
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0]
        raise SettingError(f"{key}={path}: {CHECKPOINT_FILE} is not readable: {reason}") from None
    assert isinstance(found, dict)
    return found


def train(
    run: Run,
    out: Path | str | None = None,
    *,
    provenance: Provenance | None = None,
    observe: Callback | None = None,
) -> Result:
    """Train `run` and measure every layer on the way.

    Arguments:
        run: the setting.
        out: a folder to write as a run folder; None keeps the tables in memory.
        provenance: what run.json says about where the setting came from; the default is the setting itself.
        observe: called after every step.

    Raises:
        SettingError: before anything is written, when data, batch size, device or memory forbid the run.
    """
    data = check(run)
    device = device_of(run)
    count = threads_of(run, batch_size_of(run, len(data.train_x)))
    folder = None if out is None else Path(out)
    with threads(count), Recorder(run, folder, provenance, device) as recorder:
        return _trained(run, data, recorder, observe)


def resume(folder: Path | str, *, observe: Callback | None = None) -> Result:
    """Go on with a run that was interrupted, from its last checkpoint, as if it had not been.

    Its files become those of an uninterrupted run to the last byte, but for the seconds. The initial network
    is built, and pretrained, once more: weights drift from there.

    Arguments:
        folder: a run folder with a checkpoint on the way, `save_every`.
        observe: called after every step.

    Raises:
        SettingError: when there is nothing to go on with.
    """
    path = Path(folder)
    run, record, state = unfinished(path)
    data, device = check(run), device_of(run)
    count = threads_of(run, batch_size_of(run, len(data.train_x)))
    resumed = Resumed(record, state["step"], seconds_before(path, state["step"]))
    with threads(count), Recorder(run, path, None, device, resumed) as recorder:
        return _trained(run, data, recorder, observe, state)


def _trained(
    run: Run,
    data: Dataset,
    recorder: Recorder,
    callback: Callback | None,
    state: dict[str, Any] | None = None,
) -> Result:
    """A run alone, from its beginning or from the `state` of a checkpoint."""
    results: dict[int, Result] = {}
    stack = Stack([run], data, device_of(run), [recorder], results.__setitem__, callback)
    if state is not None:
        stack.restore(state)
    stack.finish()
    return results[0]
