"""Hydra's launcher `vectorized`."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra.test_utils.launcher_common_tests import LauncherTestSuite
from hydra.version import VersionBase, __compat_version__

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _as_hydra_was_when_the_suite_was_written() -> Iterator[None]:
    """Jobs change the directory by default, whatever an earlier test asked for."""
    before = VersionBase.instance()
    oldest = copy.copy(before)
    oldest.setbase(__compat_version__)
    VersionBase.set_instance(oldest)
    yield
    VersionBase.set_instance(before)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("launcher_name, overrides", [("vectorized", [])])
class TestVectorizedLauncher(LauncherTestSuite):
    """Hydra's own contract for launchers."""


def test_finding_the_launcher_imports_nothing_but_hydra() -> None:
    file = REPOSITORY / "hydra_plugins/vanishgrad_launcher/vectorized.py"
    nodes = [
        node for node in ast.parse(file.read_text()).body if isinstance(node, ast.ImportFrom | ast.Import)
    ]
    names = {node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in nodes}
    assert {str(name).partition(".")[0] for name in names} <= {
        "__future__", "collections", "pathlib", "hydra", "omegaconf",
    }  # fmt: skip
