"""Training a run, from the start or from its last checkpoint."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from vanishgrad.choices.data.dataset import Dataset
from vanishgrad.description import changed_keys, describe
from vanishgrad.engine.checkpoint import check_state
from vanishgrad.engine.plan import batch_size_of, steps_of
from vanishgrad.engine.prepare import check, device_of, threads, threads_of
from vanishgrad.engine.recorder import Provenance, Recorder, Result, Resumed, seconds_before
from vanishgrad.engine.run_folder import restored, unfinished
from vanishgrad.engine.session import Callback
from vanishgrad.engine.stack import Stack
from vanishgrad.errors import SettingError, instance_of, require
from vanishgrad.folders import existing_folder, new_folder, vacate
from vanishgrad.records import CHECKPOINT_FILE
from vanishgrad.run import Run
from vanishgrad.schema import Fault

A_RUN = "a Run, such as Run(depth=20, act='sigmoid')"


def train(
    run: Run,
    out: Path | str | None = None,
    *,
    overwrite: bool = False,
    resume: Path | str | None = None,
    provenance: Provenance | None = None,
    observe: Callback | None = None,
) -> Result:
    """Train `run` and measure every layer on the way.

    Arguments:
        run: the setting.
        out: a folder to write as a run folder; None keeps the tables in memory.
        overwrite: whether a run that is in `out` already goes; else it is refused.
        resume: the folder of the same run, interrupted, to go on with from its last checkpoint.
        provenance: what run.json says about where the setting came from; the default is the setting itself.
        observe: called after every step.

    Raises:
        SettingError: before anything is written, when data, batch size, device or memory forbid the run, or
            `out` holds a run or a sweep, is being written by another process or cannot be written.
        WriteError: when a file cannot be written later on: the disk is full.

    Example:
        >>> from vanishgrad import Run, train
        >>> result = train(Run(depth=3, act="tanh", max_steps=20, threads=1))
        >>> result.status, result.steps
        ('completed', 20)
        >>> result.gradients.query("step == 0")["layer"].tolist()
        [1, 2, 3, 4]
    """
    instance_of("train", run, Run, A_RUN)
    if resume is not None:
        return _resumed(run, out, Path(resume), observe)
    data = check(run)
    device = device_of(run)
    count = threads_of(run, batch_size_of(run, len(data.train_x)))
    folder = None if out is None else Path(out)
    with ExitStack() as stack:
        if folder is not None:
            stack.enter_context(new_folder("out", folder, "run", overwrite=overwrite))
            if overwrite:
                vacate(folder, "run")
        stack.enter_context(threads(count))
        recorder = stack.enter_context(Recorder(run, folder, provenance, device))
        return _trained(run, data, recorder, observe)


def _resumed(run: Run, out: Path | str | None, folder: Path, observe: Callback | None) -> Result:
    """Go on with the run of a folder, if it is `run`."""
    require(
        out is None or Path(out) == folder, f"out={out} with resume={folder}: a run goes on in its own folder"
    )
    changed = changed_keys(describe(unfinished(folder)[0]), describe(run))
    require(not changed, f"resume={folder}: was begun with another setting: {', '.join(changed)}")
    return resume(folder, observe=observe)


def resume(folder: Path | str, *, observe: Callback | None = None, trust: bool = False) -> Result:
    """Go on with a run that was interrupted, from its last checkpoint, as if it had not been.

    Its files become those of an uninterrupted run to the last byte, but for the seconds. The initial network
    is built, and pretrained, once more: weights drift from there.

    Arguments:
        folder: a run folder with a checkpoint on the way, `save_every`.
        observe: called after every step.
        trust: whether code that run.json names may be imported, which runs it.

    Raises:
        SettingError: when there is nothing to go on with, or another process is at work there.
        WriteError: when a file cannot be written: the disk is full.
    """
    instance_of("resume", folder, (str, Path), "the folder of an interrupted run")
    path = Path(folder)
    with existing_folder("resume", path):
        run, record, state = unfinished(path, trust=trust)
        data, device = check(run), device_of(run)
        _check_state(path, run, state, steps_of(run, len(data.train_x)))
        count = threads_of(run, batch_size_of(run, len(data.train_x)))
        resumed = Resumed(record, state["step"], seconds_before(path, state["step"]))
        with threads(count), Recorder(run, path, None, device, resumed) as recorder:
            return _trained(run, data, recorder, observe, state)


def _check_state(folder: Path, run: Run, state: dict[str, Any], steps: tuple[int, int]) -> None:
    """Refuse a checkpoint that does not fit, while nothing in the folder has been touched."""
    model = restored("resume", folder, run, state).model
    try:
        check_state(run, model, state, *steps)
    except Fault as fault:
        raise SettingError(f"resume={folder}: {fault.of(CHECKPOINT_FILE)}") from None


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
