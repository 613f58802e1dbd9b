"""Every figure, on ordinary runs and on the awkward ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from vanishgrad.report import load_runs
from vanishgrad.report.exhibits import EXHIBITS, Exhibit
from vanishgrad.report.figures import gradient_by_layer, learning_speed, palette, training_curves
from vanishgrad.report.figures.canvas import note
from vanishgrad.report.figures.gradients import chosen_runs, gradient_heatmap
from vanishgrad.report.figures.view import band_note, chosen_layers, over_seeds, spans_decades
from vanishgrad.report.tables import summary_table

WriteRun = Callable[..., Path]
Row = dict[str, Any]
NORMS = ("grad_norm", "bias_grad_norm", "delta_norm", "update_ratio", "weight_drift")
ACTS = ("sigmoid", "tanh", "relu", "elu", "selu", "gelu")
NORMALIZATIONS = ("none", "batch", "layer", "rms", "weight")


def all_norms(value: Any) -> Callable[[Row], Row]:
    return lambda row: row | dict.fromkeys(NORMS, value)


def broken_at_the_end(row: Row) -> Row:
    if row["step"] < 20:
        return row
    return row | dict.fromkeys(NORMS, "inf" if row["layer"] % 2 else "nan")


def only_gradients(row: Row) -> Row:
    kept = ("step", "epoch", "layer", "name", "grad_norm", "bias_grad_norm")
    return {key: row[key] for key in kept}


def three_settings(write: WriteRun) -> None:
    for act in ("sigmoid", "tanh", "relu"):
        for seed in (0, 1):
            write(f"{act}{seed}", setting={"act": act, "seed": seed}, slope=0.1 * len(act) + 0.01 * seed)


def twelve_settings(write: WriteRun) -> None:
    for act in ACTS:
        for norm in ("none", "batch"):
            write(f"{act}_{norm}", setting={"act": act, "norm": norm})


def thirty_settings(write: WriteRun) -> None:
    for act in ACTS:
        for norm in NORMALIZATIONS:
            write(f"{act}_{norm}", setting={"act": act, "norm": norm})


def two_depths(write: WriteRun) -> None:
    write("0", setting={"depth": 3})
    write("1", setting={"depth": 12})


CASES: dict[str, Callable[[WriteRun], object]] = {
    "three settings": three_settings,
    "twelve settings": twelve_settings,
    "thirty settings": thirty_settings,
    "two depths": two_depths,
    "a linear model": lambda write: write("0", setting={"depth": 0}),
    "one logged step": lambda write: write("0", steps=(0,)),
    "all zeros": lambda write: write("0", change=all_norms(0.0)),
    "all nan": lambda write: write("0", change=all_norms("nan")),
    "all inf": lambda write: write("0", change=all_norms("inf"), status="diverged"),
    "extremes of float64": lambda write: [
        write("0", change=all_norms(5e-324)),
        write("1", change=all_norms(1.7e308), setting={"depth": 6}),
    ],
    "all equal": lambda write: write("0", change=all_norms(1.0)),
    "diverged": lambda write: [
        write("0", change=broken_at_the_end, status="diverged"),
        write("1", setting={"depth": 6}),
    ],
    "diverged at once": lambda write: write("0", change=all_norms("inf"), steps=(0,), status="diverged"),
    "gradients only": lambda write: [write("0", change=only_gradients), write("1", setting={"depth": 6})],
    "no accuracy": lambda write: write("0", accuracy=float("nan")),
}


@pytest.fixture(scope="module", params=CASES)
def tables(
    request: pytest.FixtureRequest, module_path: Path, write_shared_run: WriteRun
) -> dict[str, pd.DataFrame]:
    """The tables of one case, shared by the tests of every figure."""
    CASES[request.param](lambda place, **given: write_shared_run(f"{request.param}/{place}", **given))
    runs = load_runs(module_path / request.param)
    return {"gradients": runs.gradients, "metrics": runs.metrics, "summary": summary_table(runs)}


def is_colour_bar(axes: Axes) -> bool:
    return hasattr(axes, "_colorbar")


OF_EVERY_RUN = [exhibit for exhibit in EXHIBITS if not exhibit.is_extra]


@pytest.mark.parametrize("exhibit", OF_EVERY_RUN, ids=lambda exhibit: exhibit.name)
def test_every_figure_renders_with_titles_and_named_axes(
    exhibit: Exhibit, tables: dict[str, pd.DataFrame]
) -> None:
    table = tables[exhibit.table]
    figure = exhibit.draw(table, palette(table["setting"]))
    figure.dpi = 30
    figure.draw_without_rendering()
    assert figure.get_suptitle()
    shown = [axes for axes in figure.axes if axes.get_visible() and not is_colour_bar(axes)]
    assert shown
    for axes in shown:
        assert axes.get_xlabel()
        assert axes.get_ylabel() or any(tick.get_text() for tick in figure.axes[0].get_yticklabels())


def frame(rows: list[tuple[str, str, int, int, float]]) -> pd.DataFrame:
    """Rows of (setting, run, step, layer, grad_norm)."""
    table = pd.DataFrame(rows, columns=["setting", "run", "step", "layer", "grad_norm"])
    return table.assign(seed=0, status="completed", bias_grad_norm=table["grad_norm"])


def line(axes: Axes, index: int = 0) -> tuple[list[float], list[float]]:
    drawn = axes.lines[index]
    return list(np.asarray(drawn.get_xdata())), list(np.asarray(drawn.get_ydata()))


def test_the_line_is_the_median_over_seeds_at_the_start_and_at_the_end() -> None:
    rows = [
        ("a", str(run), step, layer, 10.0 ** (layer + run + step))
        for run in (0, 1, 2)
        for step in (0, 5)
        for layer in (1, 2)
    ]
    start, end = gradient_by_layer(frame(rows)).axes
    assert line(start)[0] == [1, 2]
    assert line(start)[1] == pytest.approx([1e2, 1e3])
    assert line(end)[1] == pytest.approx([1e7, 1e8])
    assert start.get_yscale() == end.get_yscale() == "log"
    assert start.get_ylim() == end.get_ylim()


def test_zeros_are_left_out_of_a_log_axis_and_the_figure_says_so() -> None:
    figure = gradient_by_layer(frame([("a", "0", 0, layer, float(layer != 2)) for layer in (1, 2, 3)]))
    assert line(figure.axes[0])[1] == pytest.approx([1.0, np.nan, 1.0], nan_ok=True)
    assert "zeros" in figure.get_supxlabel()


def test_what_no_axis_can_show_is_drawn_at_the_border_and_the_figure_says_so() -> None:
    figure = gradient_by_layer(frame([("a", "0", 0, 1, 1e-300), ("a", "0", 0, 2, 1.0)]))
    assert line(figure.axes[0])[1] == pytest.approx([1e-90, 1.0])
    assert "beyond 1e-90" in figure.get_supxlabel()


def test_a_diverged_run_is_drawn_to_its_last_finite_value_and_marked() -> None:
    table = pd.DataFrame(
        {
            "setting": "a",
            "run": "0",
            "status": "diverged",
            "step": [0, 1, 2],
            "train_loss": [1.0, 5.0, np.inf],
        }
    ).assign(val_accuracy=np.nan, val_loss=np.nan)
    axes = training_curves(table).axes[0]
    assert line(axes) == ([0, 1], [1.0, 5.0])
    assert line(axes, 1) == ([1], [5.0])
    assert axes.lines[1].get_marker() == "x"


def test_seeds_logged_at_other_steps_are_interpolated_but_not_extended() -> None:
    rows = pd.DataFrame(
        {"run": ["0", "0", "1", "1", "1"], "step": [0, 4, 0, 2, 6], "y": [0.0, 4.0, 10.0, 12.0, 16.0]}
    )
    band = over_seeds(rows, "step", "y", log=False)
    assert band.index.tolist() == [0, 2, 4, 6]
    assert band["low"].tolist() == [0.0, 2.0, 4.0, 16.0]
    assert band["high"].tolist() == [10.0, 12.0, 14.0, 16.0]


def test_the_band_of_many_seeds_leaves_out_the_exceptions() -> None:
    rows = pd.DataFrame({"run": [str(run) for run in range(11)], "step": 0, "y": [*range(10), 1e9]})
    few, many = (over_seeds(chosen, "step", "y", log=False).loc[0] for chosen in (rows[1:], rows))
    assert few.tolist() == [5.5, 1.0, 1e9]
    assert many.tolist() == [5.0, 1.0, 9.0]  # the tenth and the ninetieth percentile of eleven


def test_the_band_is_explained_by_what_it_is() -> None:
    def runs(**settings: int) -> pd.DataFrame:
        names = [name for name, count in settings.items() for _ in range(count)]
        return pd.DataFrame({"run": [str(run) for run in range(len(names))], "setting": names})

    assert band_note(runs(a=1, b=1)) == ""
    assert band_note(runs(a=1, b=10)) == "line: median over seeds, band: smallest to largest"
    assert band_note(runs(a=1, b=11)) == "line: median over seeds, band: the middle 80% of them"
    assert band_note(runs(a=2, b=11)).endswith("the middle 80% of them, smallest to largest of few")


def test_remarks_stand_one_before_the_other() -> None:
    figure = Figure()
    note(figure, "second")
    note(figure, "")
    note(figure, "first")
    assert figure.get_supxlabel() == "first; second"


@pytest.mark.parametrize(
    "values, log",
    [
        ([1.0, 100.0], True),
        ([1.0, 2.0], False),
        ([0.0, np.inf], False),
        ([-1.0, 1.0, 99.0], False),
        ([], False),
    ],
)
def test_the_axis_is_logarithmic_where_values_are_far_apart(values: list[float], log: bool) -> None:
    assert spans_decades(pd.Series(values, dtype=float)) is log


def test_learning_speed_shows_few_layers_with_the_first_and_the_last() -> None:
    assert chosen_layers(pd.Series(range(1, 101))) == [1, 21, 41, 60, 80, 100]
    assert chosen_layers(pd.Series([1, 1])) == [1]


def test_the_speed_of_learning_is_that_of_the_weights() -> None:
    table = frame([("a", "0", step, 1, 2.0) for step in (0, 1)]).assign(bias_grad_norm=1e-9)
    assert line(learning_speed(table).axes[0])[1] == pytest.approx([2.0, 2.0])


def test_an_explosion_does_not_flatten_the_other_panels() -> None:
    table = frame([(setting, setting, 0, 1, norm) for setting, norm in (("a", 1.0), ("b", 1e30))])
    table.loc[table["setting"] == "b", "status"] = "diverged"
    assert learning_speed(table).axes[0].get_ylim()[1] < 1e3


def test_the_heat_map_shows_each_run_or_one_of_each_setting() -> None:
    table = frame([(f"s{run // 3}", str(run), 0, 1, 1.0) for run in range(12)])
    assert chosen_runs(table, palette(table["setting"])) == [str(run) for run in range(12)]
    table = frame([(f"s{run // 3}", str(run), 0, 1, 1.0) for run in range(60)])
    assert chosen_runs(table, palette(table["setting"])) == [str(run) for run in range(0, 36, 3)]
    assert gradient_heatmap(table).get_supxlabel() == "the first 12 of 20 settings; one seed each"


def colour_limits(figure: Figure) -> list[tuple[object, object]]:
    norms = [axes.collections[0].norm for axes in figure.axes if axes.collections and not is_colour_bar(axes)]
    assert all(isinstance(norm, LogNorm) for norm in norms)
    return [(norm.vmin, norm.vmax) for norm in norms]


def test_an_explosion_does_not_take_the_colours_of_the_other_runs() -> None:
    rows = [("a", "0", 0, 1, 1.0), ("a", "0", 0, 2, 10.0), ("b", "1", 0, 1, 2.0), ("b", "1", 0, 2, 3.0)]
    table = frame([*rows, ("c", "2", 0, 1, 1e10), ("c", "2", 0, 2, 1e30)])
    table.loc[table["run"] == "2", "status"] = "diverged"
    figure = gradient_heatmap(table)
    assert colour_limits(figure) == [(1.0, 10.0), (1.0, 10.0), (1e10, 1e30)]
    assert figure.get_supxlabel() == "a run that diverged has its own colours"


def test_a_setting_has_one_colour_in_every_figure() -> None:
    labels = [f"act={act} norm={norm}" for act in ACTS for norm in ("none", "batch")]
    colours = palette(labels + labels)
    assert colours.labels == tuple(labels)
    assert sum(map(len, colours.panels)) == 12
    for panel in colours.panels:
        assert len({colours.colours[label] for label in panel}) == len(panel) <= 8


def test_panels_follow_the_first_key_where_they_can() -> None:
    labels = [f"norm={norm} act={act}" for norm in ("none", "batch") for act in ACTS]
    assert [{label.split(" ")[0] for label in panel} for panel in palette(labels).panels] == [
        {"norm=none"},
        {"norm=batch"},
    ]


def test_panels_are_those_of_the_second_key_and_share_the_colours_of_the_first() -> None:
    labels = [f"act={act} norm={norm}" for act in ACTS for norm in ("none", "batch", "layer")]
    colours = palette(labels)
    assert [{label.split(" ")[1] for label in panel} for panel in colours.panels] == [
        {"norm=none"}, {"norm=batch"}, {"norm=layer"},
    ]  # fmt: skip
    for act in ACTS:
        assert len({colours.colours[f"act={act} norm={norm}"] for norm in ("none", "batch", "layer")}) == 1
    assert len(set(colours.colours.values())) == len(ACTS)


def test_labels_that_name_no_keys_fill_panels_of_even_size() -> None:
    assert [len(panel) for panel in palette([f"my run {place}" for place in range(12)]).panels] == [6, 6]


def test_too_many_settings_for_lines_have_no_panels() -> None:
    assert len(palette(map(str, range(24))).panels) == 3
    assert palette(map(str, range(25))).panels == ()


def test_long_labels_make_a_figure_wider_not_its_panels_narrower(tmp_path: Path, write_run: WriteRun) -> None:
    three_settings(write_run)
    gradients = load_runs(tmp_path).gradients
    longer = gradients.assign(setting=gradients["setting"] + " init=critical residual=identity epochs=20")
    widths = []
    for frame in (gradients, longer):
        figure = gradient_by_layer(frame)
        figure.draw_without_rendering()
        widths.append(min(axes.get_window_extent().width for axes in figure.axes))
    assert widths[1] > 0.85 * widths[0]
