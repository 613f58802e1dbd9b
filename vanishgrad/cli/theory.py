"""`vanishgrad theory`."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from vanishgrad.cli.bars import bar_table
from vanishgrad.cli.jobs import checked
from vanishgrad.cli.keywords import keywords
from vanishgrad.cli.notes import notes
from vanishgrad.cli.plain import show
from vanishgrad.cli.theory_words import figures_table, sentences
from vanishgrad.config.plan import plan_of
from vanishgrad.errors import one_of, require
from vanishgrad.prediction import Prediction, predict
from vanishgrad.records import reserve_folder, strict
from vanishgrad.run import Run

OWN = ("format", "out")
FOLDER = Path("outputs") / "theory"  # which `report` passes over
LARGEST = 300.0  # decades that a float has room for


def theory(arguments: Sequence[str]) -> int:
    """Print the prediction for a setting, as words, numbers and a figure, or as JSON."""
    own = keywords([text for text in arguments if text.partition("=")[0] in OWN], OWN)
    style = own.get("format", "text")
    one_of("format", style, ("text", "json"))
    overrides = [text for text in arguments if text.partition("=")[0] not in OWN]
    flags = [text for text in overrides if text.startswith("-")]
    require(
        not flags, f"{' '.join(flags)}: vanishgrad theory predicts one setting, KEY=VALUE ...; see --help"
    )
    with notes():
        plan = plan_of(overrides, multirun=False)
        require(not plan.swept, f"{' '.join(overrides)}: is a sweep; vanishgrad theory predicts one setting")
        run = checked(plan.config).effective
        prediction = predict(run)
    if style == "json":
        if "out" in own:
            _drawn(run, prediction, overrides, Path(own["out"]).expanduser())
        print(json.dumps(strict(prediction.plain()), indent=2, allow_nan=False))
        return 0
    picture = _drawn(run, prediction, overrides, _folder(own.get("out")))
    console = Console(highlight=False)
    _show(console, run, prediction, overrides)
    console.print(str(picture), soft_wrap=True)
    return 0


def _show(console: Console, run: Run, prediction: Prediction, overrides: Sequence[str]) -> None:
    console.print(Text(f"theory  {' '.join(overrides) or 'the default setting'}", style="bold"))
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
        return reserve_folder(FOLDER, time.strftime("%Y-%m-%d_%H-%M-%S"))
    return Path(out).expanduser()


def _drawn(run: Run, prediction: Prediction, overrides: Sequence[str], folder: Path) -> Path:
    from vanishgrad.cli.theory_figure import draw  # not for JSON: matplotlib takes a second to import

    return draw(run, prediction, overrides, folder)
