"""A hook on a module that is nobody else's business."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Hook:
    """A hook that copies and pickles of the model do not take along."""

    def __init__(self, call: Callable[..., None] | None = None) -> None:
        self._call = call

    def __call__(self, *args: Any) -> None:
        if self._call is not None:
            self._call(*args)

    def __reduce__(self) -> tuple[type[Hook], tuple[()]]:
        return Hook, ()
