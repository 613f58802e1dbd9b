"""A run as plain data: what run.json holds."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from vanishgrad.run import GROUPS, Run


def describe(run: Run) -> dict[str, Any]:
    """Every field of `run`: numbers as they are, a choice as `{"name": ..., parameter: value, ...}`.

    The learning rate and the loss stand as resolved, not as null.
    """
    found: dict[str, Any] = {item.name: getattr(run, item.name) for item in fields(run)}
    found |= {group: describe_choice(found[group]) for group in GROUPS if found[group] is not None}
    return found | {"lr": run.rate, "loss": describe_choice(run.criterion)}


def describe_choice(choice: Any) -> dict[str, Any]:
    """One choice with its parameters."""
    parameters = {item.name: getattr(choice, item.name) for item in fields(choice)}
    return {"name": choice.name} | parameters
