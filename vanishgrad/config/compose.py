"""YAML as OmegaConf writes it, by libyaml where that is there: in a quarter of the time."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, cast

import yaml  # type: ignore[import-untyped]
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
PARSED = 1 << 14  # overrides that are remembered


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
    composer = Composer(load, base)
    return [composer.composed(job) for job in jobs]


class Given(NamedTuple):
    """An override that gives a key of ours one value, and that is all.

    Arguments:
        text: as Hydra takes it.
        key: the part before the sign.
        value: what is given.
        choice: whether the key is a group.
    """

    text: str
    key: str
    value: int | float | str | bool | None
    choice: bool


class Composer:
    """Composes jobs, and remembers what it asked Hydra.

    Arguments:
        load: Hydra's loader.
        base: what the jobs have in common.
    """

    def __init__(self, load: ConfigLoader, base: DictConfig) -> None:
        self.load, self.base = load, base
        self._composed: dict[tuple[str, ...], DictConfig] = {}
        self._groups: dict[str, bool] = {}
        self.given = lru_cache(PARSED)(self._given)

    def composed(self, job: Sequence[str]) -> DictConfig:
        """The configuration of a job.

        Raises:
            HydraException: when Hydra refuses it.
        """
        config = self._quickly(job)
        return self.load.load_sweep_config(self.base, list(job)) if config is None else config

    def with_choices(self, choices: tuple[str, ...]) -> DictConfig:
        """The configuration of the jobs that make these choices, before they change numbers; to be copied.

        Raises:
            HydraException: when Hydra refuses them.
        """
        if choices not in self._composed:
            self._composed[choices] = self.load.load_sweep_config(self.base, list(choices))
        return self._composed[choices]

    def _quickly(self, job: Sequence[str]) -> DictConfig | None:
        """The configuration of a job; None where Hydra's own way may differ."""
        try:
            given = [one for text in job if (one := self.given(text)) is not None]
            if len(given) < len(job):
                return None
            config = copy.deepcopy(self.with_choices(tuple(one.text for one in given if one.choice)))
            for one in given:
                if not one.choice:
                    OmegaConf.update(config, one.key, one.value, merge=True)
            record_task(config, [(one.key, one.text) for one in given])
            return config
        except REFUSALS:  # Hydra meets it too, and says what is wrong
            return None

    def _given(self, text: str) -> Given | None:
        """What an override gives; None where that is no plain value."""
        override = OverridesParser.create().parse_override(text)
        if not _is_plain(override):
            return None
        key, value = override.key_or_group, cast("int | float | str | bool | None", override.value())
        return Given(override.input_line or "", key, value, self._is_choice(key))

    def _is_choice(self, key: str) -> bool:
        """Whether the key is a group, of ours or of a folder that was added to the search path."""
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


def record_task(config: DictConfig, given: Sequence[tuple[str, str]]) -> None:
    """Write down in the node `hydra` the overrides that are not its own, keys and texts, as Hydra does."""
    naming = config.hydra.job.config.override_dirname
    config.hydra.overrides.task = [text for _, text in given]
    named = sorted(text for key, text in given if key not in naming.exclude_keys)
    config.hydra.job.override_dirname = override_dirname(named, naming)


def override_dirname(named: Sequence[str], naming: Mapping[str, Any]) -> str:
    """What Hydra names a folder after.

    Arguments:
        named: overrides, sorted, without those whose keys are left out.
        naming: Hydra's node `job.config.override_dirname`.
    """
    return str(naming["item_sep"].join(named).replace("=", naming["kv_sep"]))
