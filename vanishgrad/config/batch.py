"""The jobs of a sweep as plain data: what many of them share is composed, read and written out once."""

from __future__ import annotations

import re
from bisect import insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig, OmegaConf, open_dict

from vanishgrad.config.compose import REFUSALS, Composer, Given, override_dirname, to_yaml
from vanishgrad.config.plan import Composition, hydra_errors, listed_jobs, loader
from vanishgrad.config.setting import resolved
from vanishgrad.errors import SettingError
from vanishgrad.sweeps.job import TextFile

SEED = "seed"
SEEDED = re.compile(r"seed=(-?[1-9]\d{0,17}|0)")  # as an integer is written everywhere
MISSING, INTERPOLATION = "???", "${"
NUMBER, DIRNAME = "${hydra.job.num}", "${hydra.job.override_dirname}"
MARKS = re.compile(r"vanishgradmark(\d+)x")
WORD = re.compile(r"[A-Za-z_][\w.,=+/-]*")  # that YAML writes as it is, but for a few

Values = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Family:
    """Jobs that differ in nothing but their number and their seed.

    Arguments:
        setting: the configuration of one of them, resolved, without Hydra's node.
        files: what Hydra leaves in the folder of a job.
        words: of the files, but for those that follow from number and seed.
        seed: the place of the seed's own among the words; None where the jobs have one seed.
        named: the overrides, but for a seed in which they differ, that a folder may be named by, sorted.
        subdir: of a job, as it is configured.
        refusal: why the setting cannot be read; empty where it can.
    """

    setting: Values
    files: tuple[TextFile, ...] = ()
    words: tuple[str, ...] = ()
    seed: int | None = None
    named: tuple[str, ...] = ()
    subdir: str = ""
    refusal: str = ""


class ComposedJob(NamedTuple):
    """A job of a sweep, composed.

    Arguments:
        number: in the sweep.
        overrides: as Hydra takes them.
        subdir: the folder of the job in that of the sweep.
        family: what it has in common with others.
        seed: in which it differs from them, if it does.
        words: of the files of its family.
    """

    number: int
    overrides: tuple[str, ...]
    subdir: str
    family: Family
    seed: int | None = None
    words: tuple[str, ...] = ()


def numbered(config: DictConfig, number: int) -> DictConfig:
    """A composed configuration with its number in the sweep."""
    with open_dict(config):
        config.hydra.job.id, config.hydra.job.num = str(number), number
    return config


def alone(config: DictConfig, number: int) -> ComposedJob:
    """A job that has nothing in common with others, as it was composed.

    Arguments:
        config: with Hydra's node, which has the number that the folder may be named by.
        number: in the sweep.
    """
    subdir = str(config.hydra.sweep.subdir)
    own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    files = tuple(TextFile(path, (text,)) for path, text in _hydras_files(_plain(config)))
    try:
        family = Family(resolved(own), files)
    except SettingError as error:
        family = Family({}, files, refusal=str(error))
    return ComposedJob(number, tuple(config.hydra.overrides.task), subdir, family)


def batch_of(plan: Composition) -> list[ComposedJob]:
    """The jobs of a sweep over listed values; none where a sweeper decides itself."""
    with loader() as load, hydra_errors():
        composer, jobs = BatchComposer(load, plan.config), listed_jobs(plan, load)
        return [composer.job(job, number) for number, job in enumerate(jobs)]


class QuickLoader:
    """Hydra's loader, which composes the jobs of a sweep more quickly, and each only once.

    Before a sweeper hands its jobs to a launcher it composes every one, to see that it can be.

    Arguments:
        load: Hydra's own.
    """

    def __init__(self, load: ConfigLoader) -> None:
        self._load = load
        self._composer: BatchComposer | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._load, name)

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """See that a job can be composed, which is what sweepers ask for; the configuration is not its own.

        Raises:
            HydraException: when Hydra refuses it.
        """
        self._of(master_config).look(sweep_overrides)
        return master_config

    def take(self, base: DictConfig, job: Sequence[str], number: int) -> ComposedJob:
        """The job with the overrides `job` and its number."""
        return self._of(base).job(job, number)

    def _of(self, base: DictConfig) -> BatchComposer:
        if self._composer is None or self._composer.base is not base:
            self._composer = BatchComposer(self._load, base)
        return self._composer


