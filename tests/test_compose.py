"""Quick composition against Hydra's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import pytest
from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig, OmegaConf

from vanishgrad.config.compose import composed
from vanishgrad.config.overrides import NULL
from vanishgrad.config.plan import hydra_errors, loader, plan_of
from vanishgrad.errors import SettingError


@pytest.fixture
def base() -> DictConfig:
    return plan_of(["depth=3"], multirun=True).config


@pytest.fixture
def load(base: DictConfig) -> Iterator[ConfigLoader]:
    with loader() as found:
        yield found


def plain(config: DictConfig) -> Any:
    return OmegaConf.to_container(config, resolve=False)


JOBS: list[list[list[str]]] = [
    [[f"act={act}", f"lr={lr}", "seed=7"] for act, lr in product(("tanh", "elu"), (0.1, 1))],
    [[f"norm={norm}", f"norm.position={p}"] for norm, p in product(("batch", "layer"), ("pre", "post"))],
    [["clip=norm", "clip.max_norm=1"], ["clip=norm", "clip.max_norm=0.5"], ["clip=none"]],
    [["name='a b'"], ["name=null"], ["name=x_1"], ["name=\"it's\""]],
    [["batch_size=full"], ["batch_size=16"]],
    [["seed=1", "depth=2"], ["depth=3", "seed=2"], ["depth=4", "seed=3"]],
    [["remedy=none", "seed=1"], ["remedy=clipping", "seed=1"], ["remedy=clipping", "seed=2"]],
    [[f"act={NULL}", f"loss={loss}", f"seed={seed}"] for loss, seed in ((NULL, 1), ("mse", 1), (NULL, 2))],
    [["experiment=batchnorm", "seed=1"], ["experiment=batchnorm", "seed=2"]],
    [["hydra.job.name=a", "seed=1"], ["hydra.job.name=b", "seed=1"], ["hydra.job.name=a", "seed=2"]],
]  # fmt: skip


@pytest.mark.parametrize("jobs", JOBS, ids=lambda jobs: jobs[0][0])
def test_jobs_are_those_that_hydra_composes(
    base: DictConfig, load: ConfigLoader, jobs: Sequence[list[str]]
) -> None:
    for config, job in zip(composed(load, base, jobs), jobs, strict=True):
        assert plain(config) == plain(load.load_sweep_config(base, list(job)))


def test_jobs_do_not_share_their_configuration(base: DictConfig, load: ConfigLoader) -> None:
    first, second, third = composed(load, base, [["seed=1"], ["seed=2"], ["seed=3"]])
    second.width = 3
    second.hydra.job.name = "mine"
    assert first.width == third.width == 64
    assert third.hydra.job.name == first.hydra.job.name != "mine"


def test_hydra_composes_each_combination_of_choices_once(
    base: DictConfig, load: ConfigLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = load.load_sweep_config, list[list[str]]()

    def counted(common: DictConfig, job: list[str]) -> DictConfig:
        asked.append(job)
        return real(common, job)

    monkeypatch.setattr(load, "load_sweep_config", counted)
    jobs = [[f"act={act}", f"seed={seed}"] for act, seed in product(("tanh", "relu"), range(50))]
    assert len(composed(load, base, jobs)) == 100
    assert asked == [["act=tanh", "seed=0"], ["act=relu", "seed=0"]]


@pytest.mark.parametrize("second", [["act.slope=1", "seed=1"], ["sede=1"], ["act=rleu"]])
def test_a_mistake_in_a_later_job_is_told_as_hydra_tells_it(
    base: DictConfig, load: ConfigLoader, second: list[str]
) -> None:
    with pytest.raises(SettingError) as quick, hydra_errors():
        composed(load, base, [["seed=0"], second])
    with pytest.raises(SettingError) as slow, hydra_errors():
        load.load_sweep_config(base, second)
    assert str(quick.value) == str(slow.value)
