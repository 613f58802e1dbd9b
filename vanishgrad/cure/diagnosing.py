"""The diagnosis of a trial: those of its runs, one for each seed, taken together."""

from __future__ import annotations

from collections.abc import Sequence

from vanishgrad.cure.course import Course
from vanishgrad.cure.trial import Trial
from vanishgrad.diagnosis import Diagnosis, Finding, diagnose
from vanishgrad.records import UnreadableRun


def diagnosed(trial: Trial) -> Diagnosis:
    """What is wrong in the runs of a trial."""
    return pooled([found for one in trial.courses if (found := _diagnosed(one)) is not None])


def _diagnosed(one: Course) -> Diagnosis | None:
    try:
        return diagnose(one.folder)
    except UnreadableRun:
        return None


def pooled(diagnoses: Sequence[Diagnosis]) -> Diagnosis:
    """All that was found, each pathology once, in its worst form; the one found in most runs first.

    It learned if it did so in all runs.
    """
    found: dict[tuple[str, str], list[Finding]] = {}
    for diagnosis in diagnoses:
        for finding in diagnosis.findings:
            found.setdefault((finding.finding, finding.where), []).append(finding)
    worst = [max(alike, key=lambda one: one.severity) for alike in found.values()]
    weight = {
        (one.finding, one.where): sum(alike.severity for alike in found[one.finding, one.where])
        for one in worst
    }
    worst.sort(key=lambda one: -weight[one.finding, one.where])
    known = [one.learned for one in diagnoses if one.learned is not None]
    return Diagnosis(tuple(worst), all(known) if known else None)
