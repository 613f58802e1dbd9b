"""The figures of what only some runs have."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vanishgrad.report import figures, load_runs
from vanishgrad.report.exhibits import EXHIBITS, Exhibit
from vanishgrad.report.extras import EXTRAS
from vanishgrad.report.figures.images import in_a_row, in_a_square
from vanishgrad.report.figures.view import draw_layers, draw_legend
from vanishgrad.report.runs import Runs

WriteRun = Callable[..., Path]
EXTRA = [exhibit for exhibit in EXHIBITS if exhibit.table in EXTRAS]
IMAGES = ("filters", "predicted_frames")


def with_everything(add: SimpleNamespace, folder: Path, number: int) -> None:
    add.time_gradients(folder, 0.01 * number, 12, cells=number % 2 == 0)
    add.gates(folder, ("input", "forget", "output") if number % 2 else ("reset", "update"))
    for name in ("residual_terms", "input_gradients", "dead_units", "pretraining", "frame_losses"):
        getattr(add, name)(folder)
    for name in (*IMAGES, "landscape", "activation_inputs"):
        getattr(add, name)(folder)


def write_sweep(write: WriteRun, add: SimpleNamespace, depths: Iterable[int], seeds: int) -> None:
    for depth in depths:
        for seed in range(seeds):
            folder = write(f"{depth}_{seed}", setting={"depth": depth, "seed": seed}, steps=(0, 20))
            with_everything(add, folder, depth)


def not_finite(folder: Path) -> None:
    """Every number but the counts becomes nan."""
    for file in folder.glob("*.csv"):
        if file.name not in ("gradients.csv", "metrics.csv"):
            table = pd.read_csv(file)
            measured = table.select_dtypes("float").columns
            table.astype(dict.fromkeys(measured, float)).assign(**dict.fromkeys(measured, np.nan)).to_csv(
                file, index=False, na_rep="nan"
            )


CASES = {
    "a run": ((2,), 1),
    "two settings": ((2, 3), 2),
    "nine settings": (range(1, 10), 1),
    "thirty": (range(1, 31), 1),
}


@pytest.fixture(scope="module", params=[*CASES, "nothing finite"])
def runs(
    request: pytest.FixtureRequest, module_path: Path, write_shared_run: WriteRun, add: SimpleNamespace
) -> Runs:
    depths, seeds = CASES.get(request.param, ((2,), 1))
    write_sweep(
        lambda place, **given: write_shared_run(f"{request.param}/{place}", **given), add, depths, seeds
    )
    if request.param == "nothing finite":
        not_finite(module_path / request.param / "2_0")
    return load_runs(module_path / request.param)


@pytest.mark.parametrize("exhibit", EXTRA, ids=lambda exhibit: exhibit.name)
def test_every_figure_renders_with_a_title_and_named_axes(exhibit: Exhibit, runs: Runs) -> None:
    table = runs.extra(exhibit.table)
    if table.empty:
        return
    figure = exhibit.draw(table, figures.palette(runs.labels).only(table["setting"]))
    figure.dpi = 30
    figure.draw_without_rendering()
    assert figure.get_suptitle()
    shown = [axes for axes in figure.axes if axes.get_visible() and not hasattr(axes, "_colorbar")]
    assert shown
    if exhibit.name not in IMAGES:
        assert all(axes.get_xlabel() for axes in shown)


def drawn(tmp_path: Path, name: str) -> Figure:
    exhibit = next(exhibit for exhibit in EXTRA if exhibit.name == name)
    runs = load_runs(tmp_path)
    return exhibit.draw(runs.extra(exhibit.table), figures.palette(runs.labels))


def line(axes: Axes, index: int = 0) -> Any:
    shown = axes.lines[index]
    return list(np.asarray(shown.get_xdata())), list(np.asarray(shown.get_ydata()))


def test_runs_of_one_length_are_drawn_over_t(
    write_run: WriteRun, add: SimpleNamespace, tmp_path: Path
) -> None:
    add.time_gradients(write_run("0"), 1.0, 3)
    start, end = drawn(tmp_path, "gradient_through_time").axes
    assert line(start)[0] == [1, 2, 3]
    assert line(start)[1] == pytest.approx([0.01, 0.1, 1.0])
    assert start.get_yscale() == "log"
    assert start.get_ylim() == end.get_ylim()


def test_runs_of_different_lengths_end_together(
    write_run: WriteRun, add: SimpleNamespace, tmp_path: Path
) -> None:
    for job, length in enumerate((3, 5)):
        add.time_gradients(write_run(str(job), setting={"depth": job + 1}), 1.0, length)
    start = drawn(tmp_path, "gradient_through_time").axes[0]
    assert line(start, 0)[0] == [-2, -1, 0]
    assert line(start, 1)[0] == [-4, -3, -2, -1, 0]
    assert "counted from the last" in start.get_xlabel()


def legend(figure: Figure) -> list[str]:
    legends = [axes.get_legend() for axes in figure.axes]
    return [text.get_text() for each in legends if each is not None for text in each.get_texts()]


def test_only_networks_with_cells_are_in_the_figure_of_cells(
    write_run: WriteRun, add: SimpleNamespace, tmp_path: Path
) -> None:
    for model in ("rnn", "lstm"):
        add.time_gradients(write_run(model, setting={"model": model}), 0.1, 5, cells=model == "lstm")
    assert legend(drawn(tmp_path, "cell_gradient_through_time")) == ["model=lstm"]
    assert len(legend(drawn(tmp_path, "gradient_through_time"))) == 2


def test_a_setting_keeps_its_colour_among_fewer() -> None:
    every = figures.palette("abcdefghijkl")
    few = every.only(["k", "b"])
    assert few.labels == ("b", "k")
    assert few.panels == (("b",), ("k",))
    assert few.colours["k"] == every.colours["k"]


def test_dead_units_are_pooled_by_the_size_of_their_layers(
    write_run: WriteRun, add: SimpleNamespace, tmp_path: Path
) -> None:
    add.dead_units(write_run("0"), rate=0.02)
    pooled, by_layer = drawn(tmp_path, "dead_units").axes
    # 10 units of which 20 % and 30 of which 40 % at step 10, twice that at step 20
    assert line(pooled) == ([0, 10, 20], pytest.approx([0.0, 0.35, 0.7]))
    assert line(by_layer) == ([1, 2], pytest.approx([0.4, 0.8]))


def test_gates_near_one_are_solid_and_near_zero_dotted(
    write_run: WriteRun, add: SimpleNamespace, tmp_path: Path
) -> None:
    add.gates(write_run("0"), ("forget",))
    axes = drawn(tmp_path, "gate_activity").axes[0]
    assert line(axes, 0)[1] == pytest.approx([0.0, 0.1, 0.2])
    assert line(axes, 1)[1] == pytest.approx([0.5, 0.4, 0.3])
    assert axes.lines[0].get_color() == axes.lines[1].get_color()
    assert not axes.lines[0].is_dashed()
    assert axes.lines[1].is_dashed()


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_the_cosine_is_drawn_with_minus_one(
    write_run: WriteRun, add: SimpleNamespace, tmp_path: Path
) -> None:
    add.residual_terms(write_run("0"), blocks=4)
    shortcut, branch, cosine = drawn(tmp_path, "gradient_terms").axes
    assert shortcut.get_ylim() == branch.get_ylim()
    assert cosine.get_ylim()[0] < -1
    assert any(set(line(cosine, index)[1]) == {-1.0} for index in range(len(cosine.lines)))


def test_the_lowest_cross_entropy_there_is_is_drawn(
    write_run: WriteRun, add: SimpleNamespace, tmp_path: Path
) -> None:
    add.frame_losses(write_run("0"))
    axes = drawn(tmp_path, "frame_cross_entropy").axes[0]
    assert any(set(line(axes, index)[1]) == {20.0} for index in range(len(axes.lines)))


@pytest.mark.parametrize("means, is_drawn", [((300.0, 300.0), True), ((300.0, 400.0), False)])
def test_the_mean_image_is_drawn_where_runs_agree_on_it(
    write_run: WriteRun, add: SimpleNamespace, tmp_path: Path, means: tuple[float, float], is_drawn: bool
) -> None:
    for job, mean in enumerate(means):
        folder = write_run(str(job), setting={"depth": job + 1})
        add.frame_losses(folder)
        table = pd.read_csv(folder / "frames.csv").assign(mean_frame_cross_entropy=mean)
        table.to_csv(folder / "frames.csv", index=False)
    assert ("answering with the mean image" in texts(drawn(tmp_path, "frame_cross_entropy"))) is is_drawn


def test_true_frames_are_shown_once_for_networks_that_share_them(
    write_run: WriteRun, add: SimpleNamespace, tmp_path: Path
) -> None:
    for depth in (1, 2):
        add.predicted_frames(write_run(str(depth), setting={"depth": depth}))
    figure = drawn(tmp_path, "predicted_frames")
    assert [axes.get_ylabel() for axes in figure.axes] == ["true", "depth=1", "depth=2"]
    true, predicted = (axes.images[0] for axes in figure.axes[:2])
    assert list(true.get_extent()[:2]) == [-0.5, 19.5]
    assert list(predicted.get_extent()[:2]) == [9.5, 19.5]


def test_true_frames_that_differ_are_shown_for_each(
    write_run: WriteRun, add: SimpleNamespace, tmp_path: Path
) -> None:
    for depth in (1, 2):
        add.predicted_frames(write_run(str(depth), setting={"depth": depth}), given=10 * depth)
    figure = drawn(tmp_path, "predicted_frames")
    assert [axes.get_ylabel() for axes in figure.axes] == ["true", "depth=1", "true", "depth=2"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["time step", "", "time step", ""]


def test_filters_show_a_row_per_setting_and_a_column_per_moment(
    write_run: WriteRun, add: SimpleNamespace, tmp_path: Path
) -> None:
    for depth in range(1, 7):
        add.filters(write_run(str(depth), setting={"depth": depth}), pretrained=depth == 2)
    figure = drawn(tmp_path, "filters")
    assert len(figure.axes) == 4 * 3
    assert [len(axes.images) for axes in figure.axes] == [1, 0, 1, 1, 1, 1, 1, 0, 1, 1, 0, 1]
    picture: Any = figure.axes[0].images[0]
    assert picture.get_clim() == (-1, 1)
    assert np.nanmax(np.abs(np.ma.filled(picture.get_array(), np.nan))) == pytest.approx(1.0)
    assert "the first 36 of 50 units" in figure.get_supxlabel()
    assert "the first 4 of 6 settings" in figure.get_supxlabel()


def test_pictures_keep_their_place_in_a_mosaic() -> None:
    pictures = np.arange(5.0)[:, None, None] * np.ones((1, 2, 2))
    square = in_a_square(pictures)
    assert square.shape == (2 * 4, 3 * 4)
    assert square[1, 1::4].tolist() == [0.0, 1.0, 2.0]
    assert square[5, 1:6:4].tolist() == [3.0, 4.0]
    assert np.isnan(square[4:, 8:]).all()
    assert np.isnan(in_a_row(pictures)[0]).all()


def curves(**given: Any) -> pd.DataFrame:
    rows = pd.DataFrame({"setting": ["a", "b"], "run": ["0", "1"], "status": "completed", "step": 0})
    empty = dict.fromkeys(("train_loss", "val_loss", "val_accuracy"), 1.0)
    baselines = dict.fromkeys(("baseline_val_loss", "baseline_val_accuracy"), np.nan)
    return rows.assign(**(empty | baselines | given))


@pytest.mark.parametrize(
    "given, expected",
    [
        ({"baseline_val_loss": 0.25, "val_accuracy": np.nan}, ["baseline 0.25", "baseline 0.25"]),
        ({"baseline_val_accuracy": 0.1}, ["baseline 0.1"]),
        ({"baseline_val_loss": [0.25, 0.5]}, []),
        ({"baseline_val_loss": [0.25, np.nan]}, []),
        ({}, []),
    ],
)
def test_a_baseline_that_all_runs_share_is_drawn(given: dict[str, Any], expected: list[str]) -> None:
    assert texts(figures.training_curves(curves(**given))) == expected


def test_each_setting_has_its_own_baseline_beside_its_result() -> None:
    summary = pd.DataFrame(
        {"setting": ["a", "b"], "run": ["0", "1"], "status": "completed", "final_val_loss": [0.1, 0.2]}
    ).assign(final_val_accuracy=np.nan, baseline_val_loss=[0.3, 0.4])
    figure = figures.final_accuracy(summary)
    dashed = [shown for shown in figure.axes[0].lines if shown.is_dashed()]
    assert [list(np.asarray(shown.get_xdata())) for shown in dashed] == [[0.4, 0.4], [0.3, 0.3]]
    assert "ignores the input" in figure.get_supxlabel()


def test_a_ridge_stands_over_what_enters_its_layer() -> None:
    """Two layers, four bins; each ridge has its largest fraction's height at the middle of that bin."""
    edges = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    fractions = np.array([[0.1, 0.6, 0.2, 0.1], [0.0, 0.0, 0.0, 1.0]])
    bins = {"edges": edges, "flat": np.array([True, False, False, True]), "fractions": fractions}
    axes = figures.activation_inputs(
        pd.DataFrame([{"moment": each, **bins} for each in ("start", "end")])
    ).axes
    for ridge, own in zip(axes[0].lines, fractions, strict=True):
        x, height = np.asarray(ridge.get_xdata()), np.asarray(ridge.get_ydata())
        assert x == pytest.approx([-1.5, -0.5, 0.5, 1.5])
        above = height - round(height.min())
        assert above / above.max() == pytest.approx(own / own.max())
    shaded = [patch.get_extents().transformed(axes[0].transData.inverted()) for patch in axes[0].patches]
    assert [end for box in shaded for end in (box.x0, box.x1)] == pytest.approx([-2.0, -1.0, 1.0, 2.0])


