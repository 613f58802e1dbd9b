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
    exploding, exploding_in_time, diverged, dead_units, saturated, vanishing, vanishing_in_time
)  # fmt: skip
# What is said only where none of the others explains it.
OTHERWISE: tuple[Rule, ...] = (oscillating, stalled_layers, not_learning)


def examine(record: Record) -> Diagnosis:
    """Everything that is wrong with a run, the worst first."""
    if not len(record.steps):
        return Diagnosis()
    found = [finding for rule in RULES if (finding := rule(record)) is not None]
    for rule in OTHERWISE:
        if not found and (finding := rule(record)) is not None:
            found.append(finding)
    return Diagnosis(tuple(sorted(found, key=lambda one: -one.severity)), record.learned)
