"""`vanishgrad train -m`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from vanishgrad.cli.jobs import _named

Vanishgrad = Callable[..., Any]

SMALL = ("depth=2", "width=8", "max_steps=2", "data.train_size=128")
REPOSITORY = Path(__file__).parents[2]


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


def jobs(outputs: Path) -> list[Path]:
    (sweep,) = outputs.iterdir()
    return sorted((path for path in sweep.iterdir() if path.is_dir()), key=lambda path: int(path.name))


def test_a_sweep_trains_every_combination_into_numbered_folders(
    vanishgrad: Vanishgrad, tmp_path: Path
) -> None:
    done = vanishgrad("train", *SMALL, "-m", "act=sigmoid,relu", "seed=range(2)")
    assert (done.status, done.err) == (0, "")
    found = [record(job) for job in jobs(tmp_path / "outputs")]
    assert [(one["effective"]["act"]["name"], one["seed"]) for one in found] == [
        ("sigmoid", 0), ("sigmoid", 1), ("relu", 0), ("relu", 1),
    ]  # fmt: skip
    assert {one["status"] for one in found} == {"completed"}
    assert found[3]["overrides"] == [*SMALL, "act=relu", "seed=1"]


def test_a_sweep_prints_a_line_per_run_and_a_row_per_setting(vanishgrad: Vanishgrad, tmp_path: Path) -> None:
    lines = vanishgrad("train", *SMALL, "-m", "act=sigmoid,relu", "seed=0,1").out.splitlines()
    assert lines[0] == "4 runs"
    assert sorted(line.split()[:4] for line in lines[1:5]) == [
        ["0", "act=sigmoid", "seed=0", "completed"],
        ["1", "act=sigmoid", "seed=1", "completed"],
        ["2", "act=relu", "seed=0", "completed"],
        ["3", "act=relu", "seed=1", "completed"],
    ]
    assert {line.split()[0] for line in lines[6:8]} == {"act=sigmoid", "act=relu"}
    (sweep,) = (tmp_path / "outputs").iterdir()
    assert lines[8:] == [str(sweep.relative_to(tmp_path))]


def test_a_sweep_of_one_is_one_run_and_no_line_ends_in_blanks(vanishgrad: Vanishgrad) -> None:
    lines = vanishgrad("train", *SMALL, "-m", "seed=0").out.splitlines()
    assert lines[0] == "1 run"
    assert not [line for line in lines if line != line.rstrip()]


def test_a_null_loss_can_be_swept(vanishgrad: Vanishgrad, tmp_path: Path) -> None:
    assert vanishgrad("train", *SMALL, "-m", "loss=null,mse").status == 0
    found = [record(job) for job in jobs(tmp_path / "outputs")]
    assert [one["effective"]["loss"]["name"] for one in found] == ["cross_entropy", "mse"]
    assert [one["overrides"][-1] for one in found] == ["loss=null", "loss=mse"]


def test_a_parameter_goes_with_swept_choices_that_all_have_it(vanishgrad: Vanishgrad, tmp_path: Path) -> None:
    done = vanishgrad("train", *SMALL, "-m", "act=leaky_relu,prelu", "act.slope=0.3")
    assert done.status == 0, done.err
    found = [record(job)["effective"]["act"] for job in jobs(tmp_path / "outputs")]
    assert found == [{"name": "leaky_relu", "slope": 0.3}, {"name": "prelu", "slope": 0.3}]


REFUSED = {
    "act=relu,sigmoyd": "did you mean sigmoid?",
    "act=relu,prelu act.slope=0.3": "act=relu has no parameter slope",
    "depth=2,-1": "depth=-1: must be at least",
    "act=relu,softplus init=critical": "init=critical: Softplus has no",
    "norm=none,batch batch_size=64,1": "norm=batch with batch_size=1: one example",
    "seed=interval(0,1)": "an interval is for a search",
    "seed=0,1 hydra.verbose=true,false": "is the same for every run of a sweep",
    "data=digits,mnist data.root=nowhere": "data=digits has no parameter root",
}


@pytest.mark.parametrize("typed", REFUSED)
def test_a_sweep_with_an_invalid_job_starts_no_job_and_leaves_nothing(
    vanishgrad: Vanishgrad, tmp_path: Path, typed: str
) -> None:
    done = vanishgrad("train", "-m", "max_steps=1", *typed.split())
    assert (done.status, done.out) == (2, "")
    assert REFUSED[typed] in done.error
    first, second = done.error.split(" ")[:2]
    assert first != second
    assert not list(tmp_path.iterdir())


def test_a_reason_that_names_no_override_of_the_job_stands_behind_them() -> None:
    job = ["width=4", "depth=1"]
    assert _named(job, "depth=1: is wrong") == "depth=1: is wrong"
    assert _named(job, "width=4 with depth=1: is wrong") == "width=4 with depth=1: is wrong"
    assert _named(job, "depth=10: is wrong") == "width=4 depth=1: depth=10: is wrong"
    assert _named(job, "no room") == "width=4 depth=1: no room"


def test_the_message_names_the_job_and_how_many_there_are(vanishgrad: Vanishgrad) -> None:
    error = vanishgrad("train", "-m", "depth=2,-1,-2", "seed=0,1").error
    assert error.startswith("depth=-1: must be at least 0")
    assert error.endswith("(4 of 6 jobs are refused)")


def test_a_refused_sweep_leaves_a_folder_of_the_user_as_it_was(
    vanishgrad: Vanishgrad, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("dear diary")
    assert vanishgrad("train", "-m", "depth=1,-1", "hydra.sweep.dir=mine").status == 2
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    assert vanishgrad("train", "-m", "depth=1,-1", "hydra.sweep.dir=not/yet/there").status == 2
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("launcher", ["vectorized", "basic"])
def test_a_failed_job_stops_no_other_and_ends_with_1(
    vanishgrad: Vanishgrad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, launcher: str
) -> None:
    from vanishgrad.engine.session import Session

    real = Session.open

    def unlucky(session: Session) -> None:
        if session.run.seed == 1:
            raise RuntimeError("out of luck")
        real(session)

    monkeypatch.setattr(Session, "open", unlucky)
    done = vanishgrad("train", "-m", *SMALL, "seed=0,1,2", f"hydra/launcher={launcher}")
    folders = jobs(tmp_path / "outputs")
    assert done.status == 1
    assert [record(job)["status"] for job in folders] == ["completed", "failed", "completed"]
    assert done.err == f"failed: {folders[1].relative_to(tmp_path)}: RuntimeError: out of luck\n"
    assert "seed=1  failed: RuntimeError: out of luck" in done.out


def test_another_launcher_starts_no_job_before_all_are_checked(
    vanishgrad: Vanishgrad, tmp_path: Path
) -> None:
    done = vanishgrad("train", "-m", *SMALL, "norm=none,batch", "batch_size=64,1", "hydra/launcher=basic")
    assert (done.status, done.out) == (2, "")
    assert done.error.startswith("norm=batch with batch_size=1: one example")
    assert not list(tmp_path.iterdir())


def test_two_sweeps_in_one_second_get_two_folders(vanishgrad: Vanishgrad, tmp_path: Path) -> None:
    for _ in range(2):
        assert (
            vanishgrad("train", "-m", *SMALL, "seed=0,1", "hydra.sweep.dir=outputs/${now:fixed}").status == 0
        )
    assert sorted(path.name for path in (tmp_path / "outputs").iterdir()) == ["fixed", "fixed_2"]
    assert len(list(tmp_path.glob("outputs/*/?/run.json"))) == 4


EXPERIMENTS = sorted(
    file.stem for file in (REPOSITORY / "conf/experiment").glob("*.yaml") if file.stem != "none"
)


SETTINGS = ("moving_digits", "resnet")  # one run each
LONG = ("copy", "text", "thousand_layers")  # one seed
DOWNLOADS = ("resnet", "speed_of_learning")
SMALL_DATA = {
    "adding": ["data.train_size=128", "data.held_out=64"],
    "copy": ["data.train_size=128", "data.held_out=64"],
    "temporal_order": ["data.train_size=128", "data.held_out=64"],
    "moving_digits": ["data.train_size=32", "data.held_out=8"], "pretraining": ["pretrain.epochs=1"],
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name not in DOWNLOADS])
def test_an_experiment_runs_without_further_arguments(
    vanishgrad: Vanishgrad, tmp_path: Path, name: str
) -> None:
    shallow = [] if name in ("depth", "moving_digits", "shattered_gradients") else ["depth=3"]
    done = vanishgrad(
        "train", f"experiment={name}", "max_steps=1", "width=4", *shallow, *SMALL_DATA.get(name, [])
    )
    assert done.status == 0, done.err
    if name in SETTINGS:
        return
    found = [record(job) for job in jobs(tmp_path / "outputs")]
    assert {one["seed"] for one in found} == ({0} if name in LONG else {0, 1, 2})
    assert len(found) >= 2


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_says_how_it_is_used_and_sweeps_over_seeds(name: str) -> None:
    text = (REPOSITORY / "conf/experiment" / f"{name}.yaml").read_text()
    assert text.splitlines()[1] == f"# vanishgrad train experiment={name}"
    assert text.splitlines()[2].startswith("# ")
    hydra = yaml.safe_load(text).get("hydra")
    if name in SETTINGS:
        assert hydra is None
    else:
        assert hydra["mode"] == "MULTIRUN"
        seeds = None if name in LONG else "range(20)" if name == "speed_of_learning" else "0,1,2"
        assert hydra["sweeper"]["params"].get("seed") == seeds


def test_an_experiment_is_a_sweep_without_further_arguments(vanishgrad: Vanishgrad, tmp_path: Path) -> None:
    done = vanishgrad("train", "experiment=clipping", "max_steps=1", "width=4", "depth=3", "seed=5,6")
    assert done.status == 0, done.err
    found = [record(job) for job in jobs(tmp_path / "outputs")]
    assert [(one["choices"]["remedy"]["name"], one["seed"]) for one in found] == [
        ("none", 5), ("none", 6), ("clipping", 5), ("clipping", 6),
    ]  # fmt: skip
    assert {one["effective"]["init"]["name"] for one in found} == {"normal"}


def test_an_experiment_can_be_one_run(vanishgrad: Vanishgrad, tmp_path: Path) -> None:
    done = vanishgrad("train", "experiment=clipping", "hydra.mode=RUN", "max_steps=1", "width=4", "init=he")
    assert done.status == 0, done.err
    (folder,) = (tmp_path / "outputs").iterdir()
    assert record(folder)["effective"]["init"]["name"] == "he"
