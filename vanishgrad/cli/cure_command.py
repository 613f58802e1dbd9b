"""A treatment as the command that trains it, in as few words as there are."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Iterator, Sequence

from vanishgrad.config.plan import plan_of, without_hydra
from vanishgrad.config.setting import Setting, to_setting
from vanishgrad.cure.candidates import KNOWN
from vanishgrad.cure.override_text import kept, rounded
from vanishgrad.cure.treatment import Treatment
from vanishgrad.errors import SettingError
from vanishgrad.remedies import Remedy
from vanishgrad.run import Run


def shortest(typed: Sequence[str], run: Run, treatment: Treatment, search: Sequence[str] = ()) -> list[str]:
    """Overrides that compose to the treated run, the shortest form of them that does.

    Where an experiment's file gets in the way of all of them, the plain one.

    Arguments:
        typed: the overrides of the setting.
        run: that they describe.
        treatment: of it.
        search: overrides that extend Hydra's search path.
    """
    for form in forms(typed, run, treatment):
        setting = composed(form, search)
        if setting is not None and setting.effective == treatment.run:
            return form
    return [*kept(typed, treatment.overrides), *treatment.overrides]


def forms(typed: Sequence[str], run: Run, treatment: Treatment) -> Iterator[list[str]]:
    """What may be typed for a treatment, the shortest first: in place of what it replaces, then beside it.

    An experiment's file may give numbers to the choice that is replaced: then only a remedy fits.
    """
    overrides = treatment.overrides
    yield [*kept(typed, overrides), *(text for text in overrides if not text.endswith("=null"))]
    yield [*kept(typed, overrides), *overrides]
    for one, others in _one_of(treatment):
        for remedy in KNOWN:
            if _treats(remedy, run, one):
                texts = [text for other in others for text in other.overrides]
                yield [*kept(typed, texts), *texts, *_typed(remedy)]


def composed(texts: Sequence[str], search: Sequence[str] = ()) -> Setting | None:
    """The setting that `texts` describe; None where they are refused."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return to_setting(without_hydra(plan_of(list(texts), False, search).config))
    except SettingError:
        return None


def as_command(overrides: Sequence[str]) -> str:
    """`vanishgrad train depth=20 act=relu`."""
    return shlex.join(["vanishgrad", "train", *overrides])


def _one_of(treatment: Treatment) -> Iterator[tuple[Treatment, list[Treatment]]]:
    """A part of the treatment, and the other parts."""
    parts = list(treatment.parts) or [treatment]
    for one in parts:
        yield one, [other for other in parts if other is not one]


def _treats(remedy: Remedy, run: Run, one: Treatment) -> bool:
    try:
        return rounded(run, remedy(run)) == one.run
    except SettingError:
        return False


def _typed(remedy: Remedy) -> list[str]:
    return [f"remedy={remedy.name}"]
