"""The 8x8 digits that scikit-learn carries."""

from __future__ import annotations

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from vanishgrad.data.dataset import Examples
from vanishgrad.errors import SettingError


def read_digits() -> Examples:
    """All 1,797 digits, `(1797, 1, 8, 8)` with values 0 to 16, in file order."""
    with gzip.open(_path(), "rt", encoding="ascii") as file:
        table = torch.from_numpy(np.loadtxt(file, np.float32, delimiter=","))  # (1797, 64 pixels + label)
    return Examples(table[:, :64].reshape(-1, 1, 8, 8), table[:, 64].long(), (0.0, 16.0))


def _path() -> Path:
    """The file inside scikit-learn, which is not imported: that alone takes more than a second."""
    package = find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise SettingError("data=digits: needs scikit-learn, which carries them (pip install scikit-learn)")
    return Path(package.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
