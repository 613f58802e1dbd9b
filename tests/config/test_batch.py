"""The jobs of a sweep as plain data, against Hydra's own composition of each."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from random import Random
from typing import Any

import pytest
from hydra.core.config_loader import ConfigLoader
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tests.config.test_compose import DATED, JOBS, random_jobs
from vanishgrad.config.batch import BatchComposer, ComposedJob, QuickLoader, alone, numbered

from .conftest import asked, common


def setting_of(job: ComposedJob) -> dict[str, Any]:
    own = {} if job.seed is None else {"seed": job.seed}
    return {**job.family.setting, **own}


def files_of(job: ComposedJob) -> dict[str, str]:
    return {file.path: file.filled(job.words) for file in job.family.files}


def assert_hydras(job: ComposedJob, config: DictConfig, number: int) -> None:
    """The job is the one that Hydra composes: its setting, folder and files to the last sign."""
    config = numbered(config, number)
    own = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
    try:
        expected = OmegaConf.to_container(own, resolve=True, throw_on_missing=True)
        assert repr(setting_of(job)) == repr(expected)  # 1, 1.0 and true are equal to each other
    except OmegaConfBaseException:
        assert job.family.refusal
    texts = {
        ".hydra/config.yaml": OmegaConf.to_yaml(own),
        ".hydra/hydra.yaml": OmegaConf.to_yaml(OmegaConf.masked_copy(config, ["hydra"])),
        ".hydra/overrides.yaml": OmegaConf.to_yaml(config.hydra.overrides.task),
    }
    assert files_of(job) == texts
    assert job.subdir == str(config.hydra.sweep.subdir)
    assert (job.number, list(job.overrides)) == (number, list(config.hydra.overrides.task))


MORE: list[list[list[str]]] = [
    [[f"seed={seed}", f"lr={lr}"] for seed, lr in product((0, -3, 12, 10**18), ("0.1", "1", "1e-5"))],
    [["seed=+1"], ["seed=01"], ["seed=1_0"], ["seed=1.0"], ["seed='1'"], ["seed=null"], ["seed=true"]],
    [["lr=1", "seed=1"], ["lr=1.0", "seed=2"], ["lr=true", "seed=3"], ["seed=4", "lr=1"]],
    [["act=leaky_relu", f"act.slope={slope}", "seed=5"] for slope in ("1", "1.0", "0.5")],
    [["name=on", "seed=1"], ["name='0x10'", "seed=2"], ["name=é", "seed=1"], ["name=vanishgradmark0x"]],
    [[f"name='{' '.join('abcdefghijklmnopqrstuvwxyz0123456789')}'", "seed=9"]],
    [["name=-", "seed=1"], ["name='#'"], ["name='a: b'"], ["name='-1'"], ["name='a\\'b'"], ["name=a,b"]],
    [["name=abc/d.e=f", "seed=1"], ["name=abc/d.e=f", "seed=2"], [], ["seed=0"]],
    [["name=${width}", "seed=1"], ["name=${width}", "seed=2"]],
]  # fmt: skip


STEADY = [[job for job in jobs if "${now" not in " ".join(job)] for jobs in JOBS + MORE]


NAMED = "hydra.sweep.subdir='${hydra.job.override_dirname}/x${hydra.job.num}'"
WITHOUT = "hydra.job.config.override_dirname={exclude_keys: [seed], kv_sep: _, item_sep: '+'}"


@pytest.mark.parametrize(
    "place, jobs",
    [
        pytest.param(place, jobs, marks=[pytest.mark.slow] * (0 < place < len(JOBS)))
        for place, jobs in enumerate(STEADY)  # those of JOBS are composed by `Composer` in its own tests
    ],
    ids=lambda jobs: str(jobs)[:20],
)
def test_jobs_are_those_that_hydra_composes(
    load: ConfigLoader, place: int, jobs: Sequence[list[str]]
) -> None:
    named = ((), (NAMED,), (NAMED, WITHOUT))[place % 3]
    base = common(load, "depth=3", DATED, *named)
    batch = BatchComposer(load, base)
    for number, job in enumerate(jobs, 7):
        try:
            expected = load.load_sweep_config(base, job)
        except HydraException as error:
            with pytest.raises(type(error), match=r"^"):
                batch.job(job, number)
        else:
            assert_hydras(batch.job(job, number), expected, number)


@pytest.mark.parametrize("subdir", ["${init._target_}_${seed}", "all", "'${hydra.job.id}'"])
def test_a_folder_may_be_named_by_anything(load: ConfigLoader, subdir: str) -> None:
    base = common(load, DATED, f"hydra.sweep.subdir={subdir}")
    batch = BatchComposer(load, base)
    for number, job in enumerate((["seed=1"], ["seed=2"])):
        assert_hydras(batch.job(job, number), load.load_sweep_config(base, job), number)


@pytest.mark.parametrize("count", [12, pytest.param(200, marks=pytest.mark.slow)])
def test_random_jobs_are_those_that_hydra_composes(load: ConfigLoader, count: int) -> None:
    base = common(load, "epochs=2")
    batch = BatchComposer(load, base)
    for number, job in enumerate(random_jobs(Random(count), count)):
        try:
            expected = load.load_sweep_config(base, job)
        except Exception:
            with pytest.raises(Exception, match=r"^"):
                batch.job(job, number)
        else:
            assert_hydras(batch.job(job, number), expected, number)


def test_jobs_that_differ_in_their_seed_are_a_family(load: ConfigLoader) -> None:
    batch = BatchComposer(load, common(load))
    texts = [
        ["lr=0.1", "seed=1"],
        ["lr=0.1", "seed=2"],
        ["lr=0.2", "seed=1"],
        ["seed=1", "lr=0.1"],
        ["lr=0.1"],
    ]
    families = [batch.job(job, number).family for number, job in enumerate(texts)]
    assert families[0] is families[1]
    assert len({id(family) for family in families}) == 4


def test_without_a_folder_of_hydras_there_are_no_files(load: ConfigLoader) -> None:
    batch = BatchComposer(load, common(load, "hydra.output_subdir=null"))
    assert batch.job(["seed=1"], 0).family.files == ()
    assert alone(numbered(common(load, "hydra.output_subdir=null"), 0), 0).family.files == ()


def test_hydra_is_asked_once_about_jobs_with_the_same_choices(
    load: ConfigLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, jobs = common(load), asked(load, monkeypatch)
    quick = QuickLoader(load)
    texts = [["act=tanh", f"lr={lr}", f"seed={seed}"] for seed in range(20) for lr in (0.1, 0.2)]
    for job in texts:
        quick.load_sweep_config(base, job)
    taken = [quick.take(base, job, number) for number, job in enumerate(texts)]
    assert [setting_of(job)["seed"] for job in taken] == [seed for seed in range(20) for _ in range(2)]
    assert jobs == [["act=tanh"]]


def test_a_job_that_is_composed_alone_is_composed_once(
    load: ConfigLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, jobs = common(load), asked(load, monkeypatch)
    quick, job = QuickLoader(load), ["name=${width}"]
    quick.load_sweep_config(base, job)
    assert quick.take(base, job, 0).family.setting["name"] == 64
    assert jobs == [job]


def test_what_hydra_refuses_is_refused_when_a_sweeper_looks(load: ConfigLoader) -> None:
    quick, base = QuickLoader(load), common(load)
    with pytest.raises(HydraException, match="sede"):
        quick.load_sweep_config(base, ["seed=1", "sede=1"])


def test_another_sweep_is_composed_anew(load: ConfigLoader) -> None:
    quick = QuickLoader(load)
    quick.load_sweep_config(common(load), ["seed=1"])
    assert quick.take(common(load, "hydra.output_subdir=null"), ["seed=1"], 0).family.files == ()


def test_everything_else_is_asked_of_hydras_loader(load: ConfigLoader) -> None:
    assert QuickLoader(load).get_search_path() == load.get_search_path()
