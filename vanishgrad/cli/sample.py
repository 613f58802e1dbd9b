"""`vanishgrad sample`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from vanishgrad.cli.arguments import integer, keywords, own_choices
from vanishgrad.errors import SettingError, require

TEMPERATURE, LENGTH, SEED = 0.8, 400, 0


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
    from vanishgrad.engine.text import generate
    from vanishgrad.streams import stream

    trained = load_trained(Path(values["run"]).expanduser(), trust=bool(search))
    model = trained.model
    if not trained.vocabulary or not isinstance(model, Recurrent):
        raise SettingError(
            f"run={values['run']}: learned data={trained.run.data.name}; only a run with data=text writes "
            "text"
        )
    prompt = values.get("prompt", "")
    print(prompt + generate(model, trained.vocabulary, prompt, length, temperature, stream(seed, "sample")))
    return 0


def _number(key: str, values: dict[str, str], default: float) -> float:
    text = values.get(key, str(default))
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    require(math.isfinite(value) and value >= 0, f"{key}={text}: must be a number of at least 0")
    return value
