"""The chapter on clipping: its probes against independent sums, and tables for and against every claim."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pandas as pd
import pytest
from torch.nn import Module
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from vanishgrad import Run, build
from vanishgrad.choices.activation import Tanh
from vanishgrad.choices.clipping import AGC, ClipByNorm, ClipByValue
from vanishgrad.choices.initialization import Normal
from vanishgrad.lab import Claim, Evidence
from vanishgrad.lab.chapters import clipping

SEEDS = (0, 1)


def table(rows: Sequence[dict[str, object]]) -> pd.DataFrame:
    """The rows of each seed."""
    runs = [
        row | {"seed": seed, "run": f"{number} {seed}"} for number, row in enumerate(rows) for seed in SEEDS
    ]
    return pd.DataFrame(runs).assign(status=lambda all_: all_.get("status", "completed"))


def summaries(name: str, *rows: dict[str, object]) -> Evidence:
    return {name: {"summary": table(rows)}}


def ended(status: str) -> Evidence:
    return summaries("clipped", {"clip": "norm", "status": status})


def once(**columns: object) -> Evidence:
    rows = [{"act": "tanh", "clip": "norm", "layer": layer, "norm": 1.0} | columns for layer in (1, 2)]
    return {"clipped_once": {"probe": table(rows)}}


def layers(first: float, second: float, clip: str = "norm") -> Evidence:
    """Two hidden layers and the output layer."""
    rows = [
        {"act": "tanh", "clip": clip, "layer": layer, "norm": norm}
        for layer, norm in enumerate((first, second, 1e9), 1)
    ]
    return {"clipped_once": {"probe": table(rows)}}


def learned(name: str, accuracy: float) -> Evidence:
    return summaries(name, {"clip": "norm", "init.std": 0.2, "final_val_accuracy": accuracy})


def norms(*sizes: float) -> pd.DataFrame:
    """A run whose two layers have a weight norm at each step."""
    tables = [
        pd.DataFrame({"layer": layer, "step": range(len(sizes)), "weight_norm": sizes}).assign(
            seed=seed, run=f"run {seed}", status="completed", setting="a", clip="norm"
        )
        for seed in SEEDS
        for layer in (1, 2)
    ]
    return pd.concat(tables)


def grown(*sizes: float) -> Evidence:
    return {"clipped": {"gradients": norms(*sizes).assign(**{"init.std": 0.2})}}


def ends(with_penalty: float) -> Evidence:
    names = [*clipping.UNPENALISED, *clipping.PENALISED]
    return {
        name: {"gradients": norms(1.0, 5.0 if name in clipping.UNPENALISED else with_penalty)}
        for name in names
    }


def penalised(accuracy: float) -> Evidence:
    tables: dict[str, dict[str, pd.DataFrame]] = {}
    for reg in clipping.STRENGTHS:
        tables |= {f"exploding_{reg}": {"summary": table([{"final_val_accuracy": accuracy}])}}
    return tables


def sizes(under: float) -> Evidence:
    row = {"reg": "l1", "size": clipping.TINY, "under": under, "zero": under / 2}
    return {"sizes": {"probe": table([row, row | {"size": 1.0, "under": 1.0}])}}


def errors(error: float) -> Evidence:
    return {"penalties": {"probe": table([{"scope": "model", "error": error}])}}


CASES: dict[str, tuple[Claim, Evidence, Evidence]] = {
    "finite": (clipping.finite, ended("completed"), ended("diverged")),
    "bounded": (clipping.bounded, once(total=1.0, bound=1.0), once(total=2.0, bound=1.0)),
    "direction": (clipping.direction, once(cosine=1.0), once(cosine=0.3)),
    "first_largest": (
        clipping.first_largest,
        layers(1e4, 1.0, clip="none"),
        layers(1.0, 1.0, clip="none"),
    ),
    "even": (clipping.even, layers(1.0, 2.0), layers(1.0, 1e4)),
    "clip_cures": (clipping.clip_cures, learned("clipped", 0.9), learned("clipped", 0.1)),
    "recurrent": (clipping.recurrent, learned("recurrent", 0.9), learned("recurrent", 0.5)),
    "grow": (clipping.grow, grown(1.0, 200.0, math.inf), grown(1.0, 1.01)),
    "limited": (clipping.limited, ends(2.0), ends(5.0)),
    "penalty_cures": (clipping.penalty_cures, penalised(0.95), penalised(0.1)),
    "sparse": (clipping.sparse, sizes(0.8), sizes(0.01)),
    "zeros": (clipping.zeros, sizes(0.8), sizes(0.01)),
    "one_call": (clipping.one_call, errors(1e-15), errors(0.1)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_claim_holds_for_the_one_table_and_fails_for_the_other(name: str) -> None:
    claim, true, false = CASES[name]
    assert claim(true).verdict == "holds"
    assert claim(false).verdict == "fails"


def test_every_claim_has_its_tables() -> None:
    assert [claim for claim, _, _ in CASES.values()] == list(clipping.CLIPPING.claims)


def test_a_run_that_explodes_at_once_has_grown_by_nothing() -> None:
    assert clipping.weight_growth(norms(1.0, math.nan).query("seed == 0")) == 1.0


@pytest.mark.parametrize(
    ("name", "clip_"),
    [("norm", lambda model: clip_grad_norm_(model.parameters(), 1.0)),
     ("value", lambda model: clip_grad_value_(model.parameters(), 0.1))],
)  # fmt: skip
def test_the_probe_clips_as_pytorch_does(name: str, clip_: Callable[[Module], object]) -> None:
    run = Run(depth=20, act=Tanh(), init=Normal(0.5), seed=1)
    model = build(run)
    for parameter, gradient in zip(model.parameters(), clipping.gradients_of(run, model), strict=True):
        parameter.grad = gradient
    clip_(model)
    wanted = [float(p.grad.norm()) for p in model.parameters() if p.grad is not None and p.ndim > 1]
    rows = clipping.measure_clipped_once(1).query("act == 'tanh'")
    assert rows.loc[rows["clip"] == name, "norm"].tolist() == pytest.approx(wanted, rel=1e-4)


def test_the_probe_covers_every_clip_and_layer() -> None:
    rows = clipping.measure_clipped_once(0)
    assert rows.groupby(["act", "clip"]).size().unique().tolist() == [21]
    assert set(rows["clip"]) == {clip.name for clip in clipping.CLIPS}


def test_bounds() -> None:
    assert ClipByNorm(3.0).largest_norm(100) == 3.0
    assert ClipByValue(0.5).largest_norm(100) == 5.0
    assert AGC().largest_norm(100) == math.inf


def test_a_penalty_with_a_factor_of_a_half_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(Run(depth=1, width=4, dtype="float64"))
    weights = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    assert clipping.penalty_error(model, "", weights) < 1e-12
    monkeypatch.setattr(clipping, "penalty", lambda *_: sum((one**2).sum() / 2 for one in weights))
    assert clipping.penalty_error(model, "", weights) == pytest.approx(1.0)


def test_the_probe_of_penalties_finds_none_wrong() -> None:
    assert (clipping.measure_penalties(0)["error"] < 1e-12).all()
