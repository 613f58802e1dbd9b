"""What all tests share: one torch thread, and where the data outside the package lies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

REPOSITORY = Path(__file__).parents[1]

# Small layers gain nothing from threads and lose much on busy cores.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data sets (`mnist/`, ...): VANISHGRAD_DATA, else shared/data beside the checkout."""
    root = Path(os.environ.get("VANISHGRAD_DATA", REPOSITORY.parent / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"no data in {root}: set VANISHGRAD_DATA to a folder with mnist/")
    return root
