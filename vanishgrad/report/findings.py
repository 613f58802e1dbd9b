"""What a diagnosis said of each setting: diagnosis.json of its runs, where they have one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from vanishgrad.report.runs import Runs

DIAGNOSIS_FILE = "diagnosis.json"


class Advised(NamedTuple):
    """The worst finding in a sentence, and the override of its first remedy; empty where there is none."""

    sentence: str
    remedy: str = ""


def advice(runs: Runs) -> dict[str, Advised]:
    """By setting, what was found in the run that is worst off."""
    worst: dict[str, tuple[float, Advised]] = {}
    for run, label in zip(runs, runs.labels, strict=True):
        found = _worst(run.folder)
        if found is not None and found[0] > worst.get(label, (-1.0, None))[0]:
            worst[label] = found
    return {label: advised for label, (_, advised) in worst.items()}


def _worst(folder: Path) -> tuple[float, Advised] | None:
    """The severity and the words of the first finding that has any."""
    said = [one for one in _findings(folder) if isinstance(one, dict) and one.get("sentence")]
    if not said:
        return None
    remedies = said[0].get("remedies") or [{}]
    return float(said[0].get("severity") or 0.0), Advised(
        str(said[0]["sentence"]), str(remedies[0].get("override") or "")
    )


def _findings(folder: Path) -> list[Any]:
    """Empty where there is no diagnosis that can be read: the verdict does not depend on it."""
    try:
        found = json.loads((folder / DIAGNOSIS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return found if isinstance(found, list) else []