def layers_of(x: str, count: int, layers: Iterable[int] = (1, 2)) -> pd.DataFrame:
    rows = [(str(0), 0, layer, at, 1.0 + layer * at) for layer in layers for at in range(count)]
    return pd.DataFrame(rows, columns=["run", "seed", "layer", x, "y"])


@pytest.mark.parametrize(
    "x, count, marker", [("epoch", 12, "o"), ("epoch", 13, "None"), ("step", 12, "None"), ("step", 1, "o")]
)
def test_single_points_and_few_epochs_are_marked(x: str, count: int, marker: str) -> None:
    axes = Figure().subplots()
    draw_layers(axes, layers_of(x, count), x, "y", log=False)
    assert [line.get_marker() for line in axes.lines] == [marker] * 2


def test_panels_with_the_same_lines_share_a_key() -> None:
    for other, shared in (((1, 2), True), ((1, 3), False), ((2, 3), False)):
        figure = Figure()
        panels = figure.subplots(1, 2)
        for axes, layers in zip(panels, ((1, 2), other), strict=True):
            draw_layers(axes, layers_of("step", 3, layers), "step", "y", log=False)
        draw_legend(figure, panels)
        assert bool(figure.legends) == shared
        assert [axes.get_legend() is None for axes in panels] == [shared] * 2
