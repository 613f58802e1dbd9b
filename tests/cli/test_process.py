"""A command as a process of its own: when it collects garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from vanishgrad import cli
from vanishgrad.cli import commands


@pytest.fixture
def collecting() -> Iterator[None]:
    """Garbage is collected as before, whatever a test does."""
    yield
    gc.unfreeze()
    gc.enable()


def test_nothing_is_collected_while_modules_are_imported_and_at_the_end(
    monkeypatch: pytest.MonkeyPatch, collecting: None
) -> None:
    seen = list[tuple[str, bool]]()

    def imported(name: str) -> object:
        seen.append((name, gc.isenabled()))
        return type("module", (), {"options": staticmethod(ran)})

    def ran(arguments: object) -> int:
        seen.append(("run", gc.isenabled()))
        return 0

    monkeypatch.setattr(commands, "import_module", imported)
    monkeypatch.setattr("sys.argv", ["vanishgrad", "options"])
    assert cli.command() == 0
    assert seen == [("vanishgrad.cli.options", False), ("run", True)]
    assert not gc.isenabled()
    assert gc.get_freeze_count() > 0
