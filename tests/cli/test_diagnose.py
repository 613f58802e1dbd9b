"""`vanishgrad diagnose`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vanishgrad.cli import main
from vanishgrad.cli.diagnose import treated_command
from vanishgrad.config.plan import jobs_of, plan_of, without_hydra
from vanishgrad.config.setting import to_setting
from vanishgrad.description import describe
from vanishgrad.report import load_runs

Vanishgrad = Callable[..., Any]
DEEP = ["depth=12", "width=12", "act=sigmoid", "max_steps=150", "epochs=100", "threads=1"]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of two settings and two seeds: one vanishes, the other learns."""
    folder = tmp_path_factory.mktemp("swept") / "sweep"
    given = [*DEEP, "norm=none,batch", "seed=0,1", "hydra.launcher.n_jobs=1", f"hydra.sweep.dir={folder}"]
    assert main(["train", "-m", *given]) == 0
    return folder


@pytest.fixture
def trained(vanishgrad: Vanishgrad, swept: Path) -> Path:
    """A copy of the sweep in the empty directory of the command."""
    return Path(shutil.copytree(swept, "sweep"))


def test_each_setting_has_a_block_with_evidence_and_what_to_type(
    vanishgrad: Vanishgrad, trained: Path
) -> None:
    done = vanishgrad("diagnose", "runs=sweep")
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert "norm=none  vanishing  (2 runs)" in lines
    assert "norm=batch  learns  (2 runs)" in lines
    text = " ".join(done.out.split())
    assert "vanishing from step 0: The gradient shrinks" in text
    assert "vanishgrad train depth=12 width=12 act=sigmoid max_steps=150 epochs=100 threads=1" in text
    assert "remedy=batchnorm it rescales every layer's signal" in text
    assert all(line == line.rstrip() for line in lines)


def test_json_is_one_strict_document(vanishgrad: Vanishgrad, trained: Path) -> None:
    done = vanishgrad("diagnose", "runs=sweep", "format=json")
    document = json.loads(done.out, parse_constant=lambda name: pytest.fail(name))
    assert (done.status, done.err) == (0, "")
    runs = document["runs"]
    assert [run["verdict"] for run in runs] == ["vanishing", "vanishing", "learns", "learns"]
    assert [run["setting"] for run in runs] == ["norm=none"] * 2 + ["norm=batch"] * 2
    assert runs[3]["findings"] == []
    finding = runs[0]["findings"][0]
    assert {"finding", "severity", "layers", "first_step", "evidence", "remedies"} <= set(finding)
    assert finding["remedies"][0]["command"].endswith("seed=0 remedy=batchnorm")


def test_the_newest_run_is_the_default_and_a_broken_folder_is_noted(
    vanishgrad: Vanishgrad, trained: Path
) -> None:
    trained.rename("outputs")
    (Path("outputs") / "9").mkdir()
    done = vanishgrad("diagnose")
    assert done.status == 0
    assert "norm=batch" in done.out or "learns" in done.out
    (Path("outputs") / "0" / "gradients.csv").write_text("nonsense\n")
    noted = vanishgrad("diagnose", "runs=outputs")
    assert noted.err.startswith("note: skipped outputs/0: ")


def test_a_lone_table_is_diagnosed_in_terms_of_pytorch(vanishgrad: Vanishgrad, trained: Path) -> None:
    table = (trained / "0" / "gradients.csv").read_bytes()
    Path("mine.csv").write_bytes(table)
    done = vanishgrad("diagnose", "runs=mine.csv")
    assert done.out.splitlines()[0] == "mine.csv  vanishing"
    assert "nn.BatchNorm1d" in done.out
    (run,) = json.loads(vanishgrad("diagnose", "runs=mine.csv", "format=json").out)["runs"]
    assert run["folder"] is None
    assert run["findings"][0]["remedies"][0]["command"] is None


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["runs=nowhere"], "runs=nowhere: there is no such folder"),
        (["format=xml"], "format=xml: choose one of text, json"),
        (["run=x"], "run=x: there is no option run"),
        (["runs=empty"], "runs=empty: there is no run to diagnose"),
        (["runs=bad.csv"], "bad.csv"),
    ],
)
def test_what_cannot_be_diagnosed_is_refused(
    vanishgrad: Vanishgrad, arguments: list[str], message: str
) -> None:
    Path("empty").mkdir()
    Path("bad.csv").write_text("a,b\n1,2\n")
    done = vanishgrad("diagnose", *arguments)
    assert done.status == 2
    assert message in done.err
    assert done.out == ""


@pytest.mark.parametrize(
    "earlier",
    [
        [],
        ["remedy=relu"],
        ["remedy=small_rate", "remedy.factor=0.02"],
        ["remedy=clipping", "remedy.max_norm=0.5"],
    ],
)
def test_the_command_that_is_told_trains_the_treated_run(vanishgrad: Vanishgrad, earlier: list[str]) -> None:
    """It is the earlier setting with the new choice in it, and an earlier remedy is not undone."""
    typed = ["depth=3", "act=leaky_relu", "act.slope=0.1", *earlier, "max_steps=0", "hydra.run.dir=run"]
    assert vanishgrad("train", *typed).status == 0
    (run,) = load_runs("run")
    expected = {
        "remedy=batchnorm": {"norm"},
        "act=relu init=he": {"act", "init"},
        "lr=0.01": {"lr"},
        "remedy=adam": {"optim", "lr"},
    }
    for new, changes in expected.items():
        command = treated_command(run, new)
        assert command is not None
        program, verb, *overrides = command.split()
        assert (program, verb) == ("vanishgrad", "train")
        (job,) = jobs_of(plan_of(overrides, multirun=False))
        after, before = describe(to_setting(without_hydra(job)).effective), run.record["effective"]
        changed = {key for key in after if after[key] != before[key]}
        assert changed == changes - ({"act"} if "remedy=relu" in earlier else set())


def test_a_run_of_somebody_elses_has_no_command(vanishgrad: Vanishgrad, trained: Path) -> None:
    for folder in trained.iterdir():
        if (folder / "run.json").exists():
            record = json.loads((folder / "run.json").read_text())
            (folder / "run.json").write_text(json.dumps(record | {"overrides": [], "config": {}}))
    run = load_runs(trained / "0").runs[0]
    assert treated_command(run, "remedy=relu") is None
