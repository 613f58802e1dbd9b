"""What the command computes for the report, which cannot: activation curves and loss landscapes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from vanishgrad.choices.activation import ELU, LeakyReLU, Sigmoid
from vanishgrad.cli import main
from vanishgrad.cli.report import compute_activation_curves, landscapes
from vanishgrad.engine import train
from vanishgrad.report import load_runs
from vanishgrad.run import Run


def test_each_activation_has_one_curve_with_the_slopes_of_its_derivative(tmp_path: Path) -> None:
    for place, act in enumerate((Sigmoid(), Sigmoid(), LeakyReLU(slope=0.2), ELU())):
        train(Run(depth=1, width=4, max_steps=1, act=act, seed=place), out=tmp_path / str(place))
    curves = compute_activation_curves(load_runs(tmp_path))
    assert list(dict.fromkeys(curves["act"])) == ["sigmoid", "leaky_relu slope=0.2", "elu alpha=1"]
    sigmoid = curves[curves["act"] == "sigmoid"]
    value = 1 / (1 + np.exp(-sigmoid["x"]))
    assert sigmoid["value"].to_numpy() == pytest.approx(value.to_numpy())
    assert sigmoid["slope"].to_numpy() == pytest.approx((value * (1 - value)).to_numpy())
    assert sigmoid["slope"].max() == pytest.approx(0.25)
    elu = curves[(curves["act"] == "elu alpha=1") & (curves["x"] == -1)]
    assert float(elu["slope"].iloc[0]) == pytest.approx(math.exp(-1))
    leaky = curves[curves["act"] == "leaky_relu slope=0.2"]
    assert sorted(set(leaky["slope"].round(6))) == [0.2, 1.0]


def test_landscapes_are_computed_once_for_one_run_of_each_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for act, seed, snapshots in ((None, 0, 3), (None, 1, 3), (Sigmoid(), 0, 2)):
        run = Run(depth=1, width=4, max_steps=4, act=act, seed=seed, snapshots=snapshots)  # type: ignore[arg-type]
        train(run, out=tmp_path / f"{act}{seed}")
    table = landscapes(load_runs(tmp_path))
    assert table["plane"].tolist() == ["path", "random"]
    assert len(list(tmp_path.glob("*/landscape.npz"))) == 1
    assert "note: no landscape.npz:" in capsys.readouterr().err  # two snapshots are too few
    (written,) = tmp_path.glob("*/landscape.npz")
    before = written.stat().st_mtime_ns
    landscapes(load_runs(tmp_path))
    assert written.stat().st_mtime_ns == before


def test_activation_inputs_are_computed_only_for_who_names_their_figure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(Run(depth=2, width=4, max_steps=2), out=tmp_path / "run")
    assert main(["report", f"runs={tmp_path / 'run'}", "figures=training_curves"]) == 0
    assert not (tmp_path / "run" / "activations.npz").exists()
    assert main(["report", f"runs={tmp_path / 'run'}", "figures=activation_inputs"]) == 0
    assert (tmp_path / "run" / "activations.npz").exists()
    assert (tmp_path / "run" / "report" / "figures" / "activation_inputs.png").exists()
