"""`vanishgrad sample`."""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from vanishgrad.cli.arguments import integer, keywords, own_choices
from vanishgrad.cli.terminal import working
from vanishgrad.errors import SettingError, require
from vanishgrad.printing import essential, printable

WAIT = 0.5  # seconds that text is kept back at most where nobody watches
TEMPERATURE, LENGTH, SEED = 0.8, 400, 0


@essential()
def sample(arguments: Sequence[str]) -> int:
    """Print the prompt and what a trained character model makes of it."""
    arguments, search = own_choices(arguments)
    values = keywords(arguments, ("run", "prompt", "temperature", "length", "seed"), ("prompt",))
    require("run" in values, "sample: needs run=DIR, the folder of a run with data=text")
    temperature = _number("temperature", values, TEMPERATURE)
    length = integer("length", values.get("length", str(LENGTH)), 1)
    seed = integer("seed", values.get("seed", str(SEED)))
    from vanishgrad.choices.model.recurrent import Recurrent
    from vanishgrad.engine.run_folder import load_trained
    from vanishgrad.engine.text import characters
    from vanishgrad.streams import stream

    with working("reading the model"):
        trained = load_trained(Path(values["run"]).expanduser(), trust=bool(search))
    model = trained.model
    if not trained.vocabulary or not isinstance(model, Recurrent):
        raise SettingError(
            f"run={values['run']}: learned data={trained.run.data.name}; only a run with data=text writes "
            "text"
        )
    prompt = values.get("prompt", "")
    dice = stream(seed, "sample")
    text = characters(model, trained.vocabulary, prompt, length, temperature, dice)
    try:
        _write(prompt, text)
    except SettingError as error:  # now only the model can be at fault
        raise SettingError(f"run={values['run']}: {error}") from None
    return 0


def _write(prompt: str, text: Iterator[str]) -> None:
    """Print text as it comes; on a terminal without what a terminal would obey."""
    watched, shown = sys.stdout.isatty(), time.monotonic()
    for piece in itertools.chain([prompt], text, ["\n"]):
        print(printable(piece, keep="\n\t") if watched else piece, end="", flush=watched)
        if time.monotonic() - shown > WAIT:
            sys.stdout.flush()
            shown = time.monotonic()


def _number(key: str, values: dict[str, str], default: float) -> float:
    text = values.get(key, str(default))
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    require(math.isfinite(value) and value >= 0, f"{key}={text}: must be a number of at least 0")
    return value
