"""What the tests of composing look at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hydra.core.config_loader import ConfigLoader
from hydra.types import RunMode
from omegaconf import DictConfig

from vanishgrad.config.location import CONFIG_NAME
from vanishgrad.config.plan import loader


@pytest.fixture
def load() -> Iterator[ConfigLoader]:
    with loader() as found:
        yield found


def common(load: ConfigLoader, *overrides: str) -> DictConfig:
    """What the jobs have in common, its time of day read."""
    config = load.load_configuration(CONFIG_NAME, list(overrides), RunMode.MULTIRUN)
    assert config.hydra.sweep.dir
    return config


def asked(load: ConfigLoader, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The jobs that Hydra is asked to compose from here on."""
    real, found = load.load_sweep_config, list[list[str]]()

    def counted(base: DictConfig, job: list[str]) -> DictConfig:
        found.append(job)
        return real(base, job)

    monkeypatch.setattr(load, "load_sweep_config", counted)
    return found
