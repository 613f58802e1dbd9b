"""Where the processes of a sweep come from."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from vanishgrad.interruption import ASKING
from vanishgrad.sweeps import processes
from vanishgrad.sweeps.pool import Place, Workers, each
from vanishgrad.sweeps.processes import THREADS, end, executor, warm

FORKED = pytest.mark.skipif(processes.METHOD != "forkserver", reason="processes are forked on Linux only")


@pytest.fixture(autouse=True)
def _processes_of_its_own() -> Iterator[None]:
    end()
    yield
    end()


def nothing() -> None:
    pass


def python(code: str) -> str:
    """What another Python prints that runs `code`."""
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-c", dedent(code)], env=os.environ | {"PYTHONPATH": paths},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def asked(question: Callable[[], object]) -> object:
    return executor(2, 3).submit(question).result()


@FORKED
def test_a_process_has_what_it_needs_when_it_begins() -> None:
    """Asked in a new Python: in this one somebody else may have begun what others are forked from."""
    found = python(
        """
        import os, sys
        from vanishgrad.sweeps.processes import end, executor

        def question():
            names = ("vanishgrad.sweeps.work", "hydra", "rich")
            return [name in sys.modules for name in names], os.getppid()

        if __name__ == "__main__":
            loaded, parent = executor(2, 3).submit(question).result()
            print(loaded, parent != os.getpid())
            end()
        """
    )
    assert found == "[True, False, False] True\n"


def test_a_process_has_its_share_of_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def question() -> object:
        import torch

        return torch.get_num_threads()

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert asked(question) == 3


@FORKED
def test_what_the_user_says_of_threads_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = dict(os.environ)
    warm()
    assert dict(os.environ) == before
    with processes._single_threaded():
        assert all(os.environ[name] == "1" for name in THREADS)
    assert dict(os.environ) == before


def test_processes_that_are_not_forked_do_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(group: str, place: Place) -> None:
        (tmp_path / group).touch()
        if group == "deadly":
            os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(processes, "METHOD", "spawn")
    failures = {failure.group: failure.error for failure in each(["deadly", "a"], work, Workers(2), nothing)}
    assert failures.keys() == {"deadly"}
    assert "SIGKILL" in failures["deadly"]
    assert {path.name for path in tmp_path.iterdir()} == {"deadly", "a"}


@FORKED
def test_the_one_they_are_forked_from_hears_no_ctrl_c_while_it_imports(tmp_path: Path) -> None:
    script = tmp_path / "begins.py"
    script.write_text(
        "import os, signal, time\n"
        "from vanishgrad.sweeps.processes import warm\n"
        "if __name__ == '__main__':\n"
        "    warm()\n"
        "    time.sleep(0.3)\n"  # not yet enough to import torch
        "    signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "    os.killpg(os.getpgid(0), signal.SIGINT)\n"
        "    time.sleep(0.3)\n"
        "    from multiprocessing.forkserver import _forkserver\n"
        "    print(os.waitpid(_forkserver._forkserver_pid, os.WNOHANG)[0])\n"
    )
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, script], env=os.environ | {"PYTHONPATH": paths}, start_new_session=True,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("0\n", "")  # it goes on


def test_beginning_early_imports_nothing_heavy() -> None:
    heavy = {"torch", "numpy", "joblib", "hydra", "pandas", "rich"}
    code = "import sys; from vanishgrad.sweeps.processes import warm; print(sorted(%r & set(sys.modules)))"
    assert python(code % heavy) == "[]\n"


def _surroundings() -> tuple[str, str, list[bool]]:
    ignored = [signal.getsignal(number) == signal.SIG_IGN for number in ASKING]
    return type(sys.stdout).__name__, type(sys.stderr).__name__, ignored


def test_a_process_leaves_signals_to_its_parent_and_outlives_a_reader() -> None:
    assert asked(_surroundings) == ("GuardedStream", "GuardedStream", [True] * len(ASKING))


@FORKED
def test_where_no_socket_can_be_made_processes_are_spawned(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 120)
    long.mkdir()
    found = python(
        f"""
        import os
        os.environ["TMPDIR"] = {str(long)!r}
        from vanishgrad.sweeps.processes import end, executor, warm

        if __name__ == "__main__":
            print(warm(), executor(2, 1).submit(abs, -3).result())
            end()
        """
    )
    assert found == "spawn 3\n"
