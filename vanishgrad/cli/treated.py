"""The command that trains a run again, with a remedy."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vanishgrad.report.labels import flatten, shown
from vanishgrad.report.saved_run import SavedRun


def treated_command(run: SavedRun, override: str) -> str | None:
    """What to type; None for a run that was not trained by the command.

    What was typed before stands, but for the keys that the remedy sets. An earlier remedy comes last
    whatever is typed behind it: its changes are written out, so that the new one finds its place.
    """
    if not run.overrides and not run.record.get("config"):
        return None
    new = override.split()
    typed = [text for text in run.overrides if _key(text).partition(".")[0] != "remedy"]
    if len(typed) < len(run.overrides):
        changed = _written_out(run.choices, run.record.get("effective") or {})
        typed = [*_without(typed, map(_key, changed)), *changed]
    return shlex.join(["vanishgrad", "train", *_without(typed, map(_key, new)), *new])


def _key(text: str) -> str:
    return text.lstrip("+~").partition("=")[0]


def _without(typed: Sequence[str], keys: Iterator[str]) -> list[str]:
    """What was typed, without the keys and the parameters of the choices that are replaced."""
    gone = set(keys)
    return [
        text
        for text in typed
        if not any(_key(text) == key or _key(text).startswith(f"{key}.") for key in gone)
    ]


def _written_out(choices: Mapping[str, Any], effective: Mapping[str, Any]) -> list[str]:
    """What the earlier remedy changed, as overrides."""
    before, after = flatten(choices), flatten(effective)
    return [f"{key}={shown(value)}" for key, value in after.items() if before.get(key) != value]
