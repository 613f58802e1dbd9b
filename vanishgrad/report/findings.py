"""What a diagnosis says of each setting."""

from __future__ import annotations

from typing import NamedTuple

from vanishgrad.diagnosis import Finding
from vanishgrad.report.runs import Runs


class Advised(NamedTuple):
    """The worst finding in a sentence, and the override of its first remedy; empty where there is none."""

    sentence: str
    remedy: str = ""


def advice(runs: Runs) -> dict[str, Advised]:
    """By setting, what was found in the run that is worst off."""
    worst: dict[str, Finding] = {}
    for run, label in zip(runs, runs.labels, strict=True):
        for finding in run.diagnosis.findings[:1]:
            if label not in worst or finding.severity > worst[label].severity:
                worst[label] = finding
    return {label: _advised(finding) for label, finding in worst.items()}


def _advised(finding: Finding) -> Advised:
    return Advised(finding.sentence, finding.remedies[0].override if finding.remedies else "")
