"""`vanishgrad sample`, and what the terminal says of recurrent runs."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import torch

from vanishgrad.cli import main
from vanishgrad.records import read_run

Vanishgrad = Callable[..., Any]
STORY = "the cat sat on the mat and the dog sat on the log.\n"


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A character model of a story, with its text gone."""
    folder, said, here = tmp_path_factory.mktemp("story"), io.StringIO(), Path.cwd()
    os.chdir(folder)
    try:
        Path("story.txt").write_text(STORY * 40)
        with redirect_stdout(said):
            status = main([
                "train", "model=lstm", "data=text", "data.path=story.txt", "data.length=16", "width=24",
                "batch_size=8", "optim=adam", "lr=0.03", "max_steps=150", "hydra.run.dir=run",
            ])  # fmt: skip
        Path("story.txt").unlink()
    finally:
        os.chdir(here)
    assert status == 0
    assert "bits per character" in said.getvalue()
    assert "baseline loss" in said.getvalue()
    assert "(unigram frequencies)" in said.getvalue()
    return folder / "run"


@pytest.fixture
def trained(story: Path, tmp_path: Path) -> str:
    """The same in the working directory."""
    shutil.copytree(story, tmp_path / "run")
    return "run"


def test_a_trained_model_writes_its_text_from_the_run_folder_alone(
    vanishgrad: Vanishgrad, trained: str
) -> None:
    done = vanishgrad("sample", f"run={trained}", "prompt=the cat", "temperature=0", "length=40")
    assert (done.status, done.err) == (0, "")
    assert done.out == "the cat" + STORY[7:47].rstrip("\n") + "\n" or "sat on the" in done.out
    assert len(done.out) == len("the cat") + 40 + 1


def test_the_same_dice_give_the_same_text(vanishgrad: Vanishgrad, trained: str) -> None:
    first, again, other = (
        vanishgrad("sample", f"run={trained}", "length=60", "temperature=2", f"seed={seed}").out
        for seed in (0, 0, 1)
    )
    assert first == again != other
    assert set(first) <= set(STORY)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "needs run=DIR"),
        (["run=nowhere"], "run=nowhere: no run.json"),
        (["run=run", "temperature=-1"], "temperature=-1: must be a number of at least 0"),
        (["run=run", "temperature=hot"], "temperature=hot: must be a number"),
        (["run=run", "temperature=inf"], "temperature=inf: must be a number"),
        (["run=run", "length=0"], "length=0: must be an integer of at least 1"),
        (["run=run", "length=many"], "length=many: must be an integer of at least 1"),
        (["run=run", "seed=x"], "seed=x: must be an integer"),
        (["run=run", "prompt=THE"], "THE"),
        (["run=run", "length=5", "length=6"], "length=6: length is given twice"),
        (["run=run", "promt=a"], "there is no option promt; valid are run, prompt"),
    ],
)
def test_a_wrong_input_gets_one_message(
    vanishgrad: Vanishgrad, trained: str, arguments: list[str], message: str
) -> None:
    done = vanishgrad("sample", *arguments)
    assert (done.status, done.out) == (2, "")
    assert message in done.error


def test_a_model_that_diverged_writes_nothing_and_is_named(
    vanishgrad: Vanishgrad, trained: str, tmp_path: Path
) -> None:
    path = tmp_path / "run" / "checkpoint.pt"
    state = torch.load(path, weights_only=True)
    for weight in state["model"].values():
        weight.fill_(torch.nan)
    torch.save(state, path)
    done = vanishgrad("sample", "run=run", "length=5")
    assert done.status == 2
    assert done.error == "run=run: the model's outputs are not finite: it diverged, and writes nothing"


def test_a_run_that_learned_something_else_writes_no_text(vanishgrad: Vanishgrad) -> None:
    assert vanishgrad("train", "max_steps=1", "width=8", "hydra.run.dir=other").status == 0
    done = vanishgrad("sample", "run=other")
    assert "run=other: learned data=digits; only a run with data=text writes text" in done.error


def test_the_end_of_a_recurrent_run_shows_gradients_through_time_and_the_baseline(
    vanishgrad: Vanishgrad, tmp_path: Path
) -> None:
    done = vanishgrad(
        "train", "model=rnn", "data=adding", "data.length=40", "data.train_size=256", "data.held_out=64",
        "max_steps=4", "hydra.run.dir=run",
    )  # fmt: skip
    assert done.status == 0
    assert "||dLoss/dh_t||" in done.out
    assert "Vanishing through time: the gradient of the state shrinks" in " ".join(done.out.split())
    assert "held-out loss" in done.out
    assert "baseline loss 0.1667 (always answering 1" in done.out
    assert read_run(tmp_path / "run")["baseline"]["value"] == pytest.approx(1 / 6)