class BatchComposer:
    """Composes the jobs of a sweep.

    Hydra is asked once about the jobs that make the same choices. Those in which its own way may come to
    something else, such as jobs with interpolations, are composed one by one.

    Arguments:
        load: Hydra's loader.
        base: what the jobs have in common, with Hydra's node.
    """

    def __init__(self, load: ConfigLoader, base: DictConfig) -> None:
        self.base, self._composer = base, Composer(load, base)
        self._naming = _plain(base)["hydra"]["job"]["config"]["override_dirname"]
        self._shapes: dict[tuple[str, ...], _Shape | None] = {}
        self._families: dict[tuple[str, ...], Family | None] = {}
        self._looked_at: dict[tuple[str, ...], DictConfig] = {}

    def look(self, job: Sequence[str]) -> None:
        """See that a job can be composed.

        Raises:
            HydraException: of a job that Hydra refuses, as it refuses it.
        """
        if self._family(*_without_seed(job)) is None:
            self._looked_at[tuple(job)] = self._composer.composed(job)

    def job(self, job: Sequence[str], number: int) -> ComposedJob:
        """The job with the overrides `job`.

        Raises:
            HydraException: when Hydra refuses it.
        """
        others, seed = _without_seed(job)
        family = self._family(others, seed)
        if family is not None:
            return self._member(family, tuple(job), number, seed)
        config = self._looked_at.pop(tuple(job), None)
        return alone(numbered(self._composer.composed(job) if config is None else config, number), number)

    def _member(self, family: Family, job: tuple[str, ...], number: int, seed: str | None) -> ComposedJob:
        named, words = list(family.named), list(family.words)
        if seed is not None and family.seed is not None:
            words[family.seed : family.seed + 2] = seed, f"{SEED}={seed}"
            if SEED not in self._naming["exclude_keys"]:
                insort(named, f"{SEED}={seed}")
        dirname = override_dirname(named, self._naming)
        words += [dirname if WORD.fullmatch(dirname) else _yaml(dirname), f"'{number}'", str(number)]
        subdir = family.subdir.replace(NUMBER, str(number)).replace(DIRNAME, dirname)
        own = None if seed is None else int(seed)
        return ComposedJob(number, job, subdir, family, own, tuple(words))

    def _family(self, others: tuple[str, ...], seed: str | None) -> Family | None:
        """The family of a job; None where Hydra's own way may come to something else."""
        if others not in self._families:
            self._families[others] = self._new_family(others, seed)
        return self._families[others]

    def _new_family(self, others: Sequence[str], seed: str | None) -> Family | None:
        job = [text if text != SEED else f"{SEED}={seed}" for text in others]
        try:
            given = [one for text in job if (one := self._composer.given(text)) is not None]
            if len(given) < len(job) or not all(map(_is_unbroken, job)):
                return None
            shape = self._shape([one.text for one in given if one.choice], given)
        except REFUSALS:
            return None
        numbers = {one.key: one for one in given if not one.choice}
        twice = len(numbers) < sum(not one.choice for one in given)
        if shape is None or twice or any(one.value == MISSING for one in given):
            return None
        words = [word for one in numbers.values() for word in (_yaml(one.value), _yaml(one.text))]
        named = (one for one in given if one.key not in self._naming["exclude_keys"])
        return Family(
            _changed(shape.setting, {key: one.value for key, one in numbers.items()}),
            shape.files,
            tuple(words),
            None if seed is None else 2 * list(numbers).index(SEED),
            tuple(sorted(one.text for one in named if seed is None or one.key != SEED)),
            shape.subdir,
        )

    def _shape(self, choices: Sequence[str], given: Sequence[Given]) -> _Shape | None:
        pattern = tuple(one.text if one.choice else one.key for one in given)
        if pattern not in self._shapes:
            config = self._composer.with_choices(tuple(choices))
            self._shapes[pattern] = self._new_shape(_plain(config), given)
        return self._shapes[pattern]

    def _new_shape(self, whole: dict[str, Any], given: Sequence[Given]) -> _Shape | None:
        """What is shared by the jobs with the keys `given`; None where they cannot share it."""
        hydra, keys = whole["hydra"], [one.key for one in given if not one.choice]
        own = {key: value for key, value in whole.items() if key != "hydra"}
        subdir = str(hydra["sweep"]["subdir"])
        known = subdir.replace(NUMBER, "").replace(DIRNAME, "")
        marks = {key: _mark(2 * place) for place, key in enumerate(keys)}
        if MARKS.search(str(whole)) or not all(_is_value(own, key) for key in keys):
            return None
        marked = _changed(own, marks)
        if INTERPOLATION in known or any(INTERPOLATION in text or text == MISSING for text in _texts(marked)):
            return None
        task = [one.text if one.choice else _mark(2 * keys.index(one.key) + 1) for one in given]
        names = ("override_dirname", "id", "num")
        more = {name: _mark(word) for word, name in enumerate(names, 2 * len(keys))}
        node = {**hydra, "overrides": {**hydra["overrides"], "task": task}, "job": {**hydra["job"], **more}}
        written = _hydras_files({**marked, "hydra": node})
        return _Shape(own, tuple(TextFile(path, _parts(text)) for path, text in written), subdir)


