"""Groups on several processes."""

from __future__ import annotations

import importlib.util
import os
import signal
from functools import partial
from pathlib import Path

import pytest

from vanishgrad.errors import SettingError
from vanishgrad.sweep.pool import Place, Workers, each


def _note(folder: Path, group: int, place: Place) -> None:
    if group == 3:
        raise RuntimeError("no luck")
    (folder / str(group)).write_text(str(os.getpid()))


def _die(folder: Path, group: int, place: Place) -> None:
    if group == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / str(group)).write_text("done")


@pytest.mark.parametrize("count", [1, 2])
def test_every_group_is_done_and_an_error_stays_its_own(tmp_path: Path, count: int) -> None:
    looked: list[int] = []
    found = list(each(range(6), partial(_note, tmp_path), Workers(count), lambda: looked.append(1)))
    assert [(one.group, one.error) for one in found] == [(3, "RuntimeError: no luck")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2", "4", "5"]
    processes = {path.read_text() for path in tmp_path.iterdir()}
    assert (str(os.getpid()) in processes) == (count == 1)
    assert count > 1 or looked


def test_a_process_that_dies_takes_only_its_group(tmp_path: Path) -> None:
    found = list(each(range(5), partial(_die, tmp_path), Workers(2), lambda: None))
    assert [one.group for one in found] == [1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "2", "3", "4"]


def test_what_the_watcher_raises_ends_everything(tmp_path: Path) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(each(range(2), _sleep, Workers(2), stop))


def _sleep(group: int, place: Place) -> None:
    signal.pause()


def test_mistakes_are_told() -> None:
    with pytest.raises(SettingError, match=r"hydra\.launcher\.backend=slurm: choose one of loky, ray, dask"):
        Workers(backend="slurm")
    with pytest.raises(SettingError, match=r"hydra\.launcher\.n_jobs=0"):
        Workers(0)


@pytest.mark.parametrize("backend, module", [("ray", "ray"), ("dask", "distributed")])
def test_a_backend_that_is_not_installed_is_told(backend: str, module: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(module):
        pytest.skip(f"{module} is installed")
    with pytest.raises(SettingError, match=rf"pip install 'vanishgrad\[{backend}\]'"):
        list(each(range(2), partial(_note, tmp_path), Workers(2, backend), lambda: None))
