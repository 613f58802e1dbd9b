"""What the tests of composing look at."""

from __future__ import annotations

import pytest
from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig


def asked(load: ConfigLoader, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The jobs that Hydra is asked to compose from here on."""
    real, found = load.load_sweep_config, list[list[str]]()

    def counted(base: DictConfig, job: list[str]) -> DictConfig:
        found.append(job)
        return real(base, job)

    monkeypatch.setattr(load, "load_sweep_config", counted)
    return found
