"""What the runs of a stack leave behind, however they end, against what they leave alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import nn

from vanishgrad import Run, load_runs, train
from vanishgrad.choices.activation import ReLU, Sigmoid, Tanh
from vanishgrad.choices.clipping import AGC, ClipByNorm, ClipByValue
from vanishgrad.choices.data import Adding, Digits
from vanishgrad.choices.model.feedforward import CNN
from vanishgrad.choices.model.recurrent import GRU
from vanishgrad.choices.normalization import BatchNorm, LayerNorm, WeightNorm
from vanishgrad.choices.optimizer import SGD, Adagrad, Adam, RMSprop
from vanishgrad.choices.pretraining import Autoencoder
from vanishgrad.choices.regularization import L2, Dropout, WeightDecay
from vanishgrad.choices.residual import IdentityShortcut
from vanishgrad.engine import Result, resume
from vanishgrad.engine.plan import Batch
from vanishgrad.engine.run_folder import load_trained
from vanishgrad.engine.stack import Stack
from vanishgrad.sweeps import work
from vanishgrad.sweeps.job import Job, Outcome, TextFile
from vanishgrad.sweeps.work import JobGroup, train_group, train_stack

SMALL = Run(
    depth=3, width=6, max_steps=8, log_every=3, eval_every=4, data=Digits(train_size=128), act=Tanh(),
    dtype="float64",
)  # fmt: skip
SEQUENCES = Adding(length=5, train_size=128, held_out=32)
BOLD = replace(SMALL, act=ReLU())  # saturates nowhere
WILD = 1e200  # a learning rate that its weights do not survive


def stacked(runs: list[Run], folder: Path | None = None) -> list[Result]:
    results: dict[int, Result] = {}
    train_stack(runs, results.__setitem__, None if folder is None else jobs(runs, folder))
    return [results[place] for place in range(len(runs))]


def jobs(runs: list[Run], folder: Path) -> list[Job]:
    return [Job(place, run, folder / str(place), label=f"run {place}") for place, run in enumerate(runs)]


def seeds(count: int = 2, **changes: Any) -> list[Run]:
    return [replace(SMALL, seed=seed, **changes) for seed in range(count)]


def with_a_wild_one(**changes: Any) -> list[Run]:
    first, second, third = (replace(BOLD, seed=seed, **changes) for seed in range(3))
    return [first, replace(second, lr=1e30 if second.dtype == "float32" else WILD), third]


def table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path).drop(columns="seconds", errors="ignore")


def assert_close(mine: Any, lone: Any) -> None:
    """Dictionaries and lists of tensors and numbers, as a checkpoint has them."""
    match lone:
        case dict():
            assert mine.keys() == lone.keys()
            for key, value in lone.items():
                assert_close(mine[key], value)
        case list() | tuple():
            assert len(mine) == len(lone)
            for one, other in zip(mine, lone, strict=True):
                assert_close(one, other)
        case torch.Tensor():
            known = lone.detach()[lone.isfinite()].double().abs()
            floor = 1e-10 + 1e-6 * float(known.max()) if len(known) else 0.0  # rounding, of what is lost
            torch.testing.assert_close(mine, lone, rtol=1e-6, atol=floor, equal_nan=True)
        case float():
            assert mine == pytest.approx(lone, rel=1e-6, abs=1e-9, nan_ok=True)
        case _:
            assert mine == lone


def assert_same_folder(mine: Path, lone: Path, weights: bool = True) -> None:
    names = sorted(str(path.relative_to(lone)) for path in lone.rglob("*") if path.is_file())
    assert sorted(str(path.relative_to(mine)) for path in mine.rglob("*") if path.is_file()) == names
    for name in names:
        if name.endswith(".csv"):
            pd.testing.assert_frame_equal(table(mine / name), table(lone / name), rtol=1e-6, atol=1e-9)
        elif name.endswith(".pt") and weights:
            one, other = (torch.load(folder / name) for folder in (mine, lone))
            assert_close(one, other)


def record(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return found


FOLDERS: dict[str, dict[str, Any]] = {
    "sgd": {"save_every": 3},
    "momentum": {"optim": SGD(0.9)},
    "adam": {"optim": Adam(), "save_every": 4, "snapshots": 3, "lr": 1e-3},
    "adagrad": {"optim": Adagrad(), "lr": 1e-2},
    "rmsprop": {"optim": RMSprop(), "lr": 1e-3},
    "batch": {"norm": BatchNorm(), "residual": IdentityShortcut(), "snapshots": 2},
    "weight": {"norm": WeightNorm(), "reg": WeightDecay(0.1)},
    "dropout": {"reg": Dropout(0.3), "snapshots": 2},
    "pretrained": {"pretrain": Autoencoder(epochs=1), "act": Sigmoid()},
    "dead": {"dead_every": 3, "input_gradients": 8},
    "cnn": {"model": CNN(), "width": 3, "norm": LayerNorm()},
    "gru": {"model": GRU(), "data": SEQUENCES, "depth": 1},
}


@pytest.mark.parametrize("changes", FOLDERS.values(), ids=FOLDERS)
def test_the_run_folder_holds_what_a_lone_run_leaves(changes: dict[str, Any], tmp_path: Path) -> None:
    runs = seeds(**changes)
    stacked(runs, tmp_path)
    for place, run in enumerate(runs):
        lone = train(run, tmp_path / "lone" / str(place))
        assert_same_folder(tmp_path / str(place), tmp_path / "lone" / str(place))
        trained = load_trained(tmp_path / str(place))
        assert (trained.run, trained.step) == (replace(run, lr=run.rate, loss=run.criterion), lone.steps)
        assert_close(dict(trained.model.named_parameters()), dict(lone.model.named_parameters()))


def test_the_record_of_a_run_is_that_of_a_lone_run(tmp_path: Path) -> None:
    runs = seeds(lr=0.3)
    stacked(runs, tmp_path)
    for place, run in enumerate(runs):
        train(run, tmp_path / "lone", overwrite=True)
        mine, lone = record(tmp_path / str(place)), record(tmp_path / "lone")
        assert mine.keys() == lone.keys()
        for key in lone.keys() - {"seconds", "started"}:
            assert_close(mine[key], lone[key])


def test_a_report_reads_the_run_folders(tmp_path: Path) -> None:
    stacked(with_a_wild_one(), tmp_path)
    found = load_runs(tmp_path)
    assert len(found) == 3
    statuses = [record(tmp_path / str(place))["status"] for place in range(3)]
    assert statuses == ["completed", "diverged", "completed"]


def test_files_hold_one_run_alone(tmp_path: Path) -> None:
    """A tensor that is a view of all runs would be saved with all of them."""
    run = replace(SMALL, optim=Adam(), snapshots=1)
    stacked([replace(run, seed=seed) for seed in range(12)], tmp_path)
    train(run, tmp_path / "lone")
    for name in ("checkpoint.pt", f"snapshots/{run.max_steps}.pt"):
        mine, lone = ((tmp_path / folder / name).stat().st_size for folder in ("0", "lone"))
        assert mine < 1.5 * lone


def test_a_checkpoint_on_the_way_can_be_resumed_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = seeds(optim=Adam(), lr=1e-3, norm=BatchNorm(), reg=Dropout(0.2), save_every=5)
    step = Stack.step

    def until_the_seventh(stack: Stack, number: int, batch: Batch) -> None:
        if number == 7:
            raise KilledError
        step(stack, number, batch)

    monkeypatch.setattr(Stack, "step", until_the_seventh)
    with pytest.raises(KilledError):
        stacked(runs, tmp_path)
    monkeypatch.undo()
    for place, run in enumerate(runs):
        resume(tmp_path / str(place))
        train(run, tmp_path / "lone" / str(place))
        assert_same_folder(tmp_path / str(place), tmp_path / "lone" / str(place))


class KilledError(Exception):
    """What ends a sweep from outside."""


DIVERGING: dict[str, dict[str, Any]] = {
    "sgd": {},
    "logged": {"log_every": 1},
    "seldom": {"log_every": 100, "eval_every": 100},
    "vmap": {"reg": L2(1e-3)},
    "momentum": {"optim": SGD(0.9)},
    "adam": {"optim": Adam()},
    "norm": {"clip": ClipByNorm(0.5)},
    "value": {"clip": ClipByValue(0.1)},
    "agc": {"clip": AGC()},
    "clip-weight": {"clip": ClipByNorm(0.5), "norm": WeightNorm()},
    "batch": {"norm": BatchNorm()},
    "dropout": {"reg": Dropout(0.3)},
    "cnn": {"model": CNN(), "width": 3, "max_steps": 4},
    "gru": {"model": GRU(), "data": SEQUENCES, "depth": 1},
    "float32": {"dtype": "float32"},
}


@pytest.mark.parametrize("changes", DIVERGING.values(), ids=DIVERGING)
def test_a_run_that_diverges_leaves_as_it_does_alone_and_touches_no_other(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    wild = with_a_wild_one(**({"lr": 1e-3} | changes))
    tame = [wild[0], replace(wild[1], lr=1e-3), wild[2]]
    mine, undisturbed = stacked(wild, tmp_path), stacked(tame)
    lone = train(wild[1], tmp_path / "lone")
    assert mine[1].status == lone.status == "diverged"
    assert (mine[1].steps, mine[1].diverged_at) == (lone.steps, lone.diverged_at)
    noisy = (
        changes.get("norm") == BatchNorm()
    )  # a bias before batch norm changes by rounding errors, times the learning rate
    assert_same_folder(tmp_path / "1", tmp_path / "lone", weights=not noisy)
    for place in (0, 2):
        one, other = mine[place], undisturbed[place]
        assert (one.status, one.steps) == ("completed", tame[place].max_steps)
        assert_identical(one.model, other.model)
        for name in ("gradients", "metrics"):
            left, right = (
                getattr(result, name).drop(columns="seconds", errors="ignore") for result in (one, other)
            )
            pd.testing.assert_frame_equal(left, right, rtol=1e-8, atol=0.0)  # files keep nine digits


def assert_identical(one: nn.Module, other: nn.Module) -> None:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_all_runs_may_diverge(tmp_path: Path) -> None:
    found = stacked([replace(BOLD, seed=seed, lr=WILD) for seed in range(3)], tmp_path)
    assert {result.status for result in found} == {"diverged"}


def test_runs_may_diverge_one_after_the_other() -> None:
    runs = [replace(BOLD, seed=seed, lr=lr, max_steps=12) for seed, lr in enumerate((1e2, WILD, 1e50, 0.1))]
    for run, mine in zip(runs, stacked(runs), strict=True):
        lone = train(run)
        assert (mine.status, mine.steps, mine.diverged_at) == (lone.status, lone.steps, lone.diverged_at)


def test_a_diverged_run_keeps_its_network() -> None:
    mine, _ = stacked([replace(BOLD, lr=WILD), BOLD])
    assert_close(dict(mine.model.named_parameters()), dict(train(mine.run).model.named_parameters()))


@pytest.mark.parametrize("steps", [1, 2])
def test_a_run_that_diverges_at_its_last_step_counts_that_batch_as_it_does_alone(
    steps: int, tmp_path: Path
) -> None:
    runs = [replace(BOLD, norm=BatchNorm(), max_steps=steps, lr=lr) for lr in (WILD, 0.1)]
    stacked(runs, tmp_path)
    lone = train(runs[0], tmp_path / "lone")
    assert lone.status == "diverged"
    mine, alone = (torch.load(tmp_path / name / "checkpoint.pt")["model"] for name in ("0", "lone"))
    name = "norm_1.num_batches_tracked"
    assert mine[name] == alone[name]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_error_in_a_stack_leaves_the_runs_that_have_ended_as_they_are(
    error: type[BaseException], tmp_path: Path
) -> None:
    runs = with_a_wild_one()

    def ended(place: int, result: Result) -> None:
        if place == 2:
            raise error("stop")

    with pytest.raises(error):
        train_stack(runs, ended, jobs(runs, tmp_path))
    found = [record(tmp_path / str(place))["status"] for place in range(3)]
    assert found == ["completed", "diverged", "completed"]


@pytest.mark.parametrize("error, status", [(KeyboardInterrupt, "interrupted"), (ValueError, "failed")])
def test_an_error_in_a_stack_marks_the_runs_that_have_not_ended(
    error: type[BaseException], status: str, tmp_path: Path
) -> None:
    runs = with_a_wild_one()

    def ended(place: int, result: Result) -> None:
        raise error("stop")

    with pytest.raises(error):
        train_stack(runs, ended, jobs(runs, tmp_path))
    found = [record(tmp_path / str(place))["status"] for place in range(3)]
    assert found == [status, "diverged", status]


def measured(result: Result) -> dict[str, float | None]:
    return {"val_loss": result.final["val_loss"]}


def outcomes(group: JobGroup) -> dict[int, Outcome]:
    told: dict[int, Outcome] = {}

    def tell(outcome: Outcome) -> None:
        assert outcome.number not in told
        told[outcome.number] = outcome

    train_group(group, tell, measured)
    return told


def test_a_group_tells_how_every_run_ended(tmp_path: Path) -> None:
    runs = with_a_wild_one()
    told = outcomes(JobGroup(tuple(jobs(runs, tmp_path))))
    assert [told[number].status for number in range(3)] == ["completed", "diverged", "completed"]
    for number, run in enumerate(runs):
        lone = train(run)
        at = None if lone.diverged_at is None else lone.diverged_at["step"]
        assert (told[number].steps, told[number].diverged_at) == (lone.steps, at)
        assert_close(told[number].metrics, measured(lone))
        assert told[number].error is None


def test_files_of_a_job_are_left_in_its_folder(tmp_path: Path) -> None:
    (job,) = jobs(seeds(1), tmp_path)
    file = TextFile(".hydra/config.yaml", ("depth: ", 1, "\nname: ", 0, "\n"))
    outcomes(JobGroup((replace(job, files=(file,), words=("größe", "3")),)))
    left = (job.folder / ".hydra" / "config.yaml").read_text(encoding="utf-8")
    assert left == "depth: 3\nname: größe\n"


def test_a_stack_that_breaks_is_done_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "Stack", _broken(work.Stack))
    runs = seeds(3)
    told = outcomes(JobGroup(tuple(jobs(runs, tmp_path))))
    assert [told[number].status for number in range(3)] == ["completed"] * 3
    for number, run in enumerate(runs):
        train(run, tmp_path / "lone", overwrite=True)
        mine, lone = (tmp_path / name / "gradients.csv" for name in (str(number), "lone"))
        assert mine.read_bytes() == lone.read_bytes()


def _broken(stack: type) -> Callable[..., Any]:
    def make(*given: Any) -> Any:
        made = stack(*given)
        made.batches = None
        return made

    return make
