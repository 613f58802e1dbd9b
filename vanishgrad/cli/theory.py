"""A prediction in words."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vanishgrad.cli.arguments import keywords, own_choices
from vanishgrad.cli.jobs import checked_setting
from vanishgrad.cli.terminal import PrintableConsole, bar_table, line, notes, print_json, show, working
from vanishgrad.config.plan import plan_of
from vanishgrad.errors import one_of, require
from vanishgrad.folders import reserve_folder, written_folder
from vanishgrad.prediction import Chi, chi_around, predict
from vanishgrad.printing import essential
from vanishgrad.records import strict
from vanishgrad.report.labels import counted
from vanishgrad.run import Run
from vanishgrad.theory.prediction import Prediction

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE = "phase_diagram"
MEANINGS = {
    "sigma_w": "deviation of the weights times sqrt(fan_in)",
    "sigma_b": "deviation of the biases",
    "q_star": "variance of pre-activations in deep layers",
    "chi_1": "factor on the squared gradient per layer, towards the input",
    "c_star": "correlation that two inputs approach",
    "xi_q": "layers over which lengths come e times nearer to q_star",
    "xi_c": "layers over which two inputs come e times nearer to c_star",
    "xi_grad": "layers over which the squared gradient changes by e",
    "trainable_depth": "6 xi_c, about the deepest network that trains (Schoenholz et al. 2017)",
    "log10_gradient_ratio": "log10 of the first hidden layer's gradient over the last one's",
    "scatter": "its standard deviation over initial weights, at this width",
    "scatter_shift": "how far a typical network of this width lies from it",
    "jacobian_log10_mean": "log10 of the mean squared singular value of dz_depth/dz_1",
    "jacobian_variance": "variance of the squared singular values over their squared mean",
    "time_factor": "factor on a state's squared gradient per time step, back in time",
}
PHASES = {
    "ordered": "Ordered: gradients vanish with depth.",
    "chaotic": "Chaotic: gradients explode with depth.",
    "critical": "Critical: gradients neither vanish nor explode exponentially.",
}
LEVEL = 0.001  # decades per layer that pass for none


def figures_table(prediction: Prediction) -> Table:
    """Every figure with its meaning; a dash for what theory does not give."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, meaning in MEANINGS.items():
        value = getattr(prediction, name)
        if name == "time_factor" and value is None:
            continue
        table.add_row(
            Text(name, style="cyan"), "-" if value is None else f"{value:.4g}", Text(meaning, "dim")
        )
    return table


def sentences(run: Run, prediction: Prediction) -> Iterator[str]:
    """The phase, what becomes of the gradient in this network, and how deep it may be."""
    if prediction.phase is not None:
        yield PHASES[prediction.phase]
    if prediction.log10_gradient_ratio is not None and run.depth > 1:
        yield _change(prediction.log10_gradient_ratio, run.depth - 1)
    if prediction.time_factor is not None:
        yield _through_time(prediction.time_factor)
    if prediction.trainable_depth is not None:
        yield _reach(prediction.trainable_depth, run.depth)


def _change(decades: float, steps: int) -> str:
    """`Towards the input they shrink 1.21 x per layer, 1e-04 over 49 layers.`"""
    rate = decades / steps
    over = f"{10.0**decades:.2g}" if abs(decades) < 300 else f"10^{decades:.0f}"
    if abs(rate) < LEVEL:
        return f"Towards the input they keep their size: {over} of it after {counted(steps, 'layer')}."
    verb = "grow" if rate > 0 else "shrink"
    across = f"to {over} over {counted(steps, 'layer')}"
    return f"Towards the input they {verb} {10 ** abs(rate):.3g} x per layer, {across}."


def _through_time(factor: float) -> str:
    if factor <= 0:
        return "No gradient goes back in time."
    rate = math.sqrt(factor)
    if abs(math.log10(rate)) < LEVEL:
        return "Back in time they keep their size."
    return f"Back in time they {'grow' if rate > 1 else 'shrink'} {max(rate, 1 / rate):.3g} x per step."


