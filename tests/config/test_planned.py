"""What is handed to Hydra to run is what Hydra would have composed of the same command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vanishgrad.cli import hydra_app
from vanishgrad.config.location import CONFIG_NAME
from vanishgrad.config.plan import loader, plan_of

ALONE = [
    [],
    ["depth=20", "act=sigmoid"],
    ["act=leaky_relu", "act.slope=0.2", "lr=0.05", "name='a, b=c'"],
    ["loss=null", "act=null"],
    ["remedy=relu", "depth=3"],
    ["experiment=none", "width=${batch_size}", "optim=adam", "optim.beta1=0.5"],
    ["hydra.run.dir=out/${hydra.job.override_dirname}", "init=normal", "init.std=0.3"],
    ["+hydra.job.env_set.SOME=1", "hydra.verbose=true", "depth=2"],
    ["hydra.job.config.override_dirname.exclude_keys=[seed]", "seed=3", "depth=2"],
    ["hydra.output_subdir=null"],
]
SWEPT = [
    ["act=tanh,relu", "depth=3"],
    ["act=leaky_relu", "act.slope=0.1,0.2", "clip=norm", "clip.max_norm=2"],
    ["seed=range(3)", "hydra.sweep.dir=out", "hydra.launcher.n_jobs=1", "hydra/launcher=vectorized"],
    ["seed=range(3)", "hydra.sweep.subdir=${hydra.job.override_dirname}"],
    ["hydra.sweeper.max_batch_size=2", "seed=1,2,3"],
]


@pytest.fixture
def handed_over(monkeypatch: pytest.MonkeyPatch) -> list[DictConfig]:
    """The configurations that are handed to Hydra, which is kept from running them."""
    configs: list[DictConfig] = []

    def keep(self: hydra_app._PlannedHydra, *_: object) -> None:
        configs.append(self.compose_config())

    for way in ("run", "multirun"):
        monkeypatch.setattr(hydra_app._PlannedHydra, way, keep)
    return configs


@pytest.mark.parametrize("typed", [*ALONE, *SWEPT], ids=" ".join)
def test_what_hydra_runs_is_what_it_would_compose(typed: list[str], handed_over: list[DictConfig]) -> None:
    swept, folder = typed in SWEPT, Path("some, where='")
    plan = plan_of(typed, swept)
    hydra_app.run_hydra(lambda config: None, plan, folder)
    (config,) = handed_over

    mode = RunMode.MULTIRUN if swept else RunMode.RUN
    quoted = str(folder).replace("'", "\\'")
    own = [f"hydra.{'sweep' if swept else 'run'}.dir='{quoted}'", f"hydra.mode={mode.name}"]
    with loader() as load:
        composed = load.load_configuration(CONFIG_NAME, [*plan.overrides, *own], mode)
    if swept:  # what the jobs have of the groups' parameters, the sweeper gives each
        config, composed = (OmegaConf.masked_copy(one, ["hydra"]) for one in (config, composed))
    assert _written(config) == _written(composed)
    assert OmegaConf.to_container(config, resolve=False) == OmegaConf.to_container(composed, resolve=False)


def _written(config: DictConfig) -> str:
    """As Hydra writes it, without what a moment gives."""
    return re.sub(r"\d{4}-\d\d-\d\d_[\d-]+", "DATE", OmegaConf.to_yaml(config))


def test_a_run_with_its_own_search_path_is_what_hydra_composes(
    tmp_path: Path, handed_over: list[DictConfig]
) -> None:
    (tmp_path / "act").mkdir()
    (tmp_path / "act" / "mine.yaml").write_text("_target_: vanishgrad.choices.activation.Tanh\n")
    search = [f"hydra.searchpath=['file://{tmp_path}']"]
    plan = plan_of(["act=mine"], False, search)
    hydra_app.run_hydra(lambda config: None, plan, tmp_path)
    with loader() as load:
        own = [f"hydra.run.dir='{tmp_path}'", "hydra.mode=RUN"]
        composed = load.load_configuration(CONFIG_NAME, [*search, *plan.overrides, *own], RunMode.RUN)
    assert OmegaConf.to_container(handed_over[0]) == OmegaConf.to_container(composed)
