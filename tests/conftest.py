"""What all tests share: one torch thread, and where the data outside the package lies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings

from vanishgrad.choices import named

REPOSITORY = Path(__file__).parents[1]

# Small layers gain nothing from threads and lose much on busy cores.
torch.set_num_threads(1)


# The same examples every time: what is found once is found by everybody.
settings.register_profile("tests", derandomize=True, max_examples=60, deadline=None, database=None)
settings.load_profile("tests")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data sets (`mnist/`, ...): VANISHGRAD_DATA, else shared/data beside the checkout."""
    root = Path(os.environ.get("VANISHGRAD_DATA", REPOSITORY.parent / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"no data in {root}: set VANISHGRAD_DATA to a folder with mnist/")
    return root


_every_kind, _own = named.kinds_of, [False]


def _kinds(protocol: type) -> Iterator[Any]:
    return (kind for kind in _every_kind(protocol) if _own[0] or kind.__module__.startswith("vanishgrad."))


# A choice that a test defines counts once it is imported: elsewhere the shipped ones are all there are.
named.kinds_of = _kinds


@pytest.fixture
def own_choices() -> Iterator[None]:
    """Choices that tests define are known by name, as the user's own are."""
    _own[0] = True
    yield
    _own[0] = False
