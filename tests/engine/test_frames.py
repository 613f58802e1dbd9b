"""Predicted frames, frame by frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from vanishgrad.choices.data import MovingDigits, load
from vanishgrad.choices.loss import MSE
from vanishgrad.choices.model.conv_lstm import ConvLSTM
from vanishgrad.choices.optimizer import Adam
from vanishgrad.engine import train
from vanishgrad.run import Run

RUN = Run(
    model=ConvLSTM(kernel=3, patch=4), width=4, batch_size=4, max_steps=2, optim=Adam(), eval_every=1,
    data=MovingDigits(given=3, predicted=2, train_size=12, held_out=6),
)  # fmt: skip


def test_rows_are_the_held_out_cross_entropy_of_each_frame() -> None:
    result, data = train(RUN), load(RUN.data)
    table = result.extra["frames"]
    assert list(zip(table["step"], table["frame"], strict=True)) == [(s, f) for s in range(3) for f in (1, 2)]
    last = table[table["step"] == 2]
    with torch.no_grad():
        chances = result.model.eval()(data.val_x).sigmoid()
    for (_, row), frame in zip(last.iterrows(), (0, 1), strict=True):
        p, y = chances[:, frame].double(), data.val_y[:, frame].double()
        expected = -(y * p.log() + (1 - y) * (1 - p).log()).sum((1, 2, 3)).mean()
        assert row["cross_entropy"] == pytest.approx(float(expected), rel=1e-4)
    assert last["cross_entropy"].sum() == pytest.approx(result.final["val_loss"], rel=1e-5)


def test_no_answer_is_below_the_floor_and_the_right_one_is_on_it() -> None:
    table, data = train(RUN).extra["frames"], load(RUN.data)
    right = F.binary_cross_entropy(data.val_y, data.val_y, reduction="none").sum((2, 3, 4)).mean(0)
    floor = table[table["step"] == 0]["floor_cross_entropy"]
    assert floor.tolist() == pytest.approx(right.tolist(), rel=1e-4)
    assert (
        table["floor_cross_entropy"] < table[["cross_entropy", "mean_frame_cross_entropy"]].min(axis=1)
    ).all()


def test_what_is_trained_on_the_squared_error_gives_pixels_and_no_cross_entropy(tmp_path: Path) -> None:
    result = train(replace(RUN, loss=MSE(), lr=1e-2), tmp_path / "run")
    assert "frames" not in result.extra
    with np.load(tmp_path / "run" / "frames.npz") as kept, torch.no_grad():
        pixels = result.model.eval()(load(RUN.data).val_x[:4]).clamp(0, 1)
        assert np.allclose(kept["predicted"], pixels.numpy())


def test_a_run_folder_keeps_frames_to_look_at(tmp_path: Path) -> None:
    result, data = train(RUN, tmp_path / "run"), load(RUN.data)
    with np.load(tmp_path / "run" / "frames.npz") as kept:
        assert {name: kept[name].shape for name in kept} == {
            "given": (4, 3, 1, 16, 16), "true": (4, 2, 1, 16, 16), "predicted": (4, 2, 1, 16, 16),
        }  # fmt: skip
        assert np.array_equal(kept["true"], data.val_y[:4].numpy())
        with torch.no_grad():
            assert np.allclose(kept["predicted"], result.model.eval()(data.val_x[:4]).sigmoid().numpy())
