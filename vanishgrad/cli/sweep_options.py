"""`sweep.KEY=VALUE` on the command line: how a sweep is run, not what it trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from vanishgrad.errors import one_of, require

PREFIX = "sweep."
LAUNCHER = "hydra/launcher="


@dataclass(frozen=True)
class SweepOptions:
    """How a sweep is run.

    Arguments:
        max_stack: runs that are trained as one computation at the most; None leaves it to the network's size.
        resume: the folder of a sweep to go on with.
        retry: failed or diverged: what is done again when going on, beside what had not ended.
        fail_fast: begin no more runs once one has failed.
        verbose: tell why runs are trained alone.
        typed: the other overrides, as sweep.json keeps them.
    """

    max_stack: int | None = None
    resume: Path | None = None
    retry: str | None = None
    fail_fast: bool = False
    verbose: bool = False
    typed: tuple[str, ...] = ()


NAMES = tuple(item.name for item in fields(SweepOptions) if item.name not in ("verbose", "typed"))


def sweep_options(texts: Sequence[str], verbose: bool = False) -> tuple[SweepOptions, list[str]]:
    """The options among the overrides `texts`, and the other overrides.

    Raises:
        SettingError: for an option that there is not, or a value that it cannot have.
    """
    given = dict(text.removeprefix(PREFIX).partition("=")[::2] for text in texts if text.startswith(PREFIX))
    others = [text for text in texts if not text.startswith(PREFIX)]
    for name in given:
        require(name in NAMES, f"sweep.{name}: there is no such option; valid are {', '.join(NAMES)}")
        _is_vectorized(name, others)
    options = SweepOptions(
        _count(given["max_stack"]) if "max_stack" in given else None,
        _folder(given["resume"]) if "resume" in given else None,
        _retry(given),
        _truth(given.get("fail_fast", "false")),
        verbose,
        tuple(others),
    )
    return options, others


def _is_vectorized(name: str, others: Sequence[str]) -> None:
    """Refuse an option with a launcher that runs job after job by Hydra's rules."""
    for text in others:
        require(
            not text.startswith(LAUNCHER) or text == f"{LAUNCHER}vectorized",
            f"sweep.{name}: is for hydra/launcher=vectorized, the default; leave out {text}",
        )


def _count(text: str) -> int:
    require(text.isdecimal() and int(text) > 0, f"sweep.max_stack={text}: must be an integer of at least 1")
    return int(text)


def _folder(text: str) -> Path:
    found = text.strip("'\"")
    require(found != "", "sweep.resume=: must be the folder of a sweep")
    folder = Path(found).expanduser()
    require(folder.is_dir(), f"sweep.resume={found}: there is no such folder")
    return folder


def _retry(given: dict[str, str]) -> str | None:
    if "retry" not in given:
        return None
    one_of("sweep.retry", given["retry"], ("failed", "diverged"))
    require("resume" in given, f"sweep.retry={given['retry']}: is for sweep.resume=DIR; give that too")
    return given["retry"]


def _truth(text: str) -> bool:
    one_of("sweep.fail_fast", text, ("true", "false"))
    return text == "true"
