"""What a command line asks for: every override has an effect, or is refused before anything is written."""

from __future__ import annotations

from typing import Any

import pytest

from vanishgrad.config.plan import Composition, is_search, jobs_of, plan_of
from vanishgrad.errors import SettingError


def values(plan: Composition, key: str) -> list[Any]:
    """What the jobs of a sweep have for a key, a choice by the last part of its target."""
    found = [job[key] for job in jobs_of(plan)]
    return [str(one._target_).rpartition(".")[2] if hasattr(one, "_target_") else one for one in found]


def swept(*texts: str) -> Composition:
    return plan_of(texts, multirun=True)


@pytest.mark.parametrize(
    "typed, expected",
    [
        ("act=glob(s*)", ["SELU", "Sigmoid", "SiLU", "Softplus", "Softsign"]),
        ("act=glob([r*,t*],exclude=tanh)", ["ReLU"]),
        ("act=glob([relu,tanh])", ["ReLU", "Tanh"]),
        ("seed=range(5,0,-2)", [5, 3, 1]),
        ("seed=sort(3,1,2)", [1, 2, 3]),
        ("lr=range(0.1,0.35,0.1)", [0.1, 0.2, 0.3]),
        ("name=größe,007,'a,b'", ["größe", "007", "a,b"]),
    ],
)
def test_a_sweep_is_over_what_was_typed(typed: str, expected: list[Any]) -> None:
    found = values(swept(typed), typed.partition("=")[0])
    assert [pytest.approx(one) if isinstance(one, float) else one for one in expected] == found


REFUSED = {
    "act=glob(zz*)": "fits none of elu, erf",
    "seed=glob(*)": "glob is over the choices of a group",
    "seed=range(0)": "is a sweep over no values",
    "seed=range(5,3)": "is a sweep over no values",
    "seed=range(1,3,-1)": "is a sweep over no values",
    "lr=range(1.0,0.5,0.1)": "is a sweep over no values",
    "seed=range(0,10,0)": "its step not 0",
    "lr=range(0,1,nan)": "must be finite",
    "lr=range(inf)": "must be finite",
    "seed=range(10000000000)": "makes 10,000,000,000 runs; a sweep has at most 1,000,000",
    "seed=range(2000) lr=range(1,2000)": "makes 3,998,000 runs",
    "seed=0,0": "has 0 twice",
    "act=relu,relu": "has relu twice",
    "depth=3 depth=5": "depth=3 depth=5: depth is given twice",
    "act=relu act=tanh act=elu": "act is given 3 times",
    "hydra.run.dir=a": "is for one run; the folder of a sweep is hydra.sweep.dir=DIR",
    "lr=interval(0,1)": "an interval is for a search",
    "hydra.job.name=a,b": "is the same for every run of a sweep",
    "hydra/launcher=a,b": "is the same for every run of a sweep",
    "hydra.sweeper.params={lr:1}": "hydra.sweeper.params can be set in a config file only",
    "hydra.sweeper.params.lr='0.1,0.2'": "hydra.sweeper.params can be set in a config file only",
    "hydra.job.env_set.SOME=1": "is new there; write +hydra.job.env_set.SOME=1",
    "hydra.launcher.nothing=1": "hydra.launcher has no setting nothing; valid are",
    "hydra.launcher._target_=os.system": "a launcher is chosen by hydra/launcher=NAME",
    "hydra/lancher=basic": "hydra has no group lancher; valid are",
    "hydra/launcher/nothing=basic": "hydra/launcher has no group nothing; there is none",
    "hydra/launcher=nothing": "choose one of basic",
}


@pytest.mark.parametrize("typed", REFUSED)
def test_a_sweep_that_cannot_be_meant_is_refused(typed: str) -> None:
    with pytest.raises(SettingError) as refused:
        swept(*typed.split(" "))
    assert REFUSED[typed] in str(refused.value)


ALONE = {
    "hydra=1": "Hydra's settings are set one by one",
    "hydra.nothing=1": "hydra has no setting nothing; valid are run",
    "hydra.jbo.name=x": "(did you mean job?)",
    "hydra.run=3": "must be a set of values",
    "hydra.run.dir.x=3": "hydra.run.dir has no settings of its own",
    "hydra.run.dir=[a]": "must be text",
    "hydra.run.dir=null": "must be text",
    "hydra.job.chdir=maybe": "must be true or false or null",
    "hydra.mode=SOME": "must be one of RUN, MULTIRUN or null",
    "hydra.job@x.name=1": "without @",
    "hydra.runtime.cwd=/": "is what Hydra finds; it cannot be set",
    "hydra.callbacks.x=1": "callbacks have no place here",
    "~hydra.run": "a setting of Hydra's cannot be deleted",
    "+hydra.x=1": "write it without +: hydra.x=1",
    "hydra.searchpath=x": "must be a list of folders",
    "hydra.searchpath=[x]": "there is no folder x",
    "hydra.sweep.dir=x": "is for a sweep; add -m",
    "hydra.launcher.n_jobs=2": "is for a sweep; add -m",
    "hydra/launcher=basic": "is for a sweep; add -m",
    "act=relu,tanh": "several values need a sweep: add -m",
    "name=a,b": "or quote it as one text, \"name='a,b'\"",
    "name=[a]": "if the brackets are part of it, quote it: \"name='[a]'\"",
    "=3": "has no key",
    "Act=relu": "(did you mean act?)",
    "batch-size=3": "(did you mean batch_size?)",
    "act=Leaky-ReLU": "(did you mean leaky_relu?)",
    "hydra.run.dir=${nothing}": "there is no setting nothing to take its value from",
}


@pytest.mark.parametrize("typed", ALONE)
def test_what_one_run_cannot_have_is_refused(typed: str) -> None:
    with pytest.raises(SettingError) as refused:
        plan_of([typed], multirun=False)
    said = str(refused.value)
    assert ALONE[typed] in said
    assert "\n" not in said


def test_hydras_settings_that_take_any_key_take_it() -> None:
    plan = plan_of(["+hydra.job.env_set.ANY=1", "hydra.run.dir=größe (1)", "hydra.job.chdir=true"], False)
    assert str(plan.folder) == "größe (1)"
    assert plan.config.hydra.job.chdir is True


def test_a_command_for_one_setting_says_so() -> None:
    with pytest.raises(SettingError, match=r"^seed=1,2: several values are a sweep; theory looks at one$"):
        plan_of(["seed=1,2"], False, alone="theory looks at one")


@pytest.mark.parametrize(
    "target", ["hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper", "a.Search"]
)
def test_every_sweeper_but_hydras_own_is_a_search(target: str) -> None:
    config = swept("seed=0,1").config
    assert not is_search(config)
    config.hydra.sweeper._target_ = target
    assert is_search(config)
