"""Signals that ask a process to end: Ctrl-C, `kill`, a terminal that goes away. Nothing is lost by them."""

from __future__ import annotations

import atexit
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Thread, current_thread, main_thread
from types import FrameType, TracebackType
from typing import Any

WORDS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "hung up"}
ASKING = {getattr(signal, name): word for name, word in WORDS.items() if hasattr(signal, name)}
ECHO = 0.25  # seconds in which a signal that comes twice was sent once: to a process and to its group

Handler = Callable[[int, FrameType | None], None]


class Asked:
    """The first signal that asked for an end, and how often there was one.

    Arguments:
        number: of the first one; 0 for none.
    """

    def __init__(self) -> None:
        self.number = self._times = 0
        self._last = -ECHO

    def by(self, number: int) -> int:
        """Another one has come: how many there are now, 0 for an echo of the last one."""
        now, before = time.monotonic(), self._last
        self._last = now
        if self._times and number != signal.SIGINT and now - before < ECHO:
            return 0
        self.number = self.number or number
        self._times += 1
        return self._times


def _handled(handler: Handler, concerned: Callable[[Any], bool]) -> Mapping[int, Any]:
    """Have `handler` handle the asking signals whose handlers are `concerned`, and give those.

    Only the main thread has handlers: in others there are none to give.
    """
    if current_thread() is not main_thread():
        return {}
    before = {number: signal.getsignal(number) for number in ASKING}
    replaced = {number: one for number, one in before.items() if concerned(one)}
    for number in replaced:
        signal.signal(number, handler)
    return replaced


def _restore(handlers: Mapping[int, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


class Ending:
    """Inside, a signal that asks a command for its end raises a `KeyboardInterrupt`, so that nothing is lost.

    So does a second one, which finds less to wait for; a third one is the system's. A signal that was ignored
    when the process began stays so: `nohup` means it. Before `begin` there is nothing to lose, and a module
    that is imported half way is no good place for an exception: the process ends there and then.
    """

    def __init__(self) -> None:
        self._asked, self._begun = Asked(), False
        self._before: Mapping[int, Any] = {}

    @property
    def word(self) -> str:
        """What has become of the command."""
        return ASKING[self._asked.number or signal.SIGINT]

    @property
    def status(self) -> int:
        """Its exit status, as a shell counts."""
        return 128 + (self._asked.number or signal.SIGINT)

    def begin(self) -> None:
        """From now on there is something to lose."""
        self._begun = True

    def __enter__(self) -> Ending:
        self._before = _handled(self._heed, lambda handler: handler not in (signal.SIG_IGN, None))
        atexit.register(self._go_deaf)  # before others are, and so called after them
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._asked.number:  # what Python has left to do is not worth waiting for
            _restore(dict.fromkeys(self._before, lambda number, frame: os._exit(self.status)))
        else:
            _restore(self._before)
            atexit.unregister(self._go_deaf)

    def _go_deaf(self) -> None:
        """Last of all: where Python has no handlers any more, a signal would change the exit status."""
        _restore(dict.fromkeys(self._before, signal.SIG_IGN))

    def _heed(self, number: int, frame: FrameType | None) -> None:
        times = self._asked.by(number)
        if times == 0:
            return
        if not self._begun:
            self._leave()
        if times > 1:
            _restore(dict.fromkeys(self._before, signal.SIG_DFL))
        raise KeyboardInterrupt

    def _leave(self) -> None:
        try:
            os.write(2, f"{self.word}\n".encode())
        finally:
            os._exit(self.status)


class BetweenSteps:
    """Inside, what a signal brings about waits for `heed`, which is called where no step is half done.

    A second one does not wait. Concerned are the signals that something in Python handles, such as Ctrl-C:
    what the system does with others, it does.
    """

    def __init__(self) -> None:
        self._asked = Asked()
        self._handlers: Mapping[int, Any] = {}

    def __enter__(self) -> BetweenSteps:
        self._handlers = _handled(self._ask, callable)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _restore(self._handlers)
        if kind is None:
            self.heed()

    def heed(self) -> None:
        """Let a signal that waits have its way, which is as a rule a `KeyboardInterrupt`."""
        if number := self._asked.number:
            self._asked = Asked()
            self._handlers[number](number, None)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked.by(number) > 1:
            self._handlers[number](number, frame)


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside, a signal that would end this process unheard is a `KeyboardInterrupt`, as Ctrl-C is."""
    before = _handled(signal.default_int_handler, lambda handler: handler == signal.SIG_DFL)
    try:
        yield
    finally:
        _restore(before)


@contextmanager
def undisturbed() -> Iterator[None]:
    """A process that begins inside never hears of such signals; this one does, afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ASKING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore() -> None:
    """Leave it to the parent of this process, and to nobody else, to end it."""
    for number in ASKING:
        signal.signal(number, signal.SIG_IGN)


def end_with_parent() -> None:
    """From now on this process ends when its parent does, however that ends."""
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    from multiprocessing import parent_process

    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
