"""Work shared with copies of this process, which begin at once and have all that it has read."""

from __future__ import annotations

import gc
import os
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock, Thread, current_thread
from threading import enumerate as running_threads
from typing import TYPE_CHECKING, Any, TypeVar

from vanishgrad.interruption import end_with_parent, undisturbed

if TYPE_CHECKING:
    from concurrent.futures import Future

Item = TypeVar("Item")
Answer = TypeVar("Answer")

MOST = 2  # copies: each takes memory of its own for what it does
BREAK_FORKS = ("torch",)  # modules whose threads are missing in a copy, and waited for there

still = Lock()  # held while this process is copied


class Aside(Thread):
    """A thread that a copy can do without: it holds `still` while it does what a copy must not see half done.

    Arguments:
        do: what it does.
    """

    def __init__(self, do: Callable[[], None]) -> None:
        super().__init__(target=do, daemon=True)


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def shared(
    work: Callable[[Item], Answer], items: Sequence[Item], *, worthwhile: bool = True
) -> Iterator[Iterable[Answer]]:
    """What `work` makes of each item, in their order, by two processes where there are two cores.

    The processes begin at once, and see what this one has in its memory now; answers are pickled. What is
    done inside, before the answers are asked for, goes on at the same time. What another process could not
    do, because it died or met an error, this one does. It does all on other systems than Linux, on one core,
    where threads run that a copy would lack, or where it is not `worthwhile`.

    Arguments:
        work: a function, which may be called twice with an item.
        items: what it is given.
        worthwhile: whether there is enough to do.

    Example:
        >>> with shared(lambda number: number**2, [1, 2, 3]) as squares:
        ...     list(squares)
        [1, 4, 9]
    """
    if not (items and worthwhile and cores() > 1 and _can_copy()):
        yield map(work, items)
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    count = min(MOST, cores(), len(items))
    pool = ProcessPoolExecutor(count, get_context("fork"), initializer=_become, initargs=(work,))
    try:
        with still, undisturbed(), _frozen(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
            waiting = deque(
                (pool.submit(_do, item), item) for item in items
            )  # the first begins the processes
        yield _answers(waiting, work)
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _frozen() -> Iterator[None]:
    """Copies that begin inside share memory longer: no collection touches, and so copies, what is there."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _can_copy() -> bool:
    others = [one for one in running_threads() if one is not current_thread()]
    breaks = any(not isinstance(one, Aside) for one in others) or any(map(sys.modules.get, BREAK_FORKS))
    return sys.platform == "linux" and not breaks


def _answers(waiting: deque[tuple[Future[Answer], Item]], work: Callable[[Item], Answer]) -> Iterator[Answer]:
    """Each answer when it is there; none is kept, for they may be large."""
    while waiting:
        future, item = waiting.popleft()
        is_there = future.exception() is None
        yield future.result() if is_there else work(item)  # whose error, if it is one, is this process's own


_work: list[Callable[[Any], Any]] = []  # what this process is there for, when it is a copy


def _become(work: Callable[[Any], Any]) -> None:
    end_with_parent()
    _work[:] = [work]


def _do(item: Any) -> Any:
    return _work[0](item)
