"""Signals that ask for an end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from threading import Thread
from types import FrameType

import pytest

from vanishgrad import interruption
from vanishgrad.interruption import ASKING, BetweenSteps, Ending, ignore, interruptible, undisturbed

ENDS = [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "terminated"), ("SIGHUP", 129, "hung up")]


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in ASKING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(name: str) -> None:
    os.kill(os.getpid(), getattr(signal, name))
    time.sleep(0)  # Python heeds it between two of its own steps


@pytest.mark.parametrize(("name", "status", "word"), ENDS)
def test_the_first_one_is_an_interrupt_and_tells_the_exit_status(name: str, status: int, word: str) -> None:
    with Ending() as ending:
        ending.begin()
        with pytest.raises(KeyboardInterrupt):
            send(name)
    assert (ending.status, ending.word) == (status, word)


@pytest.mark.parametrize(("name", "status", "word"), ENDS)
def test_who_asks_again_while_python_ends_has_the_same_exit_status(name: str, status: int, word: str) -> None:
    code = (
        "import os, signal\nfrom vanishgrad.interruption import Ending\n"
        f"try:\n    with Ending() as ending: ending.begin(); os.kill(os.getpid(), signal.{name})\n"
        "except KeyboardInterrupt: os.kill(os.getpid(), signal.SIGTERM)\nprint('on')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")


def test_an_interrupt_of_other_origin_is_one_of_the_keyboard() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), Ending() as ending:
        raise KeyboardInterrupt
    assert (ending.status, ending.word) == (130, "interrupted")
    assert signal.getsignal(signal.SIGINT) == before


def test_a_second_one_interrupts_again_and_a_third_one_is_the_systems() -> None:
    with Ending() as ending:
        ending.begin()
        with pytest.raises(KeyboardInterrupt):
            send("SIGTERM")
        with pytest.raises(KeyboardInterrupt):
            send("SIGINT")
        assert signal.getsignal(signal.SIGTERM) == signal.getsignal(signal.SIGINT) == signal.SIG_DFL
    assert ending.status == 143


def test_the_echo_of_a_signal_is_not_a_second_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """`timeout` sends to its child and to their group; a shell hangs up on top of the terminal."""
    monkeypatch.setattr(interruption, "ECHO", 60.0)
    with Ending() as ending:
        ending.begin()
        with pytest.raises(KeyboardInterrupt):
            send("SIGHUP")
        send("SIGHUP")
    assert ending.status == 129


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_what_was_ignored_from_the_beginning_stays_so(name: str) -> None:
    """As `nohup` has it, and a shell without job control for what it runs in the background."""
    signal.signal(getattr(signal, name), signal.SIG_IGN)
    with Ending() as ending:
        ending.begin()
        send(name)
    assert signal.getsignal(getattr(signal, name)) == signal.SIG_IGN


@pytest.mark.parametrize(("name", "status", "word"), ENDS)
def test_before_there_is_something_to_lose_the_process_ends_there_and_then(
    name: str, status: int, word: str
) -> None:
    code = (
        "import os, signal\nfrom vanishgrad.interruption import Ending\n"
        f"with Ending():\n    try: os.kill(os.getpid(), signal.{name})\n"
        "    except BaseException: print('raised')\nprint('on')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", f"{word}\n")


def test_a_signal_waits_for_the_end_of_a_step() -> None:
    with BetweenSteps() as signals:
        send("SIGINT")
        with pytest.raises(KeyboardInterrupt):
            signals.heed()
        signals.heed()  # once
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


def test_one_that_comes_with_the_last_step_is_not_forgotten() -> None:
    with pytest.raises(KeyboardInterrupt), BetweenSteps():
        send("SIGINT")


def test_a_second_one_does_not_wait() -> None:
    with pytest.raises(KeyboardInterrupt), BetweenSteps():
        _twice()


def _twice() -> None:
    send("SIGINT")
    with pytest.raises(KeyboardInterrupt):
        send("SIGINT")


def test_a_handler_that_does_not_raise_is_called_after_the_step_and_all_goes_on() -> None:
    heard: list[int] = []

    def hear(number: int, frame: FrameType | None) -> None:
        heard.append(number)

    signal.signal(signal.SIGTERM, hear)
    with BetweenSteps() as signals:
        for step in range(3):
            send("SIGTERM")
            assert len(heard) == step
            signals.heed()
    assert heard == [signal.SIGTERM] * 3
    assert signal.getsignal(signal.SIGTERM) is hear


def test_what_python_does_not_handle_is_left_to_the_system() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with BetweenSteps():
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_another_thread_has_no_handlers() -> None:
    entered = []

    def run() -> None:
        with Ending(), BetweenSteps(), interruptible():
            entered.append(signal.getsignal(signal.SIGINT))

    thread = Thread(target=run)
    thread.start()
    thread.join()
    assert entered == [signal.default_int_handler]


def test_a_signal_that_would_end_the_process_unheard_is_an_interrupt() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with pytest.raises(KeyboardInterrupt), interruptible():
        send("SIGTERM")
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_process_that_begins_undisturbed_hears_nothing() -> None:
    code = "import signal; print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())))"
    with undisturbed():
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    for number in ASKING:
        assert repr(signal.Signals(number)) in done.stdout
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & set(ASKING)


def test_a_process_may_leave_it_to_its_parent() -> None:
    ignore()
    for name, *_ in ENDS:
        send(name)
