"""All rules on one record, and the order of what they find."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from vanishgrad.diagnosis.exploding import diverged, exploding, exploding_in_time
from vanishgrad.diagnosis.finding import Diagnosis, Finding
from vanishgrad.diagnosis.record import Record
from vanishgrad.diagnosis.training_course import not_learning, oscillating, stalled_layers
from vanishgrad.diagnosis.units import dead_units, saturated
from vanishgrad.diagnosis.vanishing import vanishing, vanishing_in_time

Rule: TypeAlias = Callable[[Record], Finding | None]

# Of findings that are equally severe, the first is what brings about the others.
RULES: tuple[Rule, ...] = (
    exploding, exploding_in_time, diverged, oscillating, dead_units, saturated, vanishing, vanishing_in_time
)  # fmt: skip
OTHERWISE: tuple[Rule, ...] = (
    stalled_layers,
    not_learning,
)  # the first that applies, where nothing else explains it


def examine(record: Record) -> Diagnosis:
    """Everything that is wrong with a run, the worst first."""
    if not len(record.steps):
        return Diagnosis()
    found = _found(RULES, record) or _found(OTHERWISE, record)[:1]
    return Diagnosis(tuple(sorted(found, key=lambda one: -one.severity)), record.learned)


def _found(rules: tuple[Rule, ...], record: Record) -> list[Finding]:
    return [finding for rule in rules if (finding := rule(record)) is not None]
