"""What a chapter measures: sweeps of training runs, and probes for what no training shows."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeAlias

import pandas as pd
from matplotlib.figure import Figure

from vanishgrad.lab.claim import Claim, Evidence

Profile: TypeAlias = Literal["full", "quick"]
PROFILES: tuple[Profile, ...] = ("full", "quick")
QUICK_SEEDS = 2


@dataclass(frozen=True)
class Training:
    """A sweep: what `vanishgrad train -m` trains, over several seeds.

    Arguments:
        name: of its folder, and by which claims ask for it.
        overrides: as typed, without the seeds.
        seeds: how many; they are 0, 1, 2, ...
        quick: overrides that replace those of the same key in the quick profile.
    """

    name: str
    overrides: tuple[str, ...]
    seeds: int = 5
    quick: tuple[str, ...] = ()

    def typed(self, profile: Profile) -> list[str]:
        """The overrides of the sweep, the seeds last."""
        if profile == "full":
            return [*self.overrides, _seeds(self.seeds)]
        replaced = {_key(text) for text in self.quick}
        kept = [text for text in self.overrides if _key(text) not in replaced]
        return [*kept, *self.quick, _seeds(min(self.seeds, QUICK_SEEDS))]

    def command(self, profile: Profile) -> str:
        """What repeats it.

        >>> Training("depths", ("act=relu", "depth=1,2"), seeds=3).command("full")
        "vanishgrad train -m act=relu depth=1,2 'seed=range(3)'"
        """
        return shlex.join(["vanishgrad", "train", "-m", *self.typed(profile)])


@dataclass(frozen=True)
class Probe:
    """A direct measurement, by a function of the seed.

    Arguments:
        name: by which claims ask for it.
        measure: gives the rows of one seed.
        seeds: how many; they are 0, 1, 2, ...
    """

    name: str
    measure: Callable[[int], pd.DataFrame] = field(compare=False)
    seeds: int = 5

    def table(self, profile: Profile) -> pd.DataFrame:
        """The rows of all seeds, with a column `seed`."""
        count = self.seeds if profile == "full" else min(self.seeds, QUICK_SEEDS)
        rows = [self.measure(seed).assign(seed=seed) for seed in range(count)]
        return pd.concat(rows, ignore_index=True)


Experiment: TypeAlias = Training | Probe


def trainings(experiments: Sequence[Experiment]) -> list[Training]:
    """Those that are sweeps."""
    return [one for one in experiments if isinstance(one, Training)]


def probes(experiments: Sequence[Experiment]) -> list[Probe]:
    """Those that are direct measurements."""
    return [one for one in experiments if isinstance(one, Probe)]


def _seeds(count: int) -> str:
    return f"seed=range({count})"


def _key(override: str) -> str:
    return override.partition("=")[0]


TEXTS = Path(__file__).parent / "chapters"


@dataclass(frozen=True)
class Plate:
    """A figure of a chapter.

    Arguments:
        name: of its file.
        caption: what to look at in it.
        draw: draws it from the tables.
        is_picture: whether its colours mean something, so that a dark page leaves them alone.
    """

    name: str
    caption: str
    draw: Callable[[Evidence], Figure]
    is_picture: bool = False


@dataclass(frozen=True)
class Chapter:
    """A chapter; its text is in `chapters/NAME.md`.

    Arguments:
        name: by which `vanishgrad lab chapter=NAME` asks for it.
        title: its heading.
        experiments: what is measured, in the order in which the text speaks of it.
        plates: the figures; the text says where each stands, those it does not name follow it.
        claims: in the order of the table.
    """

    name: str
    title: str
    experiments: Sequence[Experiment]
    plates: Sequence[Plate]
    claims: Sequence[Claim]

    @cached_property
    def text(self) -> str:
        return (TEXTS / f"{self.name}.md").read_text(encoding="utf-8")
