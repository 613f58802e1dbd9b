"""The jobs of a sweep, composed."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig


def composed(load: ConfigLoader, base: DictConfig, jobs: Sequence[Sequence[str]]) -> list[DictConfig]:
    """The configuration of every job, as Hydra composes it."""
    return [load.load_sweep_config(base, list(job)) for job in jobs]
