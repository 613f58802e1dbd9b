"""What may be in a file that is read: the kinds of damage, each with its words."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from vanishgrad.schema import LARGEST, OUTCOME, RUN, SWEEP, Fault, checked, content


@pytest.mark.parametrize(
    "entry, said",
    [
        ('"metrics": []', "metrics must be an object, is a list"),
        ('"metrics": {"final": 3}', "metrics.final must be an object, is 3"),
        ('"metrics": {"final": {"val_loss": "low"}}', "metrics.final.val_loss must be a number, .* is 'low'"),
        ('"metrics": {"final": {"val_loss": true}}', "metrics.final.val_loss must be a number, .* is true"),
        ('"diverged_at": 3', "diverged_at must be an object, is 3"),
        ('"diverged_at": {"step": null}', "diverged_at.step must be an integer from 0 on, is null"),
        ('"diverged_at": {"layer": 1}', "diverged_at has no step"),
        ('"seed": "3"', "seed must be an integer, is '3'"),
        ('"seed": 1.5', "seed must be an integer, is 1.5"),
        ('"seed": true', "seed must be an integer, is true"),
        ('"steps": -1', "steps must be an integer from 0 on, is -1"),
        (f'"steps": {10**30}', "steps must be an integer from 0 on, is 10000"),
        ('"choices": "deep"', "choices must be an object, is 'deep'"),
        ('"choices": {"act": {"name": 3}}', "choices.act.name must be text, is 3"),
        ('"overrides": "depth=3"', "overrides must be a list, is 'depth=3'"),
        ('"overrides": ["depth=3", 4]', r"overrides\[1\] must be text, is 4"),
        ('"baseline": {"metric": "val_loss", "value": "much"}', "baseline.value must be a number, .* 'much'"),
        ('"answers": {"act.bounded": 1}', "answers.act.bounded must be true or false, is 1"),
        ('"fitting": {}', "fitting must be a list, is an object"),
        ('"error": {}', "error must be text, is an object"),
        ('"versions": 2', "versions must be an object, is 2"),
        ('"seed": 1, "seed": 2', "has the key 'seed' twice"),
        ('"seconds": NaN', 'is not strict JSON: NaN must be text, as in "NaN"'),
        ('"seconds": -Infinity', "is not strict JSON: -Infinity"),
        ('"seconds": 1e999', "has a number that no float holds: 1e999"),
        (f'"steps": {"9" * 5000}', "has a number of 5000 digits"),
        (f'"x": {"[" * 100_000}{"]" * 100_000}', "is nested too deeply"),
        (f'"x": {"[" * 70}{"]" * 70}', "is nested too deeply"),
        (r'"x": "\ud800"', "has text with half a character"),
        ('"x": 1,', "is not JSON: .* in line 1"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_record_is_said(entry: str, said: str) -> None:
    with pytest.raises(Fault, match=said):
        checked(f'{{"status": "completed", {entry}}}'.encode(), RUN)


@pytest.mark.parametrize("key", RUN.keys)
def test_no_entry_is_a_list_of_lists(key: str) -> None:
    with pytest.raises(Fault, match=f"^{key}.* must be .*, is a list$"):
        checked(json.dumps({"status": "completed"} | {key: [[]]}).encode(), RUN)


def test_what_a_writer_leaves_is_read() -> None:
    """A mark of the byte order, characters beyond the first 65,536, and keys of later versions."""
    text = '{"status": "completed", "name": "\\ud83d\\ude00", "later": {"a": [1]}, "seed": null}'
    record = checked(b"\xef\xbb\xbf" + text.encode(), RUN)
    assert record["name"] == "\U0001f600"
    assert record["later"] == {"a": [1]}


def job(**given: Any) -> dict[str, Any]:
    return {"number": 0, "folder": "0", "label": "", "overrides": [], "setting": {}} | given


@pytest.mark.parametrize(
    "given, said",
    [
        ({"jobs": {}}, "jobs must be a list, is an object"),
        ({"jobs": [3]}, r"jobs\[0\] must be an object, is 3"),
        ({"jobs": [job(), job(number="1")]}, r"jobs\[1\].number must be an integer from 0 on, is '1'"),
        ({"jobs": [{"number": 0}]}, r"jobs\[0\] has no folder"),
        ({"jobs": [job(setting=None)]}, r"jobs\[0\].setting must be an object, is null"),
        ({"batches": [-1]}, r"batches\[0\] must be an integer from 0 on, is -1"),
        ({"versions": None}, "versions must be an object, is null"),
    ],
)
def test_what_is_wrong_in_a_sweep_is_said(given: dict[str, Any], said: str) -> None:
    with pytest.raises(Fault, match=said):
        checked(json.dumps({"versions": {}, "batches": [], "jobs": []} | given).encode(), SWEEP)


def test_what_is_wrong_in_an_outcome_is_said() -> None:
    outcome = {"number": 1, "status": "completed", "seconds": 1.0, "metrics": {"val_loss": "nan"}}
    assert checked(json.dumps(outcome).encode(), OUTCOME) == outcome
    with pytest.raises(Fault, match="metrics must be an object, is null"):
        checked(json.dumps(outcome | {"metrics": None}).encode(), OUTCOME)


def test_only_a_regular_file_is_opened(tmp_path: Path) -> None:
    """And nothing else is waited for: the test would hang."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "nowhere").symlink_to(tmp_path / "absent")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as one:
        here = Path.cwd()
        os.chdir(tmp_path)  # its path may be too long for a socket
        one.bind("socket")
        os.chdir(here)
    kinds = {
        "pipe": "is a named pipe, not a file", "folder": "is a folder, not a file", "link": "is a named pipe",
        "socket": "is a socket, not a file", "loop": "is not readable: Too many levels",
        "nowhere": "is a link to nothing",
    }  # fmt: skip
    for name, said in kinds.items():
        with pytest.raises(Fault, match=said):
            content(tmp_path / name)
    with pytest.raises(Fault, match="is a device, not a file"):
        content(Path("/dev/zero"))
    with pytest.raises(FileNotFoundError):
        content(tmp_path / "absent")


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "run.json", "wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(Fault, match="has 64 MB; more than 64 are not read"):
        content(tmp_path / "run.json")


def test_a_megabyte_is_a_million_bytes(tmp_path: Path) -> None:
    """A file with nothing in it but its size: nobody reads 65 MB to know that it is no run.json."""
    path = tmp_path / "run.json"
    with path.open("wb") as file:
        file.truncate(64_000_000)
    assert len(content(path)) == 64_000_000
    with path.open("wb") as file:
        file.truncate(65_000_000)
    with pytest.raises(Fault, match="has 65 MB; more than 64 are not read"):
        content(path)
