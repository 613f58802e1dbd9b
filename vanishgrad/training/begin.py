"""Train a run, or go on with one that was stopped."""

from __future__ import annotations

from pathlib import Path

from vanishgrad.run import Run
from vanishgrad.training.batches import batch_size_of
from vanishgrad.training.machine import device_of, threads, threads_of
from vanishgrad.training.prepare import check
from vanishgrad.training.progress import Observer
from vanishgrad.training.provenance import Provenance
from vanishgrad.training.recorder import Recorder, Resumed, seconds_before
from vanishgrad.training.result import Result
from vanishgrad.training.session import Session
from vanishgrad.training.trained import unfinished


def train(
    run: Run,
    out: Path | str | None = None,
    *,
    provenance: Provenance | None = None,
    observe: Observer | None = None,
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
        return Session(run, data, device, recorder, observe).finish()


def resume(folder: Path | str, *, observe: Observer | None = None) -> Result:
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
        session = Session(run, data, device, recorder, observe)
        session.restore(state)
        return session.finish()
