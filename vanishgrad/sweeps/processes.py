"""Processes of this machine. On Linux they are forked from one that has imported what they need.

Importing torch takes a process more than a second; a fork of one that has it, some hundredths.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from multiprocessing import context
from typing import Any

from vanishgrad.interruption import end_with_parent, ignore, undisturbed
from vanishgrad.printing import guard

METHOD = "forkserver" if sys.platform == "linux" else "spawn"
IDLE = 300  # seconds after which a process that has nothing to do ends
NEEDED = ("vanishgrad.sweeps.work",)
# More threads than one would not survive the fork; each process has its own number of them afterwards.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def warm(modules: Sequence[str] = NEEDED) -> str:
    """Have the process that others are forked from import `modules`, while this one goes on.

    Does nothing where it has begun already, and where processes are not forked.

    Returns:
        How processes begin here: spawned where none can be forked, as where the name of the folder for
        temporary files is too long for a socket.
    """
    if METHOD != "forkserver":
        return METHOD
    from multiprocessing import forkserver, resource_tracker

    forkserver.set_forkserver_preload(list(modules))
    with undisturbed():
        resource_tracker.ensure_running()  # which lets SIGINT through again
    try:
        with _single_threaded(), undisturbed():
            forkserver.ensure_running()
    except OSError:
        return "spawn"
    return METHOD


def executor(count: int, threads: int) -> Executor:
    """The `count` processes, each with so many CPU threads; as long as it works, always the same."""
    from joblib.externals.loky import get_reusable_executor  # imports numpy, for which `warm` need not wait

    method = warm()
    own = None if "OMP_NUM_THREADS" in os.environ else threads
    return get_reusable_executor(
        count, context=CONTEXTS[method], timeout=IDLE, initializer=_prepare, initargs=(own,)
    )


@contextmanager
def _nameless_main() -> Iterator[None]:
    """What begins inside does not run the user's script once more, which would train it all in each process.

    Work travels by value where the script defines it, so that nothing is missing.
    """
    main = sys.modules["__main__"]
    names: Any = vars(main)
    kept = {name: names.pop(name) for name in ("__file__", "__spec__") if name in names}
    main.__spec__ = None
    try:
        yield
    finally:
        names.update(kept)


class SpawnedProcess(context.SpawnProcess):
    """A new Python that does not import the script."""

    def start(self) -> None:
        with _nameless_main(), undisturbed():
            super().start()


class SpawnContext(context.SpawnContext):
    """Begins such processes."""

    Process = SpawnedProcess


CONTEXTS: dict[str, context.BaseContext] = {"spawn": SpawnContext()}

if sys.platform != "win32":

    class ForkedProcess(context.ForkServerProcess):
        """A fork of a process that has imported what is needed, and not the script."""

        def start(self) -> None:
            with _nameless_main(), undisturbed():
                super().start()

    class ForkContext(context.ForkServerContext):
        """Begins such processes."""

        Process = ForkedProcess

    CONTEXTS["forkserver"] = ForkContext()


def end() -> None:
    """End the processes at once, whatever they do."""
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=True)


def _prepare(threads: int | None) -> None:
    """In a new process: take its share of the machine, and end when its parent does, however that ends.

    No two processes may write to a run folder. Signals that reach all of a terminal or of a container are for
    the parent. A reader of what is printed may go away; the work goes on.
    """
    import torch

    from vanishgrad.theory.critical import SaturatedCriticalPoint

    warnings.simplefilter("ignore", SaturatedCriticalPoint)  # whoever checked the setting has heard it
    ignore()
    guard()
    end_with_parent()
    if threads is not None:
        torch.set_num_threads(threads)


@contextmanager
def _single_threaded() -> Iterator[None]:
    """What begins inside is told to compute with a single thread, unless the user says otherwise."""
    added = [name for name in THREADS if name not in os.environ]
    os.environ.update(dict.fromkeys(added, "1"))
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]
