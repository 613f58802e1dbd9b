"""Reading pickles of plain numpy arrays without letting them run anything else."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np


def loads(content: bytes) -> Any:
    """Unpickle built-in containers, strings, numbers and numpy arrays; refuse every other type or function.

    Strings that Python 2 wrote come out as latin-1, which is what numpy expects of its own data in them.
    """
    return _ArrayUnpickler(io.BytesIO(content), encoding="latin1").load()


def _dtype(code: str, align: int, copy: int) -> np.dtype[Any]:
    # Python 2 pickled 0 and 1 here, and numpy 2.4.0 to 2.4.4 warn of all but booleans.
    return np.dtype(code, align=bool(align), copy=bool(copy))


# What an array names to rebuild itself: numpy keeps the function private, and has moved it.
_RECONSTRUCT = np.empty(0).__reduce__()[0]
_ADMITTED = {
    ("numpy", "dtype"): _dtype,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, and only numpy arrays are admitted")
        return _ADMITTED[module, name]
