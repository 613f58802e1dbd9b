"""What a command line asks for, worked out and checked before anything is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hydra import initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper, BasicSweeperConf
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, flag_override
from omegaconf.errors import OmegaConfBaseException

from vanishgrad.config import grammar, hydra_keys
from vanishgrad.config import overrides as typed_overrides
from vanishgrad.config.compose import composed, record_task
from vanishgrad.config.interpolation import plainly
from vanishgrad.config.location import CONFIG_NAME, choice_names, config_folder, group_names
from vanishgrad.description import choices_in
from vanishgrad.errors import SettingError, one_of, require
from vanishgrad.run import SCALARS

VERSION_BASE = "1.3"
JOB_NAME = "vanishgrad"
SEARCH = "hydra.searchpath="
DATED = "${now:"

for group in typed_overrides.NULLABLE:
    ConfigStore.instance().store(group=group, name=typed_overrides.NULL, node={}, package="_global_")


@dataclass(frozen=True)
class Composition:
    """A command line, understood.

    Arguments:
        overrides: as Hydra takes them.
        config: composed; of a sweep what its jobs have in common. With the node `hydra`.
        swept: whether it is a sweep.
        folder: of the run or the sweep.
        dated: whether the folder is named by the time, so that another command may want the same name.
    """

    overrides: list[str]
    config: DictConfig
    swept: bool
    folder: Path
    dated: bool


def without_hydra(config: DictConfig) -> DictConfig:
    """The setting in a composed configuration."""
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


def plan_of(texts: Sequence[str], multirun: bool, search: Sequence[str] = (), alone: str = "") -> Composition:
    """The plan of the overrides `texts`.

    Arguments:
        texts: as typed.
        multirun: whether -m was given.
        search: overrides that extend Hydra's search path.
        alone: why several values are refused, where a command looks at one setting.

    Raises:
        SettingError: when a name is mistyped, or the settings cannot be put together.
    """
    with loader() as load, hydra_errors():
        overrides = understood(texts, load, search)
        own = [override for override in overrides if is_own_of_hydra(override)]
        plain = [*search, *typed_overrides.normalised([o for o in overrides if _is_composed(o)])]
        config = _composed(load, plain)
        hydra_keys.check(own, config.hydra)
        if not all(map(hydra_keys.stands_alone, own)):
            config = _composed(load, [*plain, *typed_overrides.normalised(own)])
        _record(config, overrides, search)
        swept = multirun or config.hydra.mode == RunMode.MULTIRUN
        for override in overrides:
            require(swept or not override.is_sweep_override(), _several(override, alone))
        hydra_keys.check_use(filter(typed_overrides.is_hydra, overrides), swept, alone)
        if not is_search(config):
            _check_intervals(overrides)
        _set_parameters(config, overrides, swept)
        where = config.hydra.sweep if swept else config.hydra.run
        key = f"hydra.{'sweep' if swept else 'run'}.dir"
        named = isinstance(where.dir, str) and where.dir.strip() != ""
        require(named, f"{key}={where.dir or ''}: must name a folder; leave it out for outputs/<date>_<time>")
        dated = DATED in str(OmegaConf.to_container(where, resolve=False))
        return Composition(typed_overrides.normalised(overrides), config, swept, _folder(where), dated)


def _record(config: DictConfig, overrides: Sequence[Override], search: Sequence[str]) -> None:
    """Write down in the node `hydra` what was typed, as Hydra does.

    Arguments:
        config: composed, of some of the overrides.
        overrides: all of them.
        search: overrides that extend Hydra's search path.
    """
    node, pairs = config.hydra, list(zip(overrides, typed_overrides.normalised(overrides), strict=True))
    node.overrides.hydra = [*search, *(text for one, text in pairs if typed_overrides.is_hydra(one))]
    record_task(
        config, [(one.key_or_group, text) for one, text in pairs if not typed_overrides.is_hydra(one)]
    )


def is_own_of_hydra(override: Override) -> bool:
    """Whether it is one of Hydra's own settings, and no group."""
    return typed_overrides.is_hydra(override) and "/" not in override.key_or_group


def _is_composed(override: Override) -> bool:
    """Whether it is put together first, before parameters and Hydra's own settings are looked at."""
    return not typed_overrides.is_parameter(override) and not is_own_of_hydra(override)


def _composed(load: ConfigLoader, overrides: list[str]) -> DictConfig:
    return load.load_configuration(CONFIG_NAME, overrides, RunMode.MULTIRUN, validate_sweep_overrides=False)


def _several(override: Override, alone: str) -> str:
    """What to say of several values where there is no sweep."""
    text = override.input_line or ""
    if alone:
        return f"{text}: several values are a sweep; {alone}"
    as_text = f", or quote it as one text, {grammar.as_one(text)}"
    return (
        f"{text}: several values need a sweep: add -m, or write [...] for a list"
        f"{as_text if typed_overrides.is_text(text) else ''}"
    )


