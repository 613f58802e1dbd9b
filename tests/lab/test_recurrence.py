"""Every claim of the chapter on recurrence: a table for which it holds, and one for which it must fail."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from vanishgrad.lab import Claim, Evidence
from vanishgrad.lab.chapters import recurrence

SEEDS = (0, 1)
STEPS = np.arange(1, 51)


def gradients(experiment: str, factor: float, **columns: object) -> Evidence:
    """Gradients that are multiplied by `factor` at every step back, at the start and at the end."""
    norm = factor ** (STEPS[-1] - STEPS).astype(float)
    tables = [
        pd.DataFrame({"t": STEPS, "grad_norm": norm, "cell_grad_norm": norm}).assign(
            seed=seed, moment=moment, **columns
        )
        for seed in SEEDS
        for moment in ("start", "end")
    ]
    return {experiment: {"time_gradients": pd.concat(tables)}}


def losses(experiment: str, loss: float, status: str = "completed", **columns: object) -> Evidence:
    table = pd.DataFrame({"seed": SEEDS, "final_val_loss": loss, "baseline_val_loss": 1.0, "status": status})
    return {experiment: {"summary": table.assign(**columns)}}


def text(plain: float, gated: float) -> Evidence:
    tables = [
        losses("text", loss, model=model)["text"]["summary"]
        for model, loss in (("rnn", plain), ("lstm", gated))
    ]
    return {"text": {"summary": pd.concat(tables)}}


def frames(cross_entropy: float) -> Evidence:
    rows = pd.DataFrame({"frame": [1, 1, 2, 2], "seed": [*SEEDS, *SEEDS], "cross_entropy": cross_entropy})
    return {"frames": {"frame_losses": rows.assign(mean_frame_cross_entropy=3.0, floor_cross_entropy=1.0)}}


def example(predicted: float) -> Evidence:
    """A frame that goes dark is followed by a light one."""
    dark, light = np.zeros((2, 4, 4)), np.ones((2, 4, 4))
    rows = [{"seed": seed, "given": dark, "true": light, "predicted": predicted * light} for seed in SEEDS]
    return {"frames": {"predicted_frames": pd.DataFrame(rows)}}


PLAIN_FAILS = losses("adding", 1.0, model="rnn")
SIGMOID = 1 / (1 + math.exp(-1))

CASES: dict[str, tuple[Claim, Evidence, Evidence]] = {
    "vanishes": (
        recurrence.vanishes,
        gradients("adding", 0.7, model="rnn"),
        gradients("adding", 1.0, model="rnn"),
    ),
    "carried": (
        recurrence.carried,
        gradients("adding", 0.99, model="lstm"),
        gradients("adding", 0.7, model="lstm"),
    ),
    "adds": (recurrence.adds, losses("adding", 0.01, model="gru"), losses("adding", 0.9, model="gru")),
    "ungated_fails": (
        recurrence.ungated_fails,
        PLAIN_FAILS | losses("starts", math.inf, **{recurrence.START: "identity"}),
        losses("adding", 0.1, model="rnn") | losses("starts", 0.1, **{recurrence.START: "identity"}),
    ),
    "constant_error": (
        recurrence.constant_error,
        gradients("forgetting", 0.97, **{"model.forget_bias": 1.0}),
        gradients("forgetting", 0.5, **{"model.forget_bias": 1.0}),
    ),
    "forget_gate": (
        recurrence.forget_gate,
        gradients("forgetting", SIGMOID, **{"model.forget_bias": 1.0}),
        gradients("forgetting", 0.5, **{"model.forget_bias": 1.0}),
    ),
    "explodes": (
        recurrence.explodes,
        losses("exploding", 5.0, "diverged", clip="none"),
        losses("exploding", 0.2, clip="none"),
    ),
    "reads": (recurrence.reads, text(0.2, 0.2), text(1.0, 1.0)),
    "gates_read_better": (recurrence.gates_read_better, text(0.5, 0.3), text(0.3, 0.5)),
    "predicts_frames": (recurrence.predicts_frames, frames(1.2), frames(3.5)),
    "beats_copy": (recurrence.beats_copy, example(0.9), example(-0.5)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_claim_holds_for_the_one_table_and_fails_for_the_other(name: str) -> None:
    claim, true, false = CASES[name]
    assert claim(true).verdict == "holds"
    assert claim(false).verdict == "fails"


def test_every_claim_has_its_tables() -> None:
    assert [claim for claim, _, _ in CASES.values()] == list(recurrence.RECURRENCE.claims)


def test_the_factor_of_the_cells_is_that_of_a_geometric_series() -> None:
    rows = gradients("forgetting", 0.8)["forgetting"]["time_gradients"]
    assert recurrence.cell_factor(rows[rows["moment"] == "start"]) == pytest.approx(0.8)
