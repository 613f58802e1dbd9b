"""A treatment: what is changed in a failing setting."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import combinations
from typing import Any, NamedTuple

from vanishgrad.description import (
    answers,
    applied,
    changed,
    check_start,
    describe,
    overrides_of,
    remedied,
    rounded,
)
from vanishgrad.diagnosis import Diagnosis
from vanishgrad.errors import SettingError, require
from vanishgrad.remedies import TABLE, Remedy, holds, lookup
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


ALREADY = "is how the setting is already"
NOT_PAIRED = {"penalty"}  # treats another illness
NOT_TOGETHER = frozenset({"activation", "cell"})  # a gated cell comes with its own
# Trials are compared after as many steps on the same data; these change what is compared.
NOT_CURES = frozenset(
    {"data", "loss", "batch_size", "epochs", "max_steps", "depth", "width", "seed", "dtype"}
)

Check = Callable[[Run], object]


class LeftOut(NamedTuple):
    """A treatment that is not tried, and why."""

    label: str
    reason: str


@dataclass(frozen=True)
class Candidates:
    """What is tried on a setting.

    Arguments:
        run: the setting.
        alone: treatments that change one thing, the most promising first.
        pairs: of those that the diagnosis suggests.
        left_out: what makes no sense for the setting.
    """

    run: Run
    alone: tuple[Treatment, ...]
    pairs: tuple[Treatment, ...] = ()
    left_out: tuple[LeftOut, ...] = field(default=())

    @property
    def all(self) -> tuple[Treatment, ...]:
        return (*self.alone, *self.pairs)


def candidates(run: Run, diagnosis: Diagnosis, check: Check, most_pairs: int) -> Candidates:
    """The treatments of `run`: those that the diagnosis suggests first, then the other remedies.

    Arguments:
        run: the failing setting.
        diagnosis: of it.
        check: raises a `SettingError` for a run that this machine cannot train.
        most_pairs: of what the diagnosis suggests, at most.
    """
    treatments: dict[Run, Treatment] = {}
    left_out: dict[str, str] = {}
    for label, make, reason, advised in _proposed(run, diagnosis):
        try:
            after = _considered(run, make, check)
        except SettingError as error:
            left_out.setdefault(label, str(error))
        else:
            treatments.setdefault(after, treatment(run, after, reason, advised=advised))
    alone = list(treatments.values())
    advised_pairs = pairs(run, [one for one in alone if one.advised], check, most_pairs)
    refused = tuple(LeftOut(label, reason) for label, reason in left_out.items())
    return Candidates(run, tuple(alone), tuple(advised_pairs), refused)


def pairs(run: Run, alone: Sequence[Treatment], check: Check, most: int) -> list[Treatment]:
    """Sensible pairs of the treatments `alone`, those of the first ones first, without what is refused."""
    results: list[Treatment] = []
    ranked = sorted(combinations(range(len(alone)), 2), key=lambda pair: (sum(pair), pair))
    for first, second in ranked:
        if len(results) >= most:
            break
        if sensible(run, alone[first], alone[second]):
            results += _paired(run, alone[first], alone[second], check)
    return results


def sensible(run: Run, first: Treatment, second: Treatment) -> bool:
    """Whether two treatments change different kinds of things, which may well go together."""
    a, b = kinds_of(run, first.run), kinds_of(run, second.run)
    fields = changed(run, first.run).keys() & changed(run, second.run).keys()
    return not (fields or a & b or (a | b) & NOT_PAIRED or (a | b) >= NOT_TOGETHER)


def best_of_each_kind(run: Run, ranked: Iterable[Treatment], most: int) -> list[Treatment]:
    """Of the treatments `ranked`, the best first, that are no pairs: the `most` best of each kind."""
    counts: dict[frozenset[str], int] = {}
    best = []
    for one in ranked:
        kinds = kinds_of(run, one.run)
        if not one.parts and counts.get(kinds, 0) < most:
            counts[kinds] = counts.get(kinds, 0) + 1
            best.append(one)
    return best


def _proposed(run: Run, diagnosis: Diagnosis) -> Iterator[tuple[str, Callable[[], Run], str, bool]]:
    """(label, function that makes the treated run, reason, whether the diagnosis suggests it)."""
    for finding in diagnosis.findings:
        for advice in finding.remedies:
            yield advice.override, partial(applied, run, advice.override), advice.reason, True
    value = lookup(describe(run), answers(run))
    for remedy in TABLE.values():
        if remedy.changes and remedy.tried is not None and holds(remedy.tried, value):
            label = f"remedy={remedy.name}" if isinstance(remedy, Remedy) else remedy.typed
            yield label, partial(remedied, run, remedy), remedy.reason, False


def _considered(run: Run, make: Callable[[], Run], check: Check) -> Run:
    """The treated run.

    Raises:
        SettingError: when there is no such run, it is not worth a trial, or it is no treatment.
    """
    with _warned():
        after = rounded(run, make())
        check(after)
    require(after != run, ALREADY)
    for name in sorted(NOT_CURES & changed(run, after).keys()):
        raise SettingError(f"changes {name}: treatments are compared on one and the same task")
    check_start(run, after)
    return after


def _paired(run: Run, first: Treatment, second: Treatment, check: Check) -> list[Treatment]:
    """The pair; nothing where it is refused."""
    try:
        _considered(run, lambda: together(run, first, second).run, check)
        with _warned():
            return [together(run, first, second)]
    except SettingError:
        return []


@contextmanager
def _warned() -> Iterator[list[warnings.WarningMessage]]:
    """The warnings inside, which are not shown: the setting is only considered."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield caught
