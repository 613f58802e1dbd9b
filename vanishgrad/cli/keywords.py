"""Arguments of the form key=value, for the commands that compose no setting."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from difflib import get_close_matches

from vanishgrad.errors import SettingError, require


def keywords(
    arguments: Sequence[str], valid: Collection[str], may_be_empty: Collection[str] = ()
) -> dict[str, str]:
    """`["out=DIR"]` -> `{"out": "DIR"}`; keys that are not `valid`, or given twice, are refused."""
    found: dict[str, str] = {}
    for argument in arguments:
        key, sign, value = argument.partition("=")
        require(bool(sign), f"{argument}: write key=value; valid are {', '.join(valid)}")
        if key not in valid:
            near = get_close_matches(key, valid, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise SettingError(f"{argument}: there is no option {key}; valid are {', '.join(valid)}{hint}")
        require(value != "" or key in may_be_empty, f"{argument}: has no value")
        require(key not in found, f"{argument}: {key} is given twice")
        found[key] = value
    return found


def listed(value: str) -> list[str]:
    """`[A,B]` or `A` as a list."""
    inner = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    return [item.strip() for item in inner.split(",") if item.strip()] if inner != value else [value]


def several(value: str) -> list[str]:
    """`[A,B]` or `A,B` as a list: names have no comma, unlike folders."""
    return listed(value if value.startswith("[") else f"[{value}]")


def truth(key: str, value: str) -> bool:
    """true or false."""
    require(value in ("true", "false"), f"{key}={value}: must be true or false")
    return value == "true"
