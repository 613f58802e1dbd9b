"""YAML as OmegaConf writes it, by libyaml where that is there: in a quarter of the time."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml  # type: ignore[import-untyped]
from hydra._internal.config_loader_impl import get_overrides_dirname
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf._utils import OmegaConfDumper
from omegaconf.errors import OmegaConfBaseException

from vanishgrad.config.location import group_names
from vanishgrad.config.overrides import is_hydra


class Dumper(getattr(yaml, "CDumper", yaml.Dumper)):  # type: ignore[misc]
    """Quotes strings that would be read as something else."""


Dumper.add_representer(str, OmegaConfDumper.str_representer)


def to_yaml(container: dict[Any, Any] | list[Any]) -> str:
    """The text of `OmegaConf.to_yaml`, for what `OmegaConf.to_container` gives."""
    text: str = yaml.dump(
        container, Dumper=Dumper, default_flow_style=False, allow_unicode=True, sort_keys=False
    )
    return text


PLAIN = int | float | str | bool | None
REFUSALS = (HydraException, OmegaConfBaseException, ValueError)  # a bare one for a group set to null


def composed(load: ConfigLoader, base: DictConfig, jobs: Sequence[Sequence[str]]) -> list[DictConfig]:
    """The configuration of every job, equal to what `load.load_sweep_config` composes.

    Hydra takes 60 ms for a job. It is asked once for all jobs that make the same choices; each of them is a
    copy of that, with its own numbers.

    Arguments:
        load: Hydra's loader.
        base: what the jobs have in common, with the node `hydra`.
        jobs: the overrides of each, as Hydra takes them.

    Raises:
        HydraException: of the first job that Hydra refuses, as it refuses it.
    """
    quick = QuickLoader(load)
    return [quick.take(base, job) for job in jobs]


class QuickLoader:
    """Hydra's loader, which composes the jobs of a sweep more quickly, and each only once.

    Before a sweeper hands its jobs to a launcher it composes every one, to see that it can be.

    Arguments:
        load: Hydra's own.
    """

    def __init__(self, load: ConfigLoader) -> None:
        self._load = load
        self._composer: _Composer | None = None
        self._seen: dict[tuple[str, ...], DictConfig] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._load, name)

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """The configuration of a job, as Hydra's own method composes it."""
        config = self.take(master_config, sweep_overrides)
        self._seen[tuple(sweep_overrides)] = config
        return config

    def take(self, base: DictConfig, job: Sequence[str]) -> DictConfig:
        """The same, to keep: the one that has been looked at already, if there is one."""
        if self._composer is None or self._composer.base is not base:
            self._composer = _Composer(self._load, base)
            self._seen.clear()
        config = self._seen.pop(tuple(job), None)
        return self._composer.composed(list(job)) if config is None else config


@dataclass
class _Composer:
    """Composes jobs, and remembers what it asked Hydra.

    Arguments:
        load: Hydra's loader.
        base: what the jobs have in common.
    """

    load: ConfigLoader
    base: DictConfig
    _composed: dict[tuple[str, ...], DictConfig] = field(default_factory=dict)
    _groups: dict[str, bool] = field(default_factory=dict)
    _parsed: dict[str, Override] = field(default_factory=dict)

    def composed(self, job: list[str]) -> DictConfig:
        config = self._quickly(job)
        return self.load.load_sweep_config(self.base, job) if config is None else config

    def _quickly(self, job: list[str]) -> DictConfig | None:
        """The configuration of a job; None where Hydra's own way may differ."""
        try:
            overrides = list(map(self._override, job))
            if not all(map(_is_plain, overrides)):
                return None
            choices = [o for o in overrides if self._is_choice(o)]
            config = copy.deepcopy(self._with_choices(tuple(map(_text, choices))))
            for override in overrides:
                if not self._is_choice(override):
                    OmegaConf.update(config, override.key_or_group, override.value(), merge=True)
            _name(config, overrides)
            return config
        except REFUSALS:  # Hydra meets it too, and says what is wrong
            return None

    def _override(self, text: str) -> Override:
        if text not in self._parsed:
            self._parsed[text] = OverridesParser.create().parse_override(text)
        return self._parsed[text]

    def _with_choices(self, choices: tuple[str, ...]) -> DictConfig:
        if choices not in self._composed:
            self._composed[choices] = self.load.load_sweep_config(self.base, list(choices))
        return self._composed[choices]

    def _is_choice(self, override: Override) -> bool:
        """Whether the key is a group, of ours or of a folder that was added to the search path."""
        key = override.key_or_group
        if key not in self._groups:
            self._groups[key] = key in group_names() or self._is_added(key)
        return self._groups[key]

    def _is_added(self, key: str) -> bool:
        """Whether a group is in a folder of the search path; Hydra takes 15 ms to say so."""
        search = list(self.base.hydra.overrides.hydra)
        if not any(text.startswith("hydra.searchpath=") for text in search):
            return False
        return bool(self.load.get_group_options(key, None, self.base.hydra.job.config_name, search))


def _is_plain(override: Override) -> bool:
    """Whether an override gives a key of ours one value, and that is all."""
    value = override.value()
    own = override.package is None and not is_hydra(override)
    text = isinstance(value, str) and "${" in value  # an interpolation
    return own and override.type == OverrideType.CHANGE and isinstance(value, PLAIN) and not text


def _name(config: DictConfig, overrides: Sequence[Override]) -> None:
    """Write down the overrides, in the node `hydra`."""
    job = config.hydra.job
    config.hydra.overrides.task = list(map(_text, overrides))
    job.override_dirname = get_overrides_dirname(overrides=list(overrides), **job.config.override_dirname)


def _text(override: Override) -> str:
    return override.input_line or ""
