"""Names of 0.1 answer for one release, and say what they are called now."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from vanishgrad import renamed

SHOWN = {  # by README, CONTRIBUTING and docstrings of 0.1, where it is now
    "vanishgrad.training.train": "vanishgrad.engine.train",
    "vanishgrad.training.resume": "vanishgrad.engine.resume",
    "vanishgrad.training.Result": "vanishgrad.engine.Result",
    "vanishgrad.monitor.GradientMonitor": "vanishgrad.measure.GradientMonitor",
    "vanishgrad.data.load": "vanishgrad.choices.data.load",
    "vanishgrad.models.build": "vanishgrad.choices.model.build.build",
    "vanishgrad.data.Dataset": "vanishgrad.choices.data.dataset.Dataset",
    "vanishgrad.layers.weight_matrices": "vanishgrad.modules.weights.weight_matrices",
    "vanishgrad.norms.total_norm": "vanishgrad.modules.norms.total_norm",
    **{
        f"{module}.{old}": f"{module}.{new}"
        for module, names in renamed.NAMES.items()
        for old, new in names.items()
    },
}
CONFIGS = Path(__file__).parents[1] / "conf"


def named(path: str) -> object:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


@pytest.mark.parametrize("old", SHOWN)
def test_a_former_name_is_the_new_one_with_a_warning(old: str) -> None:
    sys.modules.pop(old.rpartition(".")[0], None) if old.rpartition(".")[0] in renamed.MODULES else None
    with pytest.warns(DeprecationWarning, match=r"^vanishgrad\..* is .* now$") as told:
        found = named(old)
    assert found is named(SHOWN[old])
    assert {Path(warning.filename).name for warning in told} <= {Path(__file__).name, "__init__.py"}


@pytest.mark.parametrize(
    "statement", ["from vanishgrad.choices.normalization import Batc", "import vanishgrad.trainin"]
)
def test_other_names_are_as_unknown_as_ever(statement: str) -> None:
    with pytest.raises(ImportError, match=r"Batc|trainin"):
        exec(statement)


def test_the_warning_names_the_line_that_has_the_old_name(tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    script.write_text(
        "import vanishgrad\n\nfrom vanishgrad.choices.schedule import Step\n\nprint(Step().name)\n"
    )
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, script],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "step\n"
    assert done.stderr.startswith(
        f"{script}:3: DeprecationWarning: vanishgrad.choices.schedule.Step is StepLR now"
    )


def test_a_config_folder_of_0_1_still_composes(tmp_path: Path) -> None:
    """A user's own file, `--config-dir`, names the class as it was called."""
    (tmp_path / "norm").mkdir()
    text = (CONFIGS / "norm" / "batch.yaml").read_text()
    (tmp_path / "norm" / "mine.yaml").write_text(text.replace("BatchNorm", "Batch"))
    from vanishgrad.config.plan import plan_of, without_hydra
    from vanishgrad.config.setting import to_setting

    plan = plan_of(["norm=mine"], False, [f"hydra.searchpath=['file://{tmp_path}']"])
    with pytest.warns(DeprecationWarning, match="Batch is BatchNorm now"):
        assert to_setting(without_hydra(plan.config)).effective.norm.name == "batch"