def _reach(depth: float, own: int) -> str:
    if math.isinf(depth):
        return "Signals go to any depth: the theory sets no limit to it."
    verdict = "within" if own <= depth else "beyond"
    return f"Signals of an input are lost after about {depth:.3g} layers; depth={own} is {verdict} that."


OWN = ("format", "out")
ALONE = "vanishgrad theory predicts one setting"
HYDRA, BASE = (
    ("hydra.", "hydra/", "sweep."),
    "hydra.mode=RUN",
)  # which takes the base of an experiment's sweep
FOLDER = Path("outputs") / "theory"  # which `report` passes over
LARGEST = 300.0  # decades that a float has room for


@essential()
def theory(arguments: Sequence[str]) -> int:
    """Print the prediction for a setting, as words, numbers and a figure, or as JSON."""
    arguments, search = own_choices(arguments)
    own = keywords([text for text in arguments if text.partition("=")[0] in OWN], OWN)
    style = own.get("format", "text")
    one_of("format", style, ("text", "json"))
    overrides = [text for text in arguments if text.partition("=")[0] not in OWN]
    flags = [text for text in overrides if text.startswith("-")]
    require(
        not flags, f"{' '.join(flags)}: vanishgrad theory predicts one setting, KEY=VALUE ...; see --help"
    )
    for text in overrides:
        require(
            not text.startswith(HYDRA) or text == BASE,
            f"{text}: vanishgrad theory makes no run; leave it out",
        )
    with notes(), working("predicting"):
        plan = plan_of(overrides, False, search, ALONE)
        require(not plan.swept, f"{' '.join(overrides)}: is a sweep; vanishgrad theory predicts one setting")
        run = checked_setting(plan.config).effective
        prediction = predict(run)
    picture = None
    if style == "text" or "out" in own:
        with working("drawing"):
            picture = _drawn(run, prediction, overrides, _folder(own.get("out")))
    if style == "json":
        print_json(strict(prediction.plain()))
        return 0
    console = PrintableConsole()
    _show(console, run, prediction, overrides)
    line(console, str(picture))
    return 0


def _show(console: Console, run: Run, prediction: Prediction, overrides: Sequence[str]) -> None:
    line(console, (f"theory  {' '.join(overrides) or 'the default setting'}", "bold"))
    if bars := {
        layer: 10 ** max(-LARGEST, min(LARGEST, decades))
        for layer, decades in enumerate(prediction.profile or (), 1)
        if decades is not None
    }:
        show(console, bar_table(console, "layer", {"predicted": bars}, "||dLoss/dz||, last hidden = 1"), "")
    show(console, figures_table(prediction), "")
    for sentence in sentences(run, prediction):
        show(console, Text(sentence, style="bold"))
    for said in prediction.notes:
        show(console, Text(f"note: {said}"))


def _folder(out: str | None) -> Path:
    if out is None:
        return reserve_folder("out", FOLDER, time.strftime("%Y-%m-%d_%H-%M-%S"))[0]
    return Path(out).expanduser()


def _drawn(run: Run, prediction: Prediction, overrides: Sequence[str], folder: Path) -> Path:
    """Write the phase diagram as PNG and SVG; the PNG's path."""
    from vanishgrad.report.figures.maps import PhasePlane, phase_diagram  # matplotlib, when it is needed

    chi = chi_around(run, prediction)
    plane, why = None, chi if isinstance(chi, str) else ""
    if isinstance(chi, Chi):
        assert prediction.sigma_w is not None
        assert prediction.sigma_b is not None
        plane = PhasePlane(*chi, (prediction.sigma_w, prediction.sigma_b))
    figure = phase_diagram(
        "Mean-field theory of " + (" ".join(overrides) or "the default setting"),
        plane, prediction.profile, why, prediction.scatter or 0.0,
        "the band is one standard deviation over initial weights" if prediction.scatter else "",
    )  # fmt: skip
    return _saved(figure, folder)


def _saved(figure: Figure, folder: Path) -> Path:
    from vanishgrad.report.gallery import save_figure

    with written_folder("out", folder):
        save_figure(figure, folder / FIGURE)
    return folder / f"{FIGURE}.png"
