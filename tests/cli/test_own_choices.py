"""Choices of the user's own on the command line: `--config-dir DIR act=mine`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vanishgrad import Run, load_run, train
from vanishgrad.errors import SettingError

from .conftest import Vanishgrad

pytestmark = pytest.mark.usefixtures("own_choices")

CODE = '''
from dataclasses import dataclass
from typing import ClassVar

from torch import nn
from vanishgrad.choices import Activation


class Swish(nn.Module):
    elementwise = True

    def __init__(self, beta):
        super().__init__()
        self.beta = beta

    def forward(self, x):
        return x * (self.beta * x).sigmoid()


@dataclass(frozen=True)
class MySwish(Activation):
    """x sigmoid(beta x).

    Arguments:
        beta: how steep.
    """

    beta: float = 1.5
    name: ClassVar[str] = "mine"

    def module(self):
        return Swish(self.beta)
'''
SMALL = ("depth=2", "width=8", "max_steps=4", "data.train_size=128", "log_every=2")


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Path]:
    """A folder with an activation of the user's own; its module is forgotten afterwards."""
    folder = tmp_path / "own"
    (folder / "act").mkdir(parents=True)
    (folder / "act" / "mine.yaml").write_text("_target_: my_swish.MySwish\nbeta: 1.5\n")
    (folder / "my_swish.py").write_text(CODE)
    before = list(sys.path)
    yield folder
    sys.path[:] = before
    sys.modules.pop("my_swish", None)


def test_a_run_trains_with_it_and_says_where_it_lives(vanishgrad: Vanishgrad, own: Path) -> None:
    done = vanishgrad("train", "--config-dir", str(own), "act=mine", "act.beta=2.0", *SMALL)
    assert done.status == 0, done.err
    record = json.loads((Path(done.out.splitlines()[-1]) / "run.json").read_text())
    assert record["effective"]["act"] == {"name": "mine", "beta": 2.0}
    assert record["targets"] == {"act": "my_swish.MySwish"}


def test_a_sweep_trains_it_in_other_processes(vanishgrad: Vanishgrad, own: Path) -> None:
    done = vanishgrad("train", "--config-dir", str(own), "-m", "act=mine,relu", "seed=0,1", *SMALL)
    assert done.status == 0, done.err
    folder = Path(done.out.splitlines()[-1])
    records = [json.loads((folder / str(job) / "run.json").read_text()) for job in range(4)]
    assert [record["status"] for record in records] == ["completed"] * 4
    assert [record["effective"]["act"]["name"] for record in records] == ["mine", "mine", "relu", "relu"]


def test_its_runs_are_reported_and_diagnosed_without_importing_it(vanishgrad: Vanishgrad, own: Path) -> None:
    done = vanishgrad("train", "--config-dir", str(own), "act=mine", *SMALL)
    folder = done.out.splitlines()[-1]
    (own / "my_swish.py").write_text("raise SystemExit('imported')")
    sys.modules.pop("my_swish", None)
    assert vanishgrad("diagnose", f"runs={folder}").status == 0
    assert vanishgrad("report", f"runs={folder}", "figures=[gradient_profile]").status == 0
    assert "my_swish" not in sys.modules


@pytest.mark.parametrize(
    "overrides, message",
    [
        (("act=mine", "act.gamma=2"), "act=mine has no parameter gamma; valid are beta"),
        (("act=mine", "act.beta=steep"), "act.beta=steep: must be a number"),
        (("act=mine2",), "act=mine2: choose one of"),
    ],
)
def test_what_is_wrong_with_it_is_said(
    vanishgrad: Vanishgrad, own: Path, overrides: tuple[str, ...], message: str
) -> None:
    done = vanishgrad("train", "--config-dir", str(own), *overrides, *SMALL)
    assert done.status == 2
    assert message in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    "code, message",
    [
        ("import nowhere", "act._target_=my_swish.MySwish: cannot be imported (ModuleNotFoundError"),
        ("x = 1 / 0", "cannot be imported (ZeroDivisionError: division by zero)"),
        ("MySwish = 3", "must be one of the choices relu"),
        ("class MySwish: name = 'mine'", "or a frozen dataclass with a `name` that inherits"),
    ],
)
def test_code_that_is_no_choice_is_refused(
    vanishgrad: Vanishgrad, own: Path, code: str, message: str
) -> None:
    (own / "my_swish.py").write_text(code)
    done = vanishgrad("train", "--config-dir", str(own), "act=mine", *SMALL)
    assert done.status == 2
    assert message in done.err


def test_without_the_flag_no_class_of_another_package_is_imported(vanishgrad: Vanishgrad, own: Path) -> None:
    done = vanishgrad("train", "act=mine", *SMALL)
    assert done.status == 2
    assert "my_swish" not in sys.modules


def test_the_options_show_it(vanishgrad: Vanishgrad, own: Path) -> None:
    done = vanishgrad("options", "act", "--config-dir", str(own))
    assert done.status == 0
    assert "x sigmoid(beta x)." in done.out
    assert "how steep" in done.out


def test_theory_says_what_it_predicts_of_it(vanishgrad: Vanishgrad, own: Path) -> None:
    done = vanishgrad("theory", "--config-dir", str(own), "act=mine", "depth=4", "format=json")
    assert done.status == 0
    assert json.loads(done.out)["chi_1"] > 0


def test_a_loaded_run_imports_what_it_names_only_when_it_is_trusted(tmp_path: Path) -> None:
    train(Run(depth=1, width=4, max_steps=1), tmp_path)
    record = json.loads((tmp_path / "run.json").read_text())
    for part in ("choices", "effective"):
        record[part]["act"] = {"name": "theirs"}
    (tmp_path / "run.json").write_text(json.dumps(record | {"targets": {"act": "vanishgrad_unheard.Theirs"}}))
    loaded = load_run(tmp_path)
    for ask in (lambda: loaded.run, loaded.model):
        with pytest.raises(SettingError, match=r"Theirs is a class of its own that is not imported"):
            ask()
    with pytest.raises(SettingError, match="cannot be imported"):
        loaded.model(trust=True)


def test_a_run_goes_on_with_it_only_with_the_flag_again(vanishgrad: Vanishgrad, own: Path) -> None:
    done = vanishgrad("train", "--config-dir", str(own), "act=mine", "save_every=2", *SMALL)
    folder = Path(done.out.splitlines()[-1])
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | {"status": "interrupted"}))
    command = [sys.executable, "-m", "vanishgrad", "train", f"resume={folder.absolute()}"]

    def resumed(*flags: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *flags], capture_output=True, text=True)

    refused = resumed()
    assert refused.returncode == 2
    assert "my_swish.MySwish is a class of its own that is not imported" in refused.stderr
    assert resumed("--config-dir", str(own)).returncode == 0
