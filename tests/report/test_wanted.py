"""Which figures a report has, in which files and style."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from vanishgrad.errors import SettingError
from vanishgrad.report import Wanted, load_runs, write_report
from vanishgrad.report.exhibits import EXHIBITS
from vanishgrad.report.figures import gradient_profile, palette
from vanishgrad.report.gallery import COLUMN, PAGE, fit_for_paper, serif

WriteRun = Callable[..., Path]


def names(folder: Path) -> set[str]:
    return {path.name for path in (folder / "figures").iterdir()}


def test_only_the_chosen_figures_are_drawn_in_the_order_of_the_report(
    write_run: WriteRun, tmp_path: Path
) -> None:
    write_run("runs/0")
    write_report([tmp_path / "runs"], tmp_path / "out")
    wanted = Wanted(figures=("training_curves", "gradient_profile"))
    page = write_report([tmp_path / "runs"], tmp_path / "out", wanted).page.read_text()
    assert names(tmp_path / "out") == {
        f"{name}.{kind}" for name in ("training_curves", "gradient_profile") for kind in ("png", "svg")
    }
    assert page.index("<figure id='gradient_profile'>") < page.index("<figure id='training_curves'>")
    assert page.count("<figure ") == 2
    assert "Left out" not in page


def test_a_figure_answers_to_its_old_name() -> None:
    assert [exhibit.name for exhibit in Wanted(figures=("signal_by_layer",)).exhibits] == ["gradient_profile"]


def test_every_figure_can_be_asked_for() -> None:
    every = tuple(exhibit.name for exhibit in EXHIBITS)
    assert tuple(exhibit.name for exhibit in Wanted(figures=every).exhibits) == every
    assert list(Wanted().exhibits) == list(EXHIBITS)


@pytest.mark.parametrize(
    "given, told",
    [
        (
            {"figures": ("gradient_profil",)},
            r"figures=gradient_profil: choose one of .*did you mean gradient_profile",
        ),
        ({"figures": ()}, r"figures=\[\]: name at least one of flow_and_learning"),
        ({"formats": ("eps",)}, r"format=eps: choose one of svg, pdf, png"),
        ({"formats": ()}, r"format=\[\]: name at least one of svg"),
        ({"style": "papre"}, r"style=papre: choose one of screen, paper \(did you mean paper"),
    ],
)
def test_what_there_is_not_is_refused_with_the_choices(given: dict[str, object], told: str) -> None:
    with pytest.raises(SettingError, match=told):
        Wanted(**given)  # type: ignore[arg-type]


def test_pdf_comes_in_place_of_svg_and_has_the_same_bytes_again(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("runs/0")
    wanted = Wanted(figures=("gradient_profile",), formats=("pdf",))
    pages = [write_report([tmp_path / "runs"], tmp_path / str(place), wanted).page for place in (1, 2)]
    files = [page.parent / "figures" / "gradient_profile.pdf" for page in pages]
    assert files[0].read_bytes().startswith(b"%PDF")
    assert files[0].read_bytes() == files[1].read_bytes()
    assert names(tmp_path / "1") == {"gradient_profile.png", "gradient_profile.pdf"}


def test_paper_has_captions_in_place_of_titles_and_the_page_keeps_its_own(
    write_run: WriteRun, tmp_path: Path
) -> None:
    for seed in (0, 1):
        write_run(f"runs/{seed}", setting={"seed": seed})
    figures = ("gradient_profile", "weight_drift_by_layer")
    both = [
        write_report([tmp_path / "runs"], tmp_path / style, Wanted(figures, style=style)).page
        for style in ("screen", "paper")
    ]
    captions = (tmp_path / "paper" / "figures" / "captions.txt").read_text().splitlines()
    assert [line.split(":")[0] for line in captions] == list(figures)
    assert "line: median over seeds" in captions[0]
    assert both[0].read_text() == both[1].read_text()
    write_report([tmp_path / "runs"], tmp_path / "paper", Wanted(figures))
    assert "captions.txt" not in names(tmp_path / "paper")


def profile(write_run: WriteRun, tmp_path: Path, settings: int = 3) -> Figure:
    for depth in range(2, 2 + settings):
        write_run(f"sweep/{depth}", setting={"depth": depth})
    return profile_of(tmp_path / "sweep")


def profile_of(sweep: Path) -> Figure:
    gradients = load_runs(sweep).gradients
    return gradient_profile(gradients, palette(gradients["setting"]))


def test_a_figure_for_a_paper_is_as_wide_as_its_columns_in_small_serif_type(
    write_run: WriteRun, tmp_path: Path
) -> None:
    with serif():
        figure = profile(write_run, tmp_path)
        said = fit_for_paper(figure)
        figure.draw_without_rendering()
        fonts = {
            text.get_fontname() for axes in figure.axes for text in [*axes.get_xticklabels(), axes.title]
        }
    assert figure.get_size_inches()[0] == PAGE == 7.0 > COLUMN == 3.4
    assert fonts == {"STIXGeneral"}
    assert said.startswith("Gradient profile")
    sizes = [text.get_fontsize() for axes in figure.axes for text in (axes.title, axes.xaxis.label)]
    assert max(sizes) <= 8.5
    assert not figure._suptitle.get_visible()


def test_one_legend_stands_below_the_panels_of_a_paper(write_run: WriteRun, tmp_path: Path) -> None:
    figure = profile(write_run, tmp_path)
    names = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
    fit_for_paper(figure)
    figure.draw_without_rendering()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == names
    assert legend.get_window_extent().y1 <= min(axes.get_window_extent().y0 for axes in figure.axes)


def test_lines_and_keys_of_a_paper_are_thinner(write_run: WriteRun, tmp_path: Path) -> None:
    screen, paper = profile(write_run, tmp_path), profile_of(tmp_path / "sweep")
    fit_for_paper(paper)
    (legend,), keys = paper.legends, screen.axes[1].get_legend().get_texts()
    for own, other in zip(legend.get_texts(), keys, strict=True):
        assert own.get_fontsize() == pytest.approx(6.75)
        assert own.get_text() == other.get_text()
    for own, other in zip(paper.axes[0].get_lines(), screen.axes[0].get_lines(), strict=True):
        assert 0 < own.get_linewidth() < other.get_linewidth()
