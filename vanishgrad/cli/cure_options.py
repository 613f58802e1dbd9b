"""What is typed behind `vanishgrad cure` beside the setting: how a cure is looked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vanishgrad.cli.keywords import keywords, truth
from vanishgrad.errors import one_of, require

PREFIX = "cure."
OWN = ("budget", "seeds", "pairs")
BARE = ("apply", "out", "report", "format")
MOST_STEPS = 1000  # of a trial, where nothing is said
REMEDY = ("remedy=", "remedy.")


@dataclass(frozen=True)
class CureOptions:
    """How a cure is looked for.

    Arguments:
        budget: steps of a trial in the last round; None for those of the setting, at most 1000.
        seeds: of every treatment.
        pairs: whether pairs are tried.
        apply: whether the best treatment is trained in full afterwards.
        report: whether a report is written.
        out: the folder; None for a dated one in outputs/.
        json: whether the answer is one JSON document.
    """

    budget: int | None = None
    seeds: int = 3
    pairs: bool = True
    apply: bool = False
    report: bool = True
    out: Path | None = None
    json: bool = False

    def steps(self, total: int) -> int:
        """Of a trial in the last round, for a setting that trains for `total` steps."""
        return min(total, MOST_STEPS if self.budget is None else self.budget)


def cure_options(texts: Sequence[str]) -> tuple[CureOptions, list[str]]:
    """The options among `texts`, and the others: the setting.

    Raises:
        SettingError: for an option that there is not, or a value that it cannot have.
    """
    own = [text for text in texts if _is_own(text)]
    others = [text for text in texts if not _is_own(text)]
    for text in others:
        require(not text.startswith(REMEDY), f"{text}: cure tries the remedies itself; leave it out")
        require(
            not text.startswith("sweep."), f"{text}: is for vanishgrad train -m; of cure there are {_valid()}"
        )
    given = keywords(own, [*(f"{PREFIX}{name}" for name in OWN), *BARE])
    style = given.get("format", "text")
    one_of("format", style, ("text", "json"))
    return CureOptions(
        _count("cure.budget", given["cure.budget"]) if "cure.budget" in given else None,
        _count("cure.seeds", given.get("cure.seeds", "3")),
        truth("cure.pairs", given.get("cure.pairs", "true")),
        truth("apply", given.get("apply", "false")),
        truth("report", given.get("report", "true")),
        _folder(given["out"]) if "out" in given else None,
        style == "json",
    ), others  # fmt: skip


def _is_own(text: str) -> bool:
    return text.startswith(PREFIX) or text.partition("=")[0] in BARE


def _valid() -> str:
    return ", ".join([*(f"{PREFIX}{name}" for name in OWN), *BARE])


def _count(key: str, text: str) -> int:
    require(text.isdecimal() and int(text) > 0, f"{key}={text}: must be an integer of at least 1")
    return int(text)


def _folder(text: str) -> Path:
    folder = Path(text.strip("'\"")).expanduser()
    require(not folder.exists() or folder.is_dir(), f"out={text}: is a file, not a folder")
    empty = not folder.exists() or not any(folder.iterdir())
    require(empty, f"out={text}: there is something in it; name a new folder")
    return folder
