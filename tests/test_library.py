"""The public surface: what there is to import, names in place of choices, and answers to wrong input."""

from __future__ import annotations

import doctest
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import vanishgrad
from vanishgrad import (
    GradientMonitor,
    Run,
    build,
    cure,
    diagnose,
    load_run,
    load_runs,
    penalty,
    predict,
    resume,
    sweep,
    train,
)
from vanishgrad.choices.activation import Sigmoid
from vanishgrad.choices.normalization import BatchNorm
from vanishgrad.description import choices_in
from vanishgrad.errors import SettingError
from vanishgrad.run import GROUPS

PROMISED = (
    "Run", "build", "train", "sweep", "cure", "load_run", "load_runs", "resume", "diagnose", "predict",
    "penalty", "GradientMonitor",
)  # fmt: skip
EXAMPLES = (Run, train, sweep, cure, load_run)


def test_the_package_shows_its_public_names() -> None:
    assert {*PROMISED} <= {*dir(vanishgrad)} == {*vanishgrad.__all__, "__version__"}
    for name in vanishgrad.__all__:
        assert getattr(vanishgrad, name).__name__ == name


def test_no_public_name_is_a_module_too() -> None:
    """`from vanishgrad import NAME` would give the module as soon as somebody has imported it."""
    modules = {module.name for module in pkgutil.iter_modules(vanishgrad.__path__)}
    assert not modules & {*vanishgrad.__all__}


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, vanishgrad; print(sorted({'torch', 'numpy', 'pandas', 'hydra'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("group", GROUPS)
def test_a_name_stands_for_the_choice_with_its_defaults(group: str) -> None:
    for name, kind in choices_in(group).items():
        assert _made(group, name) == _made(group, kind())


def _made(group: str, choice: Any) -> Run | str:
    """The run with a choice, or why it makes no sense with the defaults."""
    try:
        return Run(**{group: choice})
    except SettingError as refused:
        return str(refused)


def test_names_and_objects_mix() -> None:
    by_name: Any = {"act": "sigmoid", "norm": BatchNorm(position="post"), "optim": "adam"}
    run = Run(depth=4, **by_name)
    assert (run.act, run.norm.position, run.optim.name, run.rate) == (Sigmoid(), "post", "adam", 1e-3)
    assert hash(run) == hash(Run(depth=4, **(by_name | {"act": Sigmoid()})))


NO_CHOICES = {
    "a mistyped name": ({"act": "sigmoyd"}, r"act=sigmoyd: choose one of relu, .*did you mean sigmoid\?"),
    "a torch module": (
        {"act": nn.Sigmoid()},
        r"act=Sigmoid\(\): is of the type torch\.nn\.modules\.activation\.Sigmoid; give the name of a choice,"
        r" or an object such as vanishgrad\.choices\.Sigmoid\(\); choose one of relu, sigmoid",
    ),
    "a class": ({"act": Sigmoid}, r"act=Sigmoid: is the class; give an object, Sigmoid\(\), .*act='sigmoid'"),
    "a class of torch": ({"act": nn.ReLU}, r"act=ReLU: is the class torch\..*choose one of relu"),
    "another group's": (
        {"norm": Sigmoid()},
        r"norm=Sigmoid\(\): does not inherit .*Normalization; .*one of none, batch",
    ),
    "a number": ({"optim": 3}, r"optim=3: is of the type int; .*choose one of sgd, adam"),
    "nothing": ({"norm": None}, r"norm=None: is of the type NoneType; .*choose one of none"),
}


@pytest.mark.parametrize("settings, message", NO_CHOICES.values(), ids=NO_CHOICES)
def test_what_is_no_choice_is_answered_with_the_rule_and_the_choices(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        Run(**settings)


A_RUN = r"takes a Run, such as Run\(depth=\d+, act='sigmoid'\)"
WRONG: dict[str, tuple[Callable[..., Any], tuple[Any, ...], str]] = {
    "train": (train, ("depth=3",), rf"train\('depth=3'\): {A_RUN}"),
    "build": (build, (nn.Linear(2, 2),), rf"build\(Linear\(in_features=2.*\): {A_RUN}"),
    "predict": (predict, (3,), rf"predict\(3\): {A_RUN}"),
    "cure": (cure, ("depth=3",), rf"cure\('depth=3'\): {A_RUN}"),
    "sweep": (sweep, ("depth=1,2",), r"sweep\('depth=1,2'\): takes a list of Run, such as \[Run\("),
    "sweep of a run": (sweep, (Run(),), r"sweep\(Run\(depth=5.*\.\.\.\): takes a list of Run"),
    "sweep of numbers": (sweep, ([Run(), 3],), "sweep: run 1 is 3; takes a list of Run"),
    "sweep of nothing": (sweep, ([],), r"sweep\(\[\]\): takes a list of Run, .*at least one"),
    "load_run": (load_run, ("nowhere",), r"load_run=nowhere: there is no such folder"),
    "load_run of a number": (load_run, (3,), r"load_run\(3\): takes the folder of a run, such as"),
    "load_runs": (load_runs, ("nowhere",), r"runs=nowhere: there is no such folder"),
    "load_runs of a run": (load_runs, (Run(),), r"load_runs\(Run\(.*\): takes folders"),
    "resume": (resume, ("nowhere",), r"resume=nowhere: no run\.json"),
    "resume of a run": (resume, (Run(),), r"resume\(Run\(.*\): takes the folder of an interrupted run"),
    "diagnose": (diagnose, (5,), r"diagnose\(5\): takes a run folder, a CSV file, a DataFrame"),
    "penalty": (penalty, (3,), r"penalty\(3\): takes any torch\.nn\.Module"),
    "GradientMonitor": (GradientMonitor, (3,), r"GradientMonitor\(3\): takes any torch\.nn\.Module"),
}


@pytest.mark.parametrize("call, arguments, message", WRONG.values(), ids=WRONG)
def test_wrong_input_is_answered_with_the_value_and_the_rule(
    call: Callable[..., Any], arguments: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(SettingError, match=f"^{message}"):
        call(*arguments)


def test_a_long_value_is_cut_in_a_message() -> None:
    with pytest.raises(SettingError) as refused:
        train("x" * 1000)  # type: ignore[arg-type]
    assert len(str(refused.value)) < 150


@pytest.mark.parametrize("public", EXAMPLES, ids=lambda public: public.__name__)
def test_the_examples_of_the_docstrings_run(public: Any) -> None:
    (test,) = doctest.DocTestFinder(recurse=False).find(
        public, public.__name__, module=import_module(public.__module__)
    )
    assert test.examples
    failed, _ = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test)
    assert not failed


@pytest.mark.slow
def test_the_examples_of_the_readme_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the section on the library, on smaller networks, one after the other as they stand."""
    text = (Path(__file__).parents[1] / "README.md").read_text()
    section = text.partition("## As a library")[2].partition("\n## ")[0]
    blocks = [block.partition("\n```")[0] for block in section.split("```python\n")[1:]]
    assert len(blocks) >= 2
    monkeypatch.chdir(tmp_path)
    smaller = {
        "depth=20, act=act": "depth=2, act=act", "depth=30, act": "depth=2, width=8, act",
        "epochs=5": "max_steps=5", "max_steps=500": "max_steps=20", "range(5)": "range(2)",
    }  # fmt: skip
    names = _a_training_loop()
    for block in blocks:
        for large, small in smaller.items():
            block = block.replace(large, small)
        exec(block, names)
    assert (tmp_path / "mine" / "run.json").exists()


def _a_training_loop() -> dict[str, Any]:
    """What the example of `GradientMonitor` takes for granted."""
    import torch

    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    batches = [(torch.zeros(3, 4), torch.tensor([0, 1, 0]))] * 3
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    return {"model": model, "loader": batches, "optimizer": optimizer, "criterion": nn.CrossEntropyLoss()}


@pytest.mark.slow
def test_a_type_checker_knows_that_names_are_taken(tmp_path: Path) -> None:
    """The package is typed: what the README shows must not be an error to mypy."""
    script = tmp_path / "typed.py"
    script.write_text(
        "from vanishgrad import Run\n"
        "run = Run(depth=20, act='sigmoid', loss='bce')\n"
        "reveal_type(run.act)\n"
        "Run(act=3)\n"
    )
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file=", "--follow-imports=silent", str(script)],
        capture_output=True, text=True,
    )  # fmt: skip
    lines = [line for line in checked.stdout.splitlines() if line.startswith(str(script))]
    assert len(lines) == 2
    assert 'Revealed type is "vanishgrad.choices.protocol.Activation"' in lines[0]
    assert 'incompatible type "int"; expected "Activation | str"' in lines[1]
