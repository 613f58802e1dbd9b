"""Quick composition against Hydra's own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig, OmegaConf

from vanishgrad.config.compose import composed
from vanishgrad.config.location import choice_names, group_names

from .conftest import asked, common

DATED = "hydra.sweep.dir=sweeps/${now:%H-%M-%S-%f}"


def node(config: Any) -> Any:
    """Everything in a configuration: kinds of nodes, keys in their order, flags and values."""
    if not OmegaConf.is_config(config):
        return type(config), repr(config)
    within: Any = range(len(config)) if OmegaConf.is_list(config) else list(config)
    own = type(config), config._metadata.flags, config._metadata.ref_type, config._metadata.object_type
    if config._is_none() or config._is_missing() or config._is_interpolation():
        return own, repr(config._value())
    return own, [(key, _child(config, key)) for key in within]


def _child(config: Any, key: Any) -> Any:
    child = config._get_node(key)
    if OmegaConf.is_config(child):
        return node(child)
    return type(child), repr(child._value()), child._metadata.ref_type, child._metadata.flags


def assert_equal(quick: DictConfig, hydras: DictConfig) -> None:
    assert OmegaConf.to_yaml(quick) == OmegaConf.to_yaml(hydras)
    assert node(quick) == node(hydras)
    assert quick.hydra.sweep.dir == hydras.hydra.sweep.dir


def refusal(error: BaseException) -> list[Any]:
    causes = [error, error.__cause__]
    return [(type(cause), str(cause)) for cause in causes if cause is not None]


def either(compose: Any) -> DictConfig | list[Any]:
    """What is composed, or why not."""
    try:
        found: DictConfig = compose()
    except Exception as error:
        return refusal(error)
    return found


def assert_same(quick: DictConfig | list[Any], hydras: DictConfig | list[Any], job: list[str]) -> None:
    """Both composed alike, or refused alike."""
    assert type(quick) is type(hydras), job
    if isinstance(quick, DictConfig) and isinstance(hydras, DictConfig):
        assert_equal(quick, hydras)
    else:
        assert quick == hydras, job


JOBS: list[list[list[str]]] = [
    [[f"act={act}", f"lr={lr}", "seed=7"] for act, lr in product(("tanh", "elu"), (0.1, 1))],
    [["norm=batch", "norm.position=post"], ["norm.position=pre", "norm=batch"], ["seed=1", "norm=layer"]],
    [["clip=norm", "clip.max_norm=1"], ["clip=norm", "clip.max_norm=1e-3"], ["clip='norm'"]],
    [["name='a b'"], ["name=null"], ['name="it\'s"'], ["name=?"], ["name=???"], ["name='1'"], ["name="]],
    [["batch_size=full"], ["batch_size=16"], ["save_every=true"], ["lr=inf"], ["lr=nan"], ["lr=-1_000"]],
    [["act='null'", "loss='null'", "seed=1"], ["act='null'", "loss=mse"], ["loss=mse", "act='null'"]],
    [["experiment=batchnorm", "act=relu", "seed=1"], ["experiment=batchnorm", "act=relu", "lr=2"]],
    [["schedule=step", "schedule.milestones=null"], ["schedule=step", "schedule.milestones=0.5"]],
    [["schedule=step", "schedule.milestones=[0.1]"], ["schedule=step", "schedule.milestones.0=0.1"]],
    [["lr=${width}"], ["name='${now:%f}'"], ["init={_target_:a}"], ["seed=1", "seed=2"], []],
    [["+extra=1"], ["++seed=1"], ["~width"], ["~norm"], ["+norm.extra=1", "seed=2"]],
    [["hydra.job.name=a", "seed=1"], ["hydra/launcher=basic", "seed=1"], ["seed=1"]],
]  # fmt: skip


@pytest.mark.parametrize("jobs", JOBS, ids=lambda jobs: jobs[0][0])
def test_jobs_are_those_that_hydra_composes(load: ConfigLoader, jobs: Sequence[list[str]]) -> None:
    base = common(load, "depth=3", DATED, "hydra.job.config.override_dirname.exclude_keys=[lr]")
    for quick, job in zip(composed(load, base, jobs), jobs, strict=True):
        assert_equal(quick, load.load_sweep_config(base, job))


def test_what_a_job_changes_does_not_reach_the_others(load: ConfigLoader) -> None:
    base = common(load)
    first, second, third = composed(load, base, [["seed=1"], ["seed=1"], ["seed=1"]])
    second.width, second.hydra.job.name, second.act = 3, "mine", "mine"
    second.hydra.overrides.task.append("mine")
    assert_equal(first, third)
    assert_equal(third, load.load_sweep_config(base, ["seed=1"]))


def test_hydra_composes_each_combination_of_choices_once(
    load: ConfigLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, jobs = common(load), asked(load, monkeypatch)
    numbers = [[f"seed={seed}", "lr=0.1"] for seed in range(15)] + [["lr=1"], []]
    combinations = list(product(("tanh", "relu"), ("none", "batch")))
    found = composed(
        load, base, [[f"act={act}", f"norm={norm}", *own] for own in numbers for act, norm in combinations]
    )
    assert len(found) == 4 * 17
    assert jobs == [[f"act={act}", f"norm={norm}"] for act, norm in combinations]


@pytest.mark.parametrize("job", [["+seed=1"], ["hydra.job.name=a"], ["lr=${width}"], ["lr=[1]"]])
def test_hydra_composes_a_job_that_is_not_plain(
    load: ConfigLoader, monkeypatch: pytest.MonkeyPatch, job: list[str]
) -> None:
    base, jobs = common(load), asked(load, monkeypatch)
    either(lambda: composed(load, base, [job]))
    assert jobs == [job]


MISTAKES = [
    "sede=1", "act=rleu", "act.slope=1", "seed.x=1", "act=null", "act=3", "seed=1,2", "act=relu,elu",
    "+seed=1", "norm@model=batch", "seed@model=1", "+act=relu", "~sede", "~lr", "seed", "a b=1",
    "hydra.sede=1", "hydra=1", "lr=[",
]  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_later_job_is_told_as_hydra_tells_it(load: ConfigLoader, mistake: str) -> None:
    base, job = common(load), ["act=relu", "seed=1", mistake] if "act=" not in mistake else [mistake]
    expected = either(lambda: load.load_sweep_config(base, job))
    assert isinstance(expected, list)
    assert either(lambda: composed(load, base, [["act=relu", "seed=0"], job])[1]) == expected


FILES = {
    "name/long.yaml": "# @package _global_\nwidth: 5\n",
    "name/short.yaml": "# @package _global_\nwidth: 2\n",
    "experiment/mine.yaml": "# @package _global_\ndefaults:\n  - /name: long\n",
    "act/mine.yaml": "_target_: mine\nslope: 1\n",
}


def test_groups_in_a_folder_of_the_user_are_choices(load: ConfigLoader, tmp_path: Path) -> None:
    for file, text in FILES.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)
    base = common(load, f"hydra.searchpath=['file://{tmp_path}']")
    jobs = [["act=mine", f"act.slope={slope}"] for slope in (2, 3)]
    jobs += [["experiment=mine", f"name={name}"] for name in ("long", "short")]
    for quick, job in zip(composed(load, base, jobs), jobs, strict=True):
        assert_equal(quick, load.load_sweep_config(base, job))


NUMBERS = (
    "seed=3",
    "lr=0.5",
    "width=8",
    "name=x",
    "act.slope=2",
    "norm.position=post",
    "data.seed=4",
    "depth=null",
)


def random_jobs(random: Random, count: int) -> list[list[str]]:
    """Jobs of up to two choices and three numbers, in any order."""
    choices = [f"{group}={name}" for group in group_names() for name in choice_names(group)]
    found = []
    for _ in range(count):
        job = random.sample(choices, random.randrange(3)) + random.sample(NUMBERS, random.randrange(4))
        random.shuffle(job)
        found.append(job)
    return found


@pytest.mark.parametrize("count", [12, pytest.param(200, marks=pytest.mark.slow)])
def test_random_jobs_are_those_that_hydra_composes_or_refuses(load: ConfigLoader, count: int) -> None:
    base = common(load, "epochs=2")
    for job in random_jobs(Random(count), count):
        expected = either(lambda job=job: load.load_sweep_config(base, job))
        found = either(lambda job=job: composed(load, base, [job])[0])
        assert_same(found, expected, job)


def test_a_defect_is_not_taken_for_a_refusal(load: ConfigLoader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what Hydra may refuse is left to Hydra; anything else would be hidden and slow."""

    def defect(*arguments: Any) -> None:
        raise TypeError("a defect")

    monkeypatch.setattr("vanishgrad.config.compose.record_task", defect)
    with pytest.raises(TypeError, match="a defect"):
        composed(load, common(load), [["seed=1"]])
