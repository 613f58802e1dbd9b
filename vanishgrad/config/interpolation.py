"""Why settings cannot be put together, in plain words: what a `${...}` may stand for, and what it may not."""

from __future__ import annotations

import re

from omegaconf.errors import GrammarParseError, MissingMandatoryValue, OmegaConfBaseException

EXAMPLE = "write ${KEY}, such as ${width}"
REASONS = {
    r"Interpolation key '(.+)' not found": r"there is no setting \1 to take its value from",
    r"Error resolving key '(.+)'": r"there is no setting \1 to take its value from",
    r"Unsupported interpolation type (\S+)": r"there is no \1 in ${\1:...}",
    r"Recursive interpolation": "takes its value from itself",
    r"Environment variable '(.+)' not found": r"the environment variable \1 is not set",
}


def plainly(error: BaseException) -> str:
    """What was wrong, by the key that it is about.

    >>> from omegaconf import OmegaConf
    >>> try:
    ...     OmegaConf.create({"depth": "${deep}"}).depth
    ... except OmegaConfBaseException as error:
    ...     print(plainly(error))
    depth: there is no setting deep to take its value from; write ${KEY}, such as ${width}
    """
    own = error if isinstance(error, OmegaConfBaseException) else error.__cause__
    if not isinstance(own, OmegaConfBaseException):
        return _first_line(error)
    key = own.full_key or "the settings"
    if isinstance(own, MissingMandatoryValue):
        return f"{key}=???: has no value; give it one"
    return f"{key}: {_reason(own)}"


def _reason(error: OmegaConfBaseException) -> str:
    said = str(error)
    for pattern, reason in REASONS.items():
        if match := re.search(pattern, said):
            return f"{match.expand(reason)}; {EXAMPLE}"
    if isinstance(error, GrammarParseError):
        return f"the ${{ in it is not understood; {EXAMPLE}"
    return f"has no value that could be worked out; {EXAMPLE}"


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