def is_search(config: DictConfig) -> bool:
    """Whether a sweeper chooses the values, by what earlier runs came to."""
    return bool(config.hydra.sweeper._target_ != BasicSweeperConf._target_)


def _check_intervals(overrides: Sequence[Override]) -> None:
    for override in overrides:
        require(
            not override.is_interval_sweep(),
            f"{override.input_line}: an interval is for a search, hydra/sweeper=optuna; list values, such as "
            f"{override.key_or_group}=0.1,1, or use range(START,STOP,STEP)",
        )


def _folder(where: DictConfig) -> Path:
    """The folder of a run or a sweep."""
    try:
        return Path(where.dir)
    except OmegaConfBaseException as error:
        raise SettingError(plainly(error)) from None


def jobs_of(plan: Composition) -> list[DictConfig]:
    """The configurations of all jobs of a sweep over listed values; none where a sweeper decides itself."""
    with loader() as load, hydra_errors():
        return composed(load, plan.config, listed_jobs(plan, load))


def listed_jobs(plan: Composition, load: ConfigLoader) -> list[list[str]]:
    """The overrides of the jobs of a sweep over listed values; none where a sweeper decides itself."""
    if is_search(plan.config):
        return []
    params = [f"{key}={value}" for key, value in (plan.config.hydra.sweeper.params or {}).items()]
    parsed = OverridesParser.create(load).parse_overrides([*params, *plan.overrides])
    listed = [override for override in parsed if not override.is_hydra_override()]
    jobs: list[list[str]] = BasicSweeper.split_arguments(listed, None)[0]
    return jobs


def understood(texts: Sequence[str], load: ConfigLoader, search: Sequence[str] = ()) -> list[Override]:
    """The overrides `texts`, parsed, every name in them known."""
    added = [text for text in texts if text.startswith(SEARCH)]
    for text in added:
        hydra_keys.check_search(grammar.parse(text).value(), text)
    groups = _groups(load, [*search, *added])
    parsed = typed_overrides.parse(texts, groups)
    typed_overrides.check_sweep(parsed)
    of_hydra = [override for override in parsed if override.key_or_group.startswith("hydra/")]
    if of_hydra:
        hydra_keys.check_groups(of_hydra, load.list_groups)
    for override in parsed:
        typed_overrides.check_names(override, groups, (*SCALARS, "objective"))
        typed_overrides.check_text(override)
    return parsed


def _groups(load: ConfigLoader, search: Sequence[str]) -> dict[str, list[str]]:
    """The choices of every group. Hydra takes 15 ms for each, so it is asked only about other folders."""
    groups = {name: choice_names(name) for name in group_names()}
    if search:
        groups = {name: load.get_group_options(name, overrides=list(search)) for name in groups}
    return groups | {name: [*groups[name], typed_overrides.NULL] for name in typed_overrides.NULLABLE}


@contextmanager
def loader() -> Iterator[ConfigLoader]:
    """Hydra's loader of the files in `conf`."""
    with initialize_config_dir(str(config_folder()), job_name=JOB_NAME, version_base=VERSION_BASE):
        yield GlobalHydra.instance().config_loader()


@contextmanager
def hydra_errors() -> Iterator[None]:
    """Hydra's errors about a configuration, as the one error that users see."""
    try:
        yield
    except MissingConfigException as error:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        one_of(group or "config", name, error.options or ())
        raise
    except (HydraException, OmegaConfBaseException) as error:
        raise SettingError(plainly(error)) from None


def _set_parameters(config: DictConfig, overrides: Sequence[Override], swept: bool) -> None:
    """Check the parameters of choices, and set those that are the same in every job."""
    options = _options(config.hydra.runtime.choices, overrides)
    for override in filter(typed_overrides.is_parameter, overrides):
        typed_overrides.check_parameters(override, options[override.key_or_group.partition(".")[0]])
        if not swept:
            with flag_override(config, "struct", False):
                OmegaConf.update(config, override.key_or_group, override.value(), merge=True)


def _options(chosen: Mapping[str, str | None], overrides: Sequence[Override]) -> dict[str, list[str]]:
    """The choices that the jobs make of each group: those typed, else the one composed."""
    options = {group: [name or typed_overrides.NULL] for group, name in chosen.items()}
    typed = {
        o.key_or_group: list(typed_overrides.override_values(o))
        for o in overrides
        if not typed_overrides.is_parameter(o)
    }
    options |= {group: [str(name) for name in names] for group, names in typed.items()}
    return options | {group: _own(group, options) for group in typed_overrides.NULLABLE}


def _own(group: str, options: Mapping[str, Sequence[str]]) -> list[str]:
    """The choices of a group with null resolved: the model's own activation, the data's own loss."""
    models, sources = choices_in("model"), choices_in("data")
    own = {
        "act": [models[name].default_act.name for name in options["model"] if name in models],
        "loss": [sources[name].default_loss for name in options["data"] if name in sources],
    }
    return list(dict.fromkeys(
        name
        for option in options[group]
        for name in (own[group] if option == typed_overrides.NULL else [option])
    ))  # fmt: skip
