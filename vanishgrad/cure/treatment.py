"""A treatment: what is changed in a failing setting."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from vanishgrad.cure.override_text import changed, overrides_of
from vanishgrad.run import Run

# Fields of a run that treat the same thing: a treatment changes one kind, a pair two.
KINDS = {
    "model": "cell", "act": "activation", "init": "start", "pretrain": "start", "norm": "normalization",
    "residual": "shortcut", "optim": "descent", "lr": "descent", "schedule": "descent", "warmup": "descent",
    "clip": "clipping", "reg": "penalty",
}  # fmt: skip
LEADING = ("model", "optim")  # what a change of these brings with it belongs to them


@dataclass(frozen=True)
class Treatment:
    """A failing setting with something changed.

    Arguments:
        run: the treated twin.
        overrides: what to type behind the failing setting; nothing for the untreated one.
        reason: why it may help; empty where it is only tried.
        parts: the treatments that a pair consists of.
        advised: whether the diagnosis suggests it.
    """

    run: Run
    overrides: tuple[str, ...] = ()
    reason: str = ""
    parts: tuple[Treatment, ...] = field(default=(), repr=False)
    advised: bool = False

    @property
    def label(self) -> str:
        """`act=relu norm=batch`."""
        return " ".join(self.overrides) or "untreated"


def treatment(before: Run, after: Run, reason: str = "", *, advised: bool = False) -> Treatment:
    """The change from `before` to `after`."""
    return Treatment(after, overrides_of(before, changed(before, after)), reason, advised=advised)


def together(before: Run, first: Treatment, second: Treatment) -> Treatment:
    """Both changes at once.

    Raises:
        SettingError: when they make no sense together.
    """
    changes = changed(before, first.run) | changed(before, second.run)
    return Treatment(
        replace(before, **changes), overrides_of(before, changes),
        "; ".join(reason for reason in (first.reason, second.reason) if reason),
        (first, second), first.advised and second.advised,
    )  # fmt: skip


def kinds_of(before: Run, after: Run) -> frozenset[str]:
    """What is treated: `activation`, `start`, ...; a new cell's own activation belongs to the cell."""
    changes: dict[str, Any] = changed(before, after)
    leading = [name for name in LEADING if name in changes]
    return frozenset(KINDS.get(name, name) for name in leading or changes)
