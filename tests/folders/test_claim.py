"""A folder that is about to be written: what it holds stays, or goes because somebody means it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vanishgrad.errors import SettingError, WriteError
from vanishgrad.folders import make_folder, new_folder, reserve_folder, vacate, written_folder
from vanishgrad.folders.content import Kind, found_in


def run_in(folder: Path, status: str = "completed", *files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps({"status": status}))
    for file in files:
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text("")
    return folder


def sweep_in(folder: Path, *places: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sweep.json").write_text(json.dumps({"jobs": [{"folder": place} for place in places]}))
    (folder / "runs.jsonl").write_text("")
    return folder


def said(folder: Path, kind: Kind = "run", key: str = "hydra.run.dir", overwrite: bool = False) -> str:
    with (
        pytest.raises(SettingError, match=rf"^{key}={folder}: holds ") as refused,
        new_folder(key, folder, kind, overwrite=overwrite),
    ):
        pass
    return str(refused.value).partition(": holds ")[2]


def test_a_finished_run_is_refused(tmp_path: Path) -> None:
    for status in ("completed", "diverged"):
        run_in(tmp_path, status, "checkpoint.pt")
        assert said(tmp_path) == f"a {status} run; name another folder, or add overwrite=true to replace it"
    assert "overwrite=True" in said(tmp_path, key="out")


@pytest.mark.parametrize(
    "status, words",
    [("interrupted", "an interrupted run"), ("failed", "a failed run"), ("running", "a run that was killed")],
)
def test_a_run_that_can_go_on_says_how(tmp_path: Path, status: str, words: str) -> None:
    run_in(tmp_path, status, "checkpoint.pt")
    on = f"go on with it: vanishgrad train resume={tmp_path}"
    assert said(tmp_path).startswith(f"{words}; {on}, or name another folder, or add ")
    (tmp_path / "checkpoint.pt").unlink()
    assert on not in said(tmp_path)


@pytest.mark.parametrize("file", ["gradients.csv", "metrics.csv", "checkpoint.pt", "run.json"])
def test_any_file_of_a_run_is_one(tmp_path: Path, file: str) -> None:
    (tmp_path / file).write_text("not JSON")
    assert said(tmp_path).startswith("a run; ")


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_run_never_takes_the_place_of_a_sweep_nor_a_sweep_that_of_a_run(
    tmp_path: Path, overwrite: bool
) -> None:
    run, sweep = run_in(tmp_path / "run"), sweep_in(tmp_path / "sweep", "0")
    assert said(run, "sweep", overwrite=overwrite) == "a completed run; name another folder"
    assert said(sweep, "run", overwrite=overwrite).endswith("or name another folder")
    assert said(sweep, "sweep").startswith(f"a sweep; go on with it: sweep.resume={sweep}, or ")


def test_other_things_are_not_replaced_either(tmp_path: Path) -> None:
    for file, words in (("cure.json", "a cure"), ("claims.csv", "chapters of the lab")):
        (tmp_path / words).mkdir()
        (tmp_path / words / file).write_text("")
        assert said(tmp_path / words, overwrite=True) == f"{words}; name another folder"


def test_runs_of_another_launcher_are_a_sweep(tmp_path: Path) -> None:
    (tmp_path / "multirun.yaml").write_text("")
    assert found_in(tmp_path) is None  # stopped before its first run
    run_in(tmp_path / "0")
    assert said(tmp_path, "sweep").startswith("a sweep; name another folder, or ")


def test_notes_in_a_folder_are_no_run(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("dear diary")
    with new_folder("out", tmp_path, "run"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_the_files_of_a_run_go_and_nothing_else(tmp_path: Path) -> None:
    written = (
        "gradients.csv",
        "checkpoint.pt",
        "snapshots/0.pt",
        ".hydra/config.yaml",
        "error.log",
        "gates.csv",
    )
    run_in(tmp_path, "completed", *written, "notes.txt", "report/index.html")
    vacate(tmp_path, "run")
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"notes.txt", "report/index.html"}
    assert {path.name for path in tmp_path.iterdir()} == {"notes.txt", "report"}


def test_the_files_of_a_sweep_go_and_nothing_else(tmp_path: Path) -> None:
    sweep, outside = sweep_in(tmp_path / "sweep", "0", "a/b", "../outside"), run_in(tmp_path / "outside")
    for place in ("0", "a/b", "mine"):
        run_in(sweep / place, "completed", "metrics.csv")
    (sweep / "0" / "notes.txt").write_text("")
    (sweep / "multirun.yaml").write_text("")
    vacate(sweep, "sweep")
    left = {path.relative_to(sweep).as_posix() for path in sweep.rglob("*") if path.is_file()}
    assert left == {"0/notes.txt", "mine/run.json", "mine/metrics.csv"}
    assert (outside / "run.json").exists()


@pytest.mark.parametrize(
    "name, reason",
    [
        ("x" * 300, "cannot be written: .*File name too long"),
        ("file", "is a file, not a folder"),
        ("file/below", "file is a file, not a folder"),
        ("a\0b", "a name has no zero byte"),
    ],
)
def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").write_text("")
    for above in (tmp_path, tmp_path / "new")[: 1 if name.startswith("file") else 2]:
        with pytest.raises(SettingError, match=rf"^out=.*{reason}"):
            make_folder("out", above / name)
    with pytest.raises(SettingError):
        reserve_folder("out", tmp_path / name, "2024")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc here")
def test_where_nobody_may_write_the_system_says_why() -> None:
    with pytest.raises(SettingError, match=r"^out=/proc/new: cannot be written: No such file or directory$"):
        make_folder("out", Path("/proc/new"))
    with pytest.raises(SettingError, match=r"^out=/proc/self: cannot be written: "):
        written_folder("out", Path("/proc/self")).__enter__()


def test_what_is_new_goes_again_with_a_refusal(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    with pytest.raises(SettingError, match="no"), new_folder("out", folder, "run"):
        raise SettingError("no")
    assert list(tmp_path.iterdir()) == []
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("")
    with pytest.raises(SettingError, match="no"), new_folder("out", folder, "run"):
        raise SettingError("no")
    assert (folder / "notes.txt").exists()


def test_a_file_that_cannot_be_written_refuses_a_report(tmp_path: Path) -> None:
    with (
        pytest.raises(SettingError, match=rf"^out={tmp_path}: page: cannot be written: No space"),
        written_folder("out", tmp_path),
    ):
        raise WriteError(28, "No space left on device", "page")
