"""`vanishgrad theory`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vanishgrad import Run, predict
from vanishgrad.choices.data import Adding
from vanishgrad.choices.initialization import Gaussian
from vanishgrad.cli.theory import sentences

Vanishgrad = Callable[..., Any]

CHAOTIC = ("act=tanh", "init=gaussian", "init.sigma_w=1.5", "depth=50")
PUBLIC = {"q_star", "chi_1", "xi_c", "xi_grad", "phase", "log10_gradient_ratio", "profile", "note"}


def document(done: Any) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert (done.status, done.err) == (0, "")
    loaded: dict[str, Any] = json.loads(done.out, parse_constant=refuse)
    return loaded


def test_it_says_what_becomes_of_the_gradient_and_draws_it(vanishgrad: Vanishgrad, tmp_path: Path) -> None:
    done = vanishgrad("theory", *CHAOTIC)
    assert (done.status, done.err) == (0, "")
    assert "Chaotic: gradients explode" in done.out
    assert "grow 1.06 x per layer, to 17 over 49 layers" in done.out
    assert "depth=50 is within that" in done.out
    picture = Path(done.out.splitlines()[-1])
    assert picture.parent.parent == Path("outputs/theory")
    assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / picture).with_suffix(".svg").exists()


@pytest.mark.parametrize(
    "sigma, said",
    [
        ("0.5", "Back in time they shrink 2 x per step."),
        ("1", "Back in time they keep their size."),
        ("0", "No gradient goes back in time."),
    ],
)
def test_it_says_what_becomes_of_the_gradient_of_a_recurrent_network(sigma: str, said: str) -> None:
    """A linear one, whose gradient loses sigma_w per time step."""
    run = Run(depth=1, model="rnn", act="identity", init=Gaussian(float(sigma), 0.0), data=Adding())
    assert said in list(sentences(run, predict(run)))


def test_the_json_is_one_strict_document_and_nothing_else(vanishgrad: Vanishgrad, tmp_path: Path) -> None:
    found = document(vanishgrad("theory", *CHAOTIC, "format=json"))
    assert found.keys() >= PUBLIC
    assert found["phase"] == "chaotic"
    assert len(found["profile"]) == 50
    assert found["profile"][-1] == 0
    assert found["profile"][0] == found["log10_gradient_ratio"] > 1
    assert not (tmp_path / "outputs").exists()


def test_infinities_are_text(vanishgrad: Vanishgrad) -> None:
    found = document(vanishgrad("theory", "init=he", "format=json"))
    assert (found["xi_grad"], found["trainable_depth"], found["phase"]) == ("inf", "inf", "critical")


def test_what_is_not_covered_is_null_with_a_note(vanishgrad: Vanishgrad) -> None:
    found = document(vanishgrad("theory", "model=lstm", "data=adding", "format=json"))
    assert {found[name] for name in PUBLIC - {"note", "profile"}} == {None}
    assert found["profile"] is None
    assert "gates" in found["note"]
    done = vanishgrad("theory", "model=lstm", "data=adding")
    assert "note: model=lstm" in done.out


def test_the_remedy_is_applied(vanishgrad: Vanishgrad) -> None:
    found = document(vanishgrad("theory", "act=sigmoid", "remedy=he", "format=json"))
    assert found["sigma_w"] == pytest.approx(2**0.5)


def test_out_names_the_folder(vanishgrad: Vanishgrad, tmp_path: Path) -> None:
    document(vanishgrad("theory", "out=here/there", "norm=batch", "format=json"))
    assert sorted(path.name for path in (tmp_path / "here/there").iterdir()) == [
        "phase_diagram.png", "phase_diagram.svg",
    ]  # fmt: skip


@pytest.mark.parametrize("arguments, reason", [
    (("act=tahn",), "tanh"), (("dpeth=3",), "depth"), (("format=yaml",), "json"),
    (("act=relu,tanh",), "sweep"), (("-m", "act=relu,tanh"), "one setting"),
    (("experiment=depth",), "is a sweep"),
    (("act=softplus", "init=critical"), "no critical point"), (("norm=batch", "batch_size=1"), "no variance"),
    (("out=",), "no value"),
])  # fmt: skip
def test_bad_input_is_one_clear_error(
    vanishgrad: Vanishgrad, arguments: tuple[str, ...], reason: str, tmp_path: Path
) -> None:
    done = vanishgrad("theory", *arguments)
    assert (done.status, done.out) == (2, "")
    assert reason in done.error
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_an_error(vanishgrad: Vanishgrad, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = vanishgrad("theory", "out=file/folder", "format=json")
    assert done.status == 2
    assert "out=file/folder" in done.error


def test_reports_pass_the_figures_over(vanishgrad: Vanishgrad) -> None:
    vanishgrad("theory", "norm=batch")
    assert "no run" in vanishgrad("report").error


@pytest.mark.parametrize("setting", [
    ("norm=batch",), ("residual=rezero",), ("residual=fixup",), ("depth=0",), ("depth=1",), ("model=cnn",),
    ("model=rnn", "data.sequence=rows"), ("init=zeros",), ("norm=rms", "act=gelu"),
    ("init=normal", "init.std=1", "depth=700"),
])  # fmt: skip
def test_every_kind_of_network_has_its_words(
    vanishgrad: Vanishgrad, setting: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vanishgrad.report.gallery.save_figure", lambda figure, path: None)
    done = vanishgrad("theory", *setting)
    assert (done.status, done.err) == (0, "")
    assert done.out.endswith("phase_diagram.png\n")


@pytest.mark.parametrize("setting", [("residual=rezero",), ("norm=rms", "act=gelu")])
def test_figures_with_and_without_a_plane_are_drawn(vanishgrad: Vanishgrad, setting: tuple[str, ...]) -> None:
    assert Path(vanishgrad("theory", *setting).out.splitlines()[-1]).stat().st_size > 10_000
