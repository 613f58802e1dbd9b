"""Figures that look at all runs together, and those of what only some runs did."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vanishgrad.diagnosis import Advice, Diagnosis, Finding
from vanishgrad.report import load_runs
from vanishgrad.report.figures import (
    activation_curves,
    clipping,
    final_accuracy,
    flow_and_learning,
    gradient_profile,
    loss_landscape,
    signal_by_layer,
    trainability_map,
    weight_norm,
)
from vanishgrad.report.figures.learning import relative
from vanishgrad.report.tables import (
    clipping_rows,
    flow_table,
    penalty_rows,
    summary_table,
    trainability_table,
)

WriteRun = Callable[..., Path]


def tables(folder: Path, derive: Callable[..., pd.DataFrame]) -> pd.DataFrame:
    runs = load_runs(folder)
    return derive(runs, summary_table(runs))


def test_the_ratio_is_what_of_the_gradient_arrives_at_the_first_hidden_layer(
    write_run: WriteRun, tmp_path: Path
) -> None:
    write_run("0", setting={"depth": 5}, slope=0.5, accuracy=0.3)  # 4 steps between 5 hidden layers
    write_run("1", setting={"depth": 9}, slope=-0.25, accuracy=0.8)
    table = tables(tmp_path, flow_table)
    assert table["ratio"].tolist() == pytest.approx([1e-2, 1e2])
    assert table["reached"].tolist() == pytest.approx([0.3, 0.8])
    assert set(table["where"]) == {"layer"}
    points = [line for line in flow_and_learning(table).axes[0].lines if len(line.get_xdata()) == 1]
    assert [float(line.get_xdata()[0]) for line in points if line.get_marker() in "os"] == pytest.approx(
        [1e-2, 1e2]
    )


def test_of_recurrent_runs_it_is_what_arrives_at_the_first_time_step(
    write_run: WriteRun, tmp_path: Path, add: SimpleNamespace
) -> None:
    folder = write_run("0", setting={"depth": 1})
    add.time_gradients(folder, 0.1, length=21)
    table = tables(tmp_path, flow_table)
    assert table["ratio"].tolist() == pytest.approx([1e-2])
    assert table["where"].tolist() == ["time step"]


def test_runs_without_a_ratio_or_a_result_are_counted_below_the_picture(
    write_run: WriteRun, tmp_path: Path
) -> None:
    write_run("0", setting={"depth": 5})
    write_run("1", setting={"depth": 1})  # one hidden layer has no slope
    figure = flow_and_learning(tables(tmp_path, flow_table))
    assert "1 of 2 runs have no ratio or no final value" in figure.get_supxlabel()
    assert "depth=1 (not in the picture)" in [
        text.get_text() for text in figure.axes[0].get_legend().get_texts()
    ]


def test_of_very_many_settings_the_best_are_named(write_run: WriteRun, tmp_path: Path) -> None:
    for place in range(30):
        write_run(str(place), setting={"lr": (1 + place) / 100}, accuracy=0.1 + place / 50)
    figure = flow_and_learning(tables(tmp_path, flow_table))
    assert figure.axes[0].get_legend() is None
    assert [text.get_text() for text in figure.axes[0].texts] == ["lr=0.3", "lr=0.29", "lr=0.28", "lr=0.27"]


def map_runs(write: WriteRun, add: SimpleNamespace, **more: Any) -> None:
    for depth in (5, 10, 20):
        for sigma_w in (1.0, 1.5, 2.0):
            setting = {
                "depth": depth,
                "init": {"name": "gaussian", "sigma_w": sigma_w, "sigma_b": 0.0},
                **more,
            }
            name = f"{depth}-{sigma_w}-{'-'.join(map(str, more.values()))}"
            folder = write(f"map/{name}", setting=setting, accuracy=0.2 + (depth <= 10) * 0.6)
            (folder / "theory.json").write_text(json.dumps({"trainable_depth": 10 * sigma_w}))


def test_the_map_has_a_cell_per_depth_and_value_and_the_line_of_theory(
    write_run: WriteRun, add: SimpleNamespace, tmp_path: Path
) -> None:
    map_runs(write_run, add)
    table = tables(tmp_path, trainability_table)
    assert (len(table), set(table["key"]), set(table["setting"])) == (9, {"init.sigma_w"}, {""})
    axes = trainability_map(table).axes[0]
    cells = np.asarray(axes.collections[0].get_array()).reshape(3, 3)
    assert cells == pytest.approx(np.array([[0.8] * 3, [0.8] * 3, [0.2] * 3]))
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["5", "10", "20"]
    line = np.asarray(axes.lines[-1].get_ydata())
    assert line == pytest.approx(
        [1.5, 1.5 + np.log2(1.5), 2.5]
    )  # 10, 15 and 20 layers, between centres of cells


def test_the_colours_of_a_map_are_all_of_accuracy_or_the_range_of_the_losses(
    write_run: WriteRun, add: SimpleNamespace, tmp_path: Path
) -> None:
    map_runs(write_run, add)
    table = tables(tmp_path, trainability_table)
    assert trainability_map(table).axes[0].collections[0].get_clim() == (0.0, 1.0)
    losses = table.assign(what="loss", reached=np.linspace(0.5, 4.5, len(table)))
    losses.loc[losses.index[-1], "reached"] = np.inf
    assert trainability_map(losses).axes[0].collections[0].get_clim() == (0.5, 4.0)
    low, high = trainability_map(losses.assign(reached=2.0)).axes[0].collections[0].get_clim()
    assert low == 2.0 < high


def test_the_map_of_an_infinite_depth_scale_has_no_line_there(
    write_run: WriteRun, add: SimpleNamespace, tmp_path: Path
) -> None:
    map_runs(write_run, add)
    for folder in (tmp_path / "map").glob("*-2.0-*"):
        (folder / "theory.json").write_text('{"trainable_depth": "inf"}')
    line = np.asarray(trainability_map(tables(tmp_path, trainability_table)).axes[0].lines[-1].get_ydata())
    assert np.isnan(line).tolist() == [False, False, True]


def test_what_else_varied_has_panels_of_its_own(
    write_run: WriteRun, add: SimpleNamespace, tmp_path: Path
) -> None:
    map_runs(write_run, add, act="relu")
    map_runs(write_run, add, act="tanh")
    table = tables(tmp_path, trainability_table)
    assert set(table["setting"]) == {"act=relu", "act=tanh"}
    titles = [axes.get_title() for axes in trainability_map(table).axes]
    assert titles[:2] == ["act=relu", "act=tanh"]


def test_a_run_without_the_number_is_in_no_cell_of_the_map(
    write_run: WriteRun, add: SimpleNamespace, tmp_path: Path
) -> None:
    """Such as lr=null among rates; true and false are no numbers."""
    map_runs(write_run, add)
    whole = tables(tmp_path, trainability_table)
    path = next((tmp_path / "map").glob("5-1.0-*")) / "run.json"
    for odd in ("auto", None, True):
        record = json.loads(path.read_text())
        record["choices"]["init"]["sigma_w"] = odd
        path.write_text(json.dumps(record))
        assert len(tables(tmp_path, trainability_table)) == len(whole) - 1


def test_without_a_second_number_there_is_no_map(write_run: WriteRun, tmp_path: Path) -> None:
    for depth in (2, 3):
        for act in ("relu", "tanh"):
            write_run(f"{depth}{act}", setting={"depth": depth, "act": act})
    assert tables(tmp_path, trainability_table).empty


def clipped(folder: Path) -> None:
    rows = pd.read_csv(folder / "metrics.csv")
    rows["grad_norm"], rows["clipped_grad_norm"] = [4.0, 50.0, 0.5], [1.0, 1.0, 0.5]
    rows.to_csv(folder / "metrics.csv", index=False)


def test_gradients_are_shown_before_and_after_clipping_where_a_run_clips(
    write_run: WriteRun, tmp_path: Path
) -> None:
    clipped(write_run("plain/0"))
    clipped(write_run("clip/0", setting={"clip": {"name": "norm", "max_norm": 1.0}}))
    assert tables(tmp_path / "plain", clipping_rows).empty
    before, after = clipping(tables(tmp_path / "clip", clipping_rows)).axes
    assert list(before.lines[0].get_ydata()) == pytest.approx([4.0, 50.0, 0.5])
    assert list(after.lines[0].get_ydata()) == pytest.approx([1.0, 1.0, 0.5])
    assert before.get_ylim() == after.get_ylim()


def test_weights_are_shown_relative_to_their_start_where_a_run_has_a_penalty(
    write_run: WriteRun, tmp_path: Path
) -> None:
    def halves(row: dict[str, Any]) -> dict[str, Any]:
        return row | {"weight_norm": row["layer"] * 2.0 ** -(row["step"] / 10)}

    write_run("l2/0", setting={"reg": {"name": "l2", "strength": 0.1}}, change=halves)
    write_run("none/0", change=halves)
    write_run("dropout/0", setting={"reg": {"name": "dropout", "rate": 0.1}}, change=halves)
    assert tables(tmp_path / "none", penalty_rows).empty
    assert tables(tmp_path / "dropout", penalty_rows).empty
    table = tables(tmp_path / "l2", penalty_rows)
    assert set(relative(table).query("step == 20")["relative"]) == {0.25}
    assert list(weight_norm(table).axes[0].lines[0].get_ydata()) == pytest.approx([1.0, 0.5, 0.25])


def test_the_largest_slope_is_marked_with_its_value() -> None:
    x = np.linspace(-4, 4, 81)
    value = 1 / (1 + np.exp(-x))
    curves = pd.DataFrame({"act": "sigmoid", "x": x, "value": value, "slope": value * (1 - value)})
    figure = activation_curves(curves)
    (name,) = figure.axes[1].get_legend().get_texts()
    assert name.get_text() == "sigmoid: at most 0.25"
    marked = figure.axes[1].lines[1]
    assert (float(marked.get_xdata()[0]), float(marked.get_ydata()[0])) == pytest.approx(
        (0.0, 0.25), abs=1e-9
    )


def test_the_landscape_shows_the_way_on_its_own_plane_and_the_end_on_both() -> None:
    x = np.linspace(-1, 3, 9)
    bowl = x[None] ** 2 + 10 * x[:, None] ** 2
    path = np.array([[2.0, 1.0], [1.0, 0.2], [0.0, 0.0]])
    rows = [
        {"run": "0", "setting": "a", "seed": 0, "status": "completed", "plane": plane, "x": x, "y": x,
         "loss": bowl, "path": path, "shares": np.array([0.9, 0.1])}
        for plane in ("path", "random")
    ]  # fmt: skip
    figure = loss_landscape(pd.DataFrame(rows))
    along, random = figure.axes[:2]
    assert "90% of the way" in along.get_xlabel()
    assert np.asarray(along.lines[1].get_xydata()) == pytest.approx(path)
    assert np.asarray(random.lines[1].get_xydata()) == pytest.approx(np.zeros((1, 2)))
    figure.draw_without_rendering()


def test_a_figure_takes_a_single_run_as_training_gives_it(write_run: WriteRun) -> None:
    folder = write_run("0", slope=0.3)
    alone = gradient_profile(pd.read_csv(folder / "gradients.csv"))
    among = gradient_profile(load_runs(folder).gradients)
    assert list(alone.axes[0].lines[0].get_ydata()) == list(among.axes[0].lines[0].get_ydata())
    assert signal_by_layer is gradient_profile


def finding(sentence: str, severity: float, override: str) -> Diagnosis:
    advice = (Advice(override, "because"),)
    return Diagnosis((Finding("vanishing", severity, 1.0, (1,), 0, {}, advice, sentence=sentence),))


def test_a_worst_finding_and_its_remedy_stand_beside_the_verdict(
    write_run: WriteRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vanishgrad.report.settings import advice

    found = {"0": finding("Mild.", 0.2, "lr=0.01"), "1": finding("<b>Worst.</b>", 0.9, "remedy=batchnorm")}
    for seed in found:
        write_run(seed, setting={"seed": int(seed), "act": "sigmoid"})
    write_run("2", setting={"act": "relu"})
    diagnosis = property(lambda run: found.get(run.folder.name, Diagnosis()))
    monkeypatch.setattr("vanishgrad.report.runs.SavedRun.diagnosis", diagnosis)
    assert advice(load_runs(tmp_path)) == {"act=sigmoid": ("<b>Worst.</b>", "remedy=batchnorm")}


@pytest.mark.parametrize("seeds, size", [(20, 5.0), (21, 3.0)])
def test_every_seed_is_a_dot_in_the_line_of_its_setting(seeds: int, size: float) -> None:
    """More than twenty are small, and stand above and below each other."""
    rows = [(setting, number / 100) for setting in ("a", "b", "c") for number in range(seeds)]
    table = pd.DataFrame(rows, columns=["setting", "final_val_accuracy"])
    axes = final_accuracy(table.assign(run="0", seed=0, status="completed")).axes[0]
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [line.get_markersize() for line in dots] == [size] * 3
    for place, line in enumerate(dots):
        apart = np.asarray(line.get_ydata()) - place
        assert abs(apart).max() < 0.36
        assert np.ptp(apart) == (0 if seeds <= 20 else pytest.approx(0.7, abs=0.06))
        assert sorted(np.asarray(line.get_xdata())) == pytest.approx([one / 100 for one in range(seeds)])
    bars = [line for line in axes.lines if line.get_marker() == "|"]
    middle = (seeds - 1) / 200
    assert [float(np.asarray(line.get_xdata())[0]) for line in bars] == pytest.approx([middle] * 3)
