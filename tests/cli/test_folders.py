"""Folders that collide, are taken or cannot be written are refused before any work."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vanishgrad.folders import locked
from vanishgrad.folders.lock import _granted

Vanishgrad = Callable[..., Any]

TINY = ("max_steps=1", "width=2", "depth=1")
ALONE = "hydra.launcher.n_jobs=1"


def slow(value: Any) -> Any:
    """A value that shows once more what another one has shown."""
    return pytest.param(value, marks=pytest.mark.slow)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_is_not_overwritten_unless_that_is_meant(vanishgrad: Vanishgrad, tmp_path: Path) -> None:
    assert vanishgrad("train", *TINY, "hydra.run.dir=a", "snapshots=2").status == 0
    (tmp_path / "a" / "notes.txt").write_text("dear diary")
    before = files(tmp_path)
    refused = vanishgrad("train", *TINY, "hydra.run.dir=a", "seed=1")
    assert refused.status == 2
    assert refused.error == (
        "hydra.run.dir=a: holds a completed run; name another folder, or add overwrite=true to replace it"
    )
    assert vanishgrad("train", *TINY, "hydra.run.dir=a", "depth=-1", "overwrite=true").status == 2
    assert files(tmp_path) == before
    assert vanishgrad("train", *TINY, "hydra.run.dir=a", "seed=1", "overwrite=true").status == 0
    assert json.loads((tmp_path / "a/run.json").read_text())["seed"] == 1
    assert (tmp_path / "a/notes.txt").read_text() == "dear diary"
    assert not (tmp_path / "a/snapshots").exists()
    assert "overwrite" not in (tmp_path / "a/run.json").read_text()


@pytest.mark.parametrize("launcher", [ALONE, slow("hydra/launcher=basic")])
def test_a_sweep_is_not_overwritten_unless_that_is_meant(
    vanishgrad: Vanishgrad, tmp_path: Path, launcher: str
) -> None:
    sweep = ("train", "-m", *TINY, "hydra.sweep.dir=s", launcher)
    assert vanishgrad(*sweep, "seed=0,1").status == 0
    before = files(tmp_path)
    for kind in (("-m", "hydra.sweep.dir=s"), ("hydra.run.dir=s",), ("hydra.run.dir=s", "overwrite=true")):
        refused = vanishgrad("train", *kind, *TINY)
        assert (refused.status, files(tmp_path)) == (2, before)
        assert "=s: holds a sweep; " in refused.error
    assert vanishgrad(*sweep, "seed=7,7", "overwrite=true").status == 2
    assert vanishgrad(*sweep, "seed=7,8", "hydra.sweep.subdir=x", "overwrite=true").status == 2
    assert files(tmp_path) == before
    assert vanishgrad(*sweep, "seed=7", "overwrite=true").status == 0
    assert sorted(path.name for path in (tmp_path / "s").iterdir() if path.is_dir()) == ["0"]
    assert json.loads((tmp_path / "s/0/run.json").read_text())["seed"] == 7


@pytest.mark.parametrize("launcher", [ALONE, slow("hydra/launcher=basic")])
@pytest.mark.parametrize(
    "subdir, reason",
    [
        ("x", "runs 0 and 1 would share it"),
        ("../x${hydra.job.num}", "must be a folder inside that of the sweep"),
        (".", "must be a folder inside that of the sweep"),
        ("/elsewhere/${hydra.job.num}", "must be a folder inside that of the sweep"),
        ("report/${hydra.job.num}", "report is a name of the sweep's own"),
        ("sweep.json/${hydra.job.num}", "sweep.json is a name of the sweep's own"),
        ("${oc.select:nothing,${seed}}/../0", "runs 0 and 1 would share it"),
        ("${hydra.job.num}" + "x" * 300, "File name too long"),
    ],
)
def test_runs_without_a_folder_of_their_own_are_refused(
    vanishgrad: Vanishgrad, tmp_path: Path, subdir: str, reason: str, launcher: str
) -> None:
    refused = vanishgrad("train", "-m", *TINY, "seed=0,1", f"hydra.sweep.subdir='{subdir}'", launcher)
    assert refused.status == 2
    assert refused.error.startswith("hydra.sweep.subdir=")
    assert reason in refused.error
    assert list(tmp_path.iterdir()) == []


def test_a_run_inside_the_folder_of_another_is_refused(vanishgrad: Vanishgrad, tmp_path: Path) -> None:
    subdir = "hydra.sweep.subdir='a/${name}'"
    refused = vanishgrad("train", "-m", *TINY, "name=b/c,b", subdir, ALONE)
    assert "hydra.sweep.subdir=a/b/c: lies inside the folder of run 1" in refused.error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["hydra.run.dir", "hydra.sweep.dir"])
@pytest.mark.parametrize("value", ["", "' '"])
def test_a_folder_needs_a_name(vanishgrad: Vanishgrad, tmp_path: Path, key: str, value: str) -> None:
    swept = ["-m"] if "sweep" in key else []
    refused = vanishgrad("train", *swept, *TINY, f"{key}={value}")
    assert refused.status == 2
    assert refused.error.startswith(f"{key}=")
    assert "must name a folder" in refused.error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [
        ("train", *TINY, "hydra.run.dir=PLACE"),
        ("train", "-m", *TINY, "seed=0,1", "hydra.sweep.dir=PLACE", ALONE),
        ("train", "-m", *TINY, "seed=0,1", "hydra.sweep.dir=PLACE", "hydra/launcher=basic"),
        ("cure", *TINY, "out=PLACE"),
        ("theory", *TINY, "out=PLACE"),
        ("report", "runs=run", "out=PLACE"),
        slow(("lab", "chapter=depth", "profile=quick", "out=PLACE")),
    ],
    ids=lambda command: " ".join(command[:2]),
)
@pytest.mark.parametrize("place", ["x" * 300, *map(slow, ("file", "file/below", "/proc/new"))])
def test_a_folder_that_cannot_be_written_is_one_error(
    vanishgrad: Vanishgrad, tmp_path: Path, command: tuple[str, ...], place: str
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/run.json").write_text('{"status": "completed", "choices": {"depth": 1}}')
    (tmp_path / "run/gradients.csv").write_text("step,layer,grad_norm\n0,1,0.1\n")
    before = files(tmp_path)
    refused = vanishgrad(*(word.replace("PLACE", place) for word in command))
    assert refused.status == 2
    assert place in refused.error
    assert any(
        reason in refused.error
        for reason in ("is a file, not a folder", "File name too long", "No such file or directory")
    )
    assert files(tmp_path) == before


@pytest.mark.parametrize("launcher", [ALONE, slow("hydra/launcher=basic")])
@pytest.mark.parametrize(
    "twice, named",
    [
        ("seed=0,0", "seed=0,0: has 0 twice"),
        ("lr=0.1,null", "lr=0.1) and 1 (max_steps=1 width=2 depth=1 lr=null) of the sweep have the same"),
        ("act=relu,null,tanh", "act=relu) and 1 (max_steps=1 width=2 depth=1 act=null) of the sweep"),
        ("lr=0.1,null act=tanh,relu", "would end alike; leave one out (2 of 4 are there already)"),
    ],
)  # fmt: skip
def test_the_same_run_twice_is_refused(
    vanishgrad: Vanishgrad, tmp_path: Path, twice: str, named: str, launcher: str
) -> None:
    refused = vanishgrad("train", "-m", *TINY, *twice.split(), launcher)
    assert refused.status == 2
    assert named in refused.error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [
        ("train", *TINY, "hydra.run.dir=taken"),
        ("train", *TINY, "hydra.run.dir=taken/3"),
        ("train", "resume=taken"),
        ("train", "resume=taken/3"),
        ("train", "-m", *TINY, "seed=0,1", "hydra.sweep.dir=taken", ALONE),
        ("train", "-m", *TINY, "seed=0,1", "hydra.sweep.dir=taken", "hydra/launcher=basic"),
        ("train", "-m", *TINY, "seed=0,1", "sweep.resume=taken", ALONE),
        ("report", "runs=run", "out=taken"),
        slow(("lab", "chapter=depth", "profile=quick", "out=taken")),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_a_folder_where_somebody_is_at_work_is_refused(
    vanishgrad: Vanishgrad, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "taken" / "3").mkdir(parents=True)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/run.json").write_text('{"status": "completed", "choices": {"depth": 1}}')
    (tmp_path / "run/gradients.csv").write_text("step,layer,grad_norm\n0,1,0.1\n")
    with locked("out", tmp_path / "taken", whole=True):
        token = _granted.set(frozenset())  # as another process
        try:
            before = files(tmp_path)
            refused = vanishgrad(*command)
            assert files(tmp_path) == before
        finally:
            _granted.reset(token)
    assert refused.status == 2
    assert f"process {os.getpid()} on " in refused.error
    assert "at work" in refused.error


@pytest.mark.parametrize("word, rule", [("maybe", "must be true or false"), ("", "has no value")])
def test_overwrite_is_true_or_false(vanishgrad: Vanishgrad, word: str, rule: str) -> None:
    assert vanishgrad("train", *TINY, f"overwrite={word}").error == f"overwrite={word}: {rule}"


def test_overwriting_and_going_on_exclude_each_other(vanishgrad: Vanishgrad, tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    said = vanishgrad("train", "-m", *TINY, "seed=0,1", "sweep.resume=s", "overwrite=true").error
    assert said == "overwrite=true: sweep.resume=s goes on; leave out one"
    assert "leave out overwrite=true" in vanishgrad("train", "resume=s", "overwrite=true").error