@dataclass(frozen=True, eq=False)
class _Shape:
    """What jobs share that make the same choices and give values to the same keys.

    Arguments:
        setting: the configuration with the choices alone.
        files: with two words for each key, its value and its override; then what a folder is named by, the
            number as text, and the number.
        subdir: of a job, as it is configured.
    """

    setting: Values
    files: tuple[TextFile, ...]
    subdir: str


def _without_seed(job: Sequence[str]) -> tuple[tuple[str, ...], str | None]:
    """The overrides of a job with `seed` in place of its seed, and the seed, if it has one."""
    for place, text in enumerate(job):
        if found := SEEDED.fullmatch(text):
            return (*job[:place], SEED, *job[place + 1 :]), found[1]
    return tuple(job), None


def _plain(config: DictConfig) -> dict[str, Any]:
    """As Hydra writes it: not resolved."""
    whole: Any = OmegaConf.to_container(config, resolve=False, enum_to_str=True)
    return dict(whole)


def _hydras_files(whole: Values) -> list[tuple[str, str]]:
    """What Hydra leaves in the folder of a job with this configuration: paths and texts."""
    hydra = whole["hydra"]
    where = hydra["output_subdir"]
    if where is None:
        return []
    own = {key: value for key, value in whole.items() if key != "hydra"}
    parts = {"config": own, "hydra": {"hydra": hydra}, "overrides": hydra["overrides"]["task"]}
    return [(f"{where}/{name}.yaml", to_yaml(part)) for name, part in parts.items()]


def _parts(text: str) -> tuple[str | int, ...]:
    """A text in which marks stand for the words."""
    return tuple(int(part) if place % 2 else part for place, part in enumerate(MARKS.split(text)))


def _mark(word: int) -> str:
    return f"vanishgradmark{word}x"


def _is_value(setting: Values, key: str) -> bool:
    """Whether the setting has a number or a word under a key."""
    head, _, parameter = key.partition(".")
    place = setting.get(head) if parameter else setting
    name = parameter or head
    return isinstance(place, Mapping) and name in place and not isinstance(place[name], Mapping | list)


def _changed(setting: Values, values: Values) -> dict[str, Any]:
    """The setting with other values; what does not change is shared."""
    changed = dict(setting)
    for key, value in values.items():
        head, _, parameter = key.partition(".")
        changed[head] = {**changed[head], parameter: value} if parameter else value
    return changed


def _texts(value: Any) -> Iterator[str]:
    """All texts in plain data."""
    if isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


@lru_cache(maxsize=1 << 14, typed=True)
def _yaml(value: Any) -> str:
    """A value as YAML has it behind a key."""
    return to_yaml({"": value}).partition(": ")[2].rstrip("\n")


def _is_unbroken(text: str) -> bool:
    """Whether YAML writes it on one line, wherever it stands."""
    return text.isascii() and text.isprintable() and " " not in text and MARKS.search(text) is None
