"""`vanishgrad train`, one run."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from vanishgrad.cli.progress import progress_bar
from vanishgrad.cli.terminal import notes
from vanishgrad.engine.pretrain import LayerEpoch
from vanishgrad.engine.session import Progress

Vanishgrad = Callable[..., Any]

SMALL = ("depth=2", "width=8", "max_steps=2", "data.train_size=128")


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


def only(folder: Path) -> Path:
    (found,) = folder.iterdir()
    return found


def test_a_run_ends_with_its_layers_its_meaning_and_its_folder(
    vanishgrad: Vanishgrad, tmp_path: Path
) -> None:
    done = vanishgrad("train", "depth=20", "act=sigmoid", "width=16", "max_steps=2")
    assert (done.status, done.err) == (0, "")
    folder = only(tmp_path / "outputs")
    assert {path.name for path in folder.iterdir()} == {
        "run.json", "gradients.csv", "metrics.csv", "checkpoint.pt", ".hydra", "theory.json",
        "diagnosis.json",
    }  # fmt: skip
    lines = done.out.splitlines()
    assert lines[-1] == str(folder.relative_to(tmp_path))
    assert lines[1].split() == ["||dLoss/dz||"] * 2
    shown = [line.split()[0] for line in lines[3:20]]
    assert shown == [*"12345", "...", "9", "10", "11", "12", "13", "...", "17", "18", "19", "20", "out"]
    assert "Vanishing: the gradient shrinks" in done.out
    assert "slope +0." in done.out
    assert not [line for line in lines if line != line.rstrip()]


def test_without_the_backward_signal_the_bars_are_of_the_weights(vanishgrad: Vanishgrad) -> None:
    done = vanishgrad("train", "depth=2", "width=8", "max_steps=0", "measure=gradients", "init=zeros")
    lines = done.out.splitlines()
    assert lines[0].startswith(
        "depth=2 width=8 max_steps=0 measure=gradients init=zeros  completed after 0 steps"
    )
    assert lines[1].split() == ["||dLoss/dW||"]
    assert lines[2].split() == ["layer", "step", "0"]
    assert "Not trained yet. Every gradient is exactly 0." in lines


def test_one_step_is_one_step(vanishgrad: Vanishgrad) -> None:
    assert "completed after 1 step, " in vanishgrad("train", *SMALL[:2], "max_steps=1").out


def test_run_json_tells_what_was_asked_what_was_trained_and_what_was_typed(
    vanishgrad: Vanishgrad, tmp_path: Path
) -> None:
    typed = [*SMALL, "act=sigmoid", "remedy=leaky_relu", "remedy.slope=0.3", "loss=null", "name='two words'"]
    assert vanishgrad("train", *typed).status == 0
    found = record(only(tmp_path / "outputs"))
    assert found["choices"]["act"] == {"name": "sigmoid"}
    assert found["choices"]["remedy"] == {"name": "leaky_relu", "slope": 0.3}
    assert found["effective"]["act"] == {"name": "leaky_relu", "slope": 0.3}
    assert "remedy" not in found["effective"]
    assert found["choices"]["loss"] == {"name": "cross_entropy"}
    assert found["choices"]["name"] == "two words"
    assert found["config"]["loss"] is None
    assert found["config"]["remedy"]["slope"] == 0.3
    assert found["overrides"] == typed


def test_hydra_keeps_its_own_record(vanishgrad: Vanishgrad, tmp_path: Path) -> None:
    vanishgrad("train", *SMALL)
    saved = only(tmp_path / "outputs") / ".hydra"
    assert yaml.safe_load((saved / "overrides.yaml").read_text()) == list(SMALL)
    assert yaml.safe_load((saved / "config.yaml").read_text())["depth"] == 2


def test_a_diverged_run_is_a_result(vanishgrad: Vanishgrad, tmp_path: Path) -> None:
    done = vanishgrad("train", "depth=20", "init=normal", "width=64", "max_steps=5")
    assert done.status == 0
    found = record(only(tmp_path / "outputs"))
    assert found["status"] == "diverged"
    assert f"Diverged: at step {found['diverged_at']['step']} the" in " ".join(done.out.split())


def test_a_failed_run_says_so_and_ends_with_1(
    vanishgrad: Vanishgrad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr("vanishgrad.engine.stack.Stack.step", broken)
    done = vanishgrad("train", *SMALL)
    folder = only(tmp_path / "outputs")
    assert (done.status, done.out) == (1, "")
    assert done.err == f"failed: {folder.relative_to(tmp_path)}: RuntimeError: out of luck\n"
    assert record(folder)["status"] == "failed"


def test_two_commands_in_one_second_get_two_folders(vanishgrad: Vanishgrad, tmp_path: Path) -> None:
    now = ["hydra.run.dir=outputs/${now:fixed}"]
    assert vanishgrad("train", *SMALL, *now).status == 0
    assert vanishgrad("train", *SMALL, *now).status == 0
    assert sorted(path.name for path in (tmp_path / "outputs").iterdir()) == ["fixed", "fixed_2"]
    assert all(record(path)["status"] == "completed" for path in (tmp_path / "outputs").iterdir())


@pytest.mark.parametrize("name", ["plain", "with space", "it's", "a=b,c", "${hydra.job.name}"])
def test_a_folder_that_the_user_names_is_taken(vanishgrad: Vanishgrad, tmp_path: Path, name: str) -> None:
    quoted = name.replace("'", "\\'")
    assert vanishgrad("train", *SMALL, f"hydra.run.dir='{quoted}'").status == 0
    expected = "vanishgrad" if name.startswith("$") else name
    assert [path.name for path in tmp_path.iterdir()] == [expected]
    assert record(tmp_path / expected)["status"] == "completed"


@pytest.mark.parametrize("flag", [("--cfg", "job"), ("-c", "job")])
def test_cfg_job_shows_the_configuration_and_does_nothing(
    vanishgrad: Vanishgrad, tmp_path: Path, flag: tuple[str, ...]
) -> None:
    done = vanishgrad("train", "depth=3", *flag, "act=leaky_relu", "act.slope=0.3")
    assert (done.status, done.err) == (0, "")
    shown = yaml.safe_load(done.out)
    assert (shown["depth"], shown["act"]["slope"]) == (3, 0.3)
    assert not list(tmp_path.iterdir())


def test_a_mistyped_name_beside_cfg_is_refused_like_any_other(vanishgrad: Vanishgrad) -> None:
    assert "did you mean sigmoid?" in vanishgrad("train", "--cfg", "job", "act=sigmoyd").error


def test_a_configuration_folder_of_ones_own_adds_choices(vanishgrad: Vanishgrad, tmp_path: Path) -> None:
    own = tmp_path / "own" / "experiment"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text("# @package _global_\nwidth: 9\n")
    done = vanishgrad("train", *SMALL[::2], SMALL[3], "experiment=mine", "--config-dir", str(own.parent))
    assert done.status == 0, done.err
    assert record(only(tmp_path / "outputs"))["config"]["width"] == 9


def test_a_warning_is_one_plain_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    with notes():
        for _ in range(2):
            warnings.warn("slow\ntraining", UserWarning, stacklevel=1)
    assert capsys.readouterr().err == "note: slow training\n"


def test_no_progress_bar_is_drawn_where_nobody_watches() -> None:
    screen = io.StringIO()
    with progress_bar(Console(file=screen)) as observe:
        assert observe is None
    assert screen.getvalue() == ""


def test_the_progress_bar_shows_loss_accuracy_and_gradient_norm() -> None:
    screen = io.StringIO()
    with progress_bar(Console(file=screen, force_terminal=True, width=100)) as observe:
        assert observe is not None
        observe(Progress(step=3, total=3, loss=2.3456, accuracy=0.125, grad_norm=0.0042))
    assert "loss 2.3456  accuracy 0.125  gradient 4.2e-03" in screen.getvalue()


def test_each_pretrained_layer_has_a_bar_of_its_own() -> None:
    screen = io.StringIO()
    with progress_bar(Console(file=screen, force_terminal=True, width=100)) as observe:
        assert observe is not None
        for layer in (1, 2):
            observe(LayerEpoch(layer=layer, epoch=4, epochs=4, layers=2, loss=12.5 / layer))
    assert "pretraining layer 1 of 2  loss 12.5" in screen.getvalue()
    assert "pretraining layer 2 of 2  loss 6.25" in screen.getvalue()
    assert "4/4" in screen.getvalue()


REFUSED = {
    "detph=3": "did you mean depth?",
    "act=sigmoyd": "did you mean sigmoid?",
    "sigmoid": "did you mean act=sigmoid?",
    "act.slope=0.1": "act=relu has no parameter slope; it has none; act=leaky_relu or prelu have it",
    "+foo=1": "there is no setting foo; valid are depth, width",
    "+depth=3": "write it without +: depth=3",
    "~act": "~act: a group cannot be deleted; write act=CHOICE; choose one of elu, erf",
    "~depth": "~depth: a setting cannot be deleted; write depth=VALUE",
    "~optim.momentum": "a setting cannot be deleted; write optim.momentum=VALUE",
    "norm=null": "(did you mean none?)",
    "depth=abc": "depth=abc: must be an integer",
    "depth=true": "depth=true: must be an integer",
    "depth=2.0": "depth=2.0: must be an integer",
    "lr=fast": "lr=fast: must be a number or null",
    "act=relu)": "act=relu): nothing is open that the ) at character 9 could close",
    "seed=0,1": "add -m",
    "width=${nothing}": "width: there is no setting nothing to take its value from",
    "--depth=3": "settings are written without dashes: depth=3",
    "batch_size=1437 data.train_size=10": "batch_size=1437",
    "norm=batch batch_size=1": "norm=batch",
    "init=critical act=softplus": "no critical point",
    "remedy=clipping remedy.max_norm=0": "remedy=clipping: clip.max_norm=0.0: must be",
    "remedy=batchnorm batch_size=1": "remedy=batchnorm: norm=batch",
    "hydra/launcher=nothing": "hydra/launcher=nothing: choose one of",
    "hydra.nothing=1": "hydra.nothing",
    "data=mnist data.root=nowhere": "nowhere",
}


@pytest.mark.parametrize("typed", REFUSED)
def test_a_wrong_input_gets_one_message_and_leaves_nothing(
    vanishgrad: Vanishgrad, tmp_path: Path, typed: str
) -> None:
    done = vanishgrad("train", *typed.split())
    assert (done.status, done.out) == (2, "")
    assert REFUSED[typed] in done.error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "error", [RuntimeError("no room\nat all"), MemoryError(), OverflowError("too large")]
)
def test_what_torch_has_no_room_for_is_refused(
    vanishgrad: Vanishgrad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def check(_: Any) -> None:
        raise error

    monkeypatch.setattr("vanishgrad.cli.jobs.check", check)
    for sweep in ((), ("-m",)):
        done = vanishgrad("train", *SMALL, *sweep)
        assert done.status == 2
        assert "this machine cannot set up the run: " in done.error
        assert not list(tmp_path.iterdir())


def test_a_refused_run_leaves_a_folder_of_the_user_as_it_was(vanishgrad: Vanishgrad, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("dear diary")
    assert vanishgrad("train", "act=nothing", "hydra.run.dir=mine").status == 2
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("typed", ["name=a\udcff", "hydra.run.dir=a\udcff", "data.root=\udcff", "a\udcff=1"])
def test_bytes_that_are_no_text_are_refused_before_anything_is_written(
    vanishgrad: Vanishgrad, tmp_path: Path, typed: str
) -> None:
    done = vanishgrad("train", typed)
    said = typed.replace("\udcff", "\\udcff")
    assert (done.status, done.error) == (
        2,
        f"{said}: has bytes or half a character that are not text in UTF-8",
    )
    assert list(tmp_path.iterdir()) == []
