"""The figure of `vanishgrad theory`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vanishgrad.errors import SettingError
from vanishgrad.prediction import Chi, chi_around
from vanishgrad.report.figures.maps import PhasePlane, phase_diagram
from vanishgrad.report.gallery import save_figure
from vanishgrad.run import Run
from vanishgrad.theory.prediction import Prediction

FIGURE = "phase_diagram"


def draw(run: Run, prediction: Prediction, overrides: Sequence[str], folder: Path) -> Path:
    """Write the figure as PNG and SVG; the PNG's path."""
    found = chi_around(run, prediction)
    plane, why = None, found if isinstance(found, str) else ""
    if isinstance(found, Chi):
        assert prediction.sigma_w is not None
        assert prediction.sigma_b is not None
        plane = PhasePlane(*found, (prediction.sigma_w, prediction.sigma_b))
    figure = phase_diagram(
        "Mean-field theory of " + (" ".join(overrides) or "the default setting"),
        plane, prediction.profile, why, prediction.scatter or 0.0,
        "the band is one standard deviation over initial weights" if prediction.scatter else "",
    )  # fmt: skip
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_figure(figure, folder / FIGURE)
    except OSError as error:
        raise SettingError(f"out={folder}: cannot be written: {error.strerror}") from None
    return folder / f"{FIGURE}.png"
