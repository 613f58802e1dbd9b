"""The phase diagram: lines, words and marks where the numbers say."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from vanishgrad.report.figures.maps import PhasePlane, phase_diagram

W, B = np.linspace(0.1, 4.0, 60), np.linspace(0.0, 1.0, 40)
PLANE = PhasePlane(W, B, np.repeat(W[None, :] ** 2 / 2, len(B), axis=0), (1.0, 0.25))


def texts(figure: Figure) -> list[str]:
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    return [*found, figure.get_supxlabel(), *(axes.get_title() for axes in figure.axes)]


def test_the_critical_line_lies_where_chi_1_is_one() -> None:
    axes = phase_diagram("t", PLANE, [0.0]).axes[0]
    (line,) = [each for each in axes.collections if list(getattr(each, "levels", ())) == [0.0]]
    places = np.concatenate([np.asarray(path.vertices) for path in line.get_paths()])
    assert np.ptp(places[:, 1]) > 0.9
    np.testing.assert_allclose(places[:, 0], np.sqrt(2), atol=0.01)


def test_phases_lines_and_the_setting_are_named() -> None:
    said = texts(phase_diagram("t", PLANE, [-1.0, 0.0]))
    for word in ("ordered:\ngradients vanish", "chaotic:\ngradients explode", "critical", "10x in 10 layers"):
        assert word in said
    assert "this setting (1, 0.25)" in said


def test_a_phase_that_is_not_there_is_not_named() -> None:
    ordered = PhasePlane(W, B, np.full((len(B), len(W)), 0.5), (1.0, 0.0))
    assert not any("chaotic" in text for text in texts(phase_diagram("t", ordered, [0.0])))


@pytest.mark.parametrize("deviation", [0.0, 0.3])
def test_the_profile_is_drawn_with_its_band(deviation: float) -> None:
    figure = phase_diagram("t", None, [-2.0, -1.0, 0.0], "no phase diagram: because", deviation, "the band")
    (axes,) = figure.axes
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [-2.0, -1.0, 0.0])
    assert bool(axes.collections) == (deviation > 0)
    assert figure.get_supxlabel() == "no phase diagram: because; the band"


def test_the_band_is_widest_at_the_first_layer_and_closes_at_the_last() -> None:
    """A sum of independent steps from the last layer down: 0.3, 0.3 / sqrt(2), 0."""
    (axes,) = phase_diagram("t", None, [-2.0, -1.0, 0.0], "", 0.3).axes
    corners = np.concatenate([np.asarray(path.vertices) for path in axes.collections[0].get_paths()])
    for layer, middle, half in ((1, -2.0, 0.3), (2, -1.0, 0.3 / np.sqrt(2)), (3, 0.0, 0.0)):
        heights = corners[corners[:, 0] == layer, 1]
        assert (heights.min(), heights.max()) == pytest.approx((middle - half, middle + half))


def test_exact_zeros_are_left_out_and_said() -> None:
    figure = phase_diagram("t", None, [0.0, None, None])
    assert len(figure.axes[0].lines[0].get_ydata()) == 1
    assert "exactly 0" in figure.get_supxlabel()


@pytest.mark.parametrize("profile", [None, [], [None, None]])
def test_no_profile_is_said(profile: list[float | None] | None) -> None:
    assert "no profile: see the notes" in texts(phase_diagram("t", PLANE, profile))


def test_a_users_dollar_starts_no_formula() -> None:
    title = phase_diagram("name=$x", None, [0.0]).get_suptitle()
    assert title == r"name=\$x"
