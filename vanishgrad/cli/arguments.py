"""Arguments of the form key=value, for the commands that compose no setting."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from vanishgrad.config.location import use_own
from vanishgrad.errors import SettingError, cut, meant, one_of, require


def keywords(
    arguments: Sequence[str], valid: Collection[str], may_be_empty: Collection[str] = ()
) -> dict[str, str]:
    """`["out=DIR"]` -> `{"out": "DIR"}`; keys that are not `valid`, or given twice, are refused."""
    pairs: dict[str, str] = {}
    for argument in arguments:
        key, sign, value = argument.partition("=")
        require(bool(sign), f"{argument}: write key=value; valid are {', '.join(valid)}")
        if key not in valid:
            there = f"valid are {', '.join(valid)}{meant(key, valid)}"
            raise SettingError(f"{argument}: there is no option {key}; {there}")
        require(value != "" or key in may_be_empty, f"{argument}: has no value")
        require(key not in pairs, f"{argument}: {key} is given twice")
        pairs[key] = value
    return pairs


def own_choices(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments without `--config-dir DIR`, whose choices may then be used, and Hydra's word for it."""
    rest, folder = list(arguments), None
    for place, argument in enumerate(rest):
        if argument.startswith("--config-dir"):
            _, sign, folder = argument.partition("=")
            if not sign:
                require(place + 1 < len(rest), "--config-dir: needs a folder")
                folder = rest.pop(place + 1)
            rest.pop(place)
            break
    use_own(folder)
    return rest, [] if folder is None else [f"hydra.searchpath=['file://{Path(folder).absolute()}']"]


def listed(value: str) -> list[str]:
    """`[A,B]` or `A` as a list."""
    inner = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    return [item.strip() for item in inner.split(",") if item.strip()] if inner != value else [value]


def several(value: str) -> list[str]:
    """`[A,B]` or `A,B` as a list: names have no comma, unlike folders."""
    return listed(value if value.startswith("[") else f"[{value}]")


def truth(key: str, value: str) -> bool:
    """true or false, however they are written."""
    require(value.casefold() in ("true", "false"), f"{key}={value}: must be true or false")
    return value.casefold() == "true"


def integer(key: str, text: str, least: int | None = None) -> int:
    """A whole number of at least `least`."""
    rule = "an integer" if least is None else f"an integer of at least {least}"
    try:
        value = int(text)
    except ValueError:  # no number, or one of thousands of digits
        raise SettingError(f"{key}={cut(text)}: must be {rule}") from None
    require(least is None or value >= least, f"{key}={text}: must be {rule}")
    return value


OVERWRITE = "overwrite"


def overwrite_option(texts: Sequence[str]) -> tuple[bool, list[str]]:
    """Whether `overwrite=true` is among `texts`, so that what is in the folder goes; and the others."""
    own = [text for text in texts if text.partition("=")[0] == OVERWRITE]
    values = keywords(own, [OVERWRITE])
    return truth(OVERWRITE, values.get(OVERWRITE, "false")), [text for text in texts if text not in own]


PREFIX = "sweep."
LAUNCHER = "hydra/launcher="


@dataclass(frozen=True)
class SweepOptions:
    """How a sweep is run.

    Arguments:
        max_stack: runs that are trained as one computation at most; None leaves it to the network's size.
        resume: the folder of a sweep to go on with.
        retry: failed or diverged: what is done again when going on, next to what had not ended.
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
    own = keywords([text for text in texts if text.startswith(PREFIX)], [f"{PREFIX}{name}" for name in NAMES])
    values = {key.removeprefix(PREFIX): value for key, value in own.items()}
    others = [text for text in texts if not text.startswith(PREFIX)]
    for name in values:
        _is_vectorized(name, others)
    options = SweepOptions(
        integer("sweep.max_stack", values["max_stack"], 1) if "max_stack" in values else None,
        _folder(values["resume"]) if "resume" in values else None,
        _retry(values),
        truth("sweep.fail_fast", values.get("fail_fast", "false")),
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


def _folder(text: str) -> Path:
    name = text.strip("'\"")
    require(name != "", "sweep.resume=: must be the folder of a sweep")
    folder = Path(name).expanduser()
    require(folder.is_dir(), f"sweep.resume={name}: there is no such folder")
    return folder


def _retry(values: dict[str, str]) -> str | None:
    if "retry" not in values:
        return None
    one_of("sweep.retry", values["retry"], ("failed", "diverged"))
    require("resume" in values, f"sweep.retry={values['retry']}: is for sweep.resume=DIR; give that too")
    return values["retry"]
