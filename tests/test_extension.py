"""What is added in one file works everywhere: a choice of every group, defined here and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from vanishgrad import Run, build, diagnose, load_runs, predict, train
from vanishgrad.choices import (
    Activation,
    Clipping,
    Data,
    Initialization,
    Loss,
    Model,
    Normalization,
    Optimizer,
    Regularization,
    Residual,
    Setting,
    Tanh,
)
from vanishgrad.choices.data import Dataset
from vanishgrad.config.catalogue import groups
from vanishgrad.description import describe, described, targets
from vanishgrad.engine import Result
from vanishgrad.records import read_run
from vanishgrad.report import Wanted, write_report
from vanishgrad.run import structure
from vanishgrad.sweeps.work import train_stack

pytestmark = pytest.mark.usefixtures("own_choices")


@dataclass(frozen=True)
class HardSwish(Activation):
    """x relu6(x + 3) / 6 (Howard et al. 2019)."""

    name: ClassVar[str] = "hard_swish"

    def module(self) -> nn.Module:
        return nn.Hardswish()


class Step(nn.Module):
    """1 above 0: flat everywhere."""

    elementwise = True

    def forward(self, x: Tensor) -> Tensor:
        return (x > 0).to(x.dtype) + 0 * x


@dataclass(frozen=True)
class Heaviside(Activation):
    """1 above 0 (Rosenblatt 1958)."""

    name: ClassVar[str] = "heaviside"

    def module(self) -> nn.Module:
        return Step()


@dataclass(frozen=True)
class Waves(Initialization):
    """The weights are a wave, gain cos(k) / sqrt(fan_in) for k = 0, 1, ...; the generator is not asked.

    Arguments:
        gain: of the wave.
    """

    gain: float = 1.5
    name: ClassVar[str] = "waves"

    def weight_(self, weight: Tensor, act: Activation, generator: torch.Generator) -> None:
        wave = torch.arange(weight.numel(), dtype=torch.float64).cos().view_as(weight)
        weight.copy_(self.gain * wave / math.sqrt(weight[0].numel()))


class Centred(nn.Module):
    """The features of each example less their mean."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(1, keepdim=True)


@dataclass(frozen=True)
class Centring(Normalization):
    """Each example less its mean."""

    position: str = "pre"
    name: ClassVar[str] = "centring"
    shifts: ClassVar[bool] = False

    def module(self, width: int, spatial: int = 0) -> nn.Module | None:
        return Centred()


class Averaged(nn.Module):
    """(x + F(x)) / 2."""

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * (x + self.branch(x))


@dataclass(frozen=True)
class Averaging(Residual):
    """(x + F(x)) / 2."""

    every: int = 2
    name: ClassVar[str] = "averaging"

    def module(
        self, branch: nn.Module, blocks: int, resize: nn.Module | None = None, gate: nn.Module | None = None
    ) -> nn.Module:
        return Averaged(branch)


@dataclass(frozen=True)
class Signs(Clipping):
    """Every gradient element its sign, times a size (signSGD; Bernstein et al. 2018).

    Arguments:
        size: of every element.
    """

    size: float = 0.01
    name: ClassVar[str] = "signs"

    def clip_(self, gradients: Sequence[Tensor], parameters: Sequence[Tensor], output: int) -> None:
        for gradient in gradients:
            gradient.sign_().mul_(self.size)


@dataclass(frozen=True)
class Quartic(Regularization):
    """+ strength * sum w^4.

    Arguments:
        strength: factor of the sum.
    """

    strength: float = 1e-3
    name: ClassVar[str] = "quartic"

    def penalty(self, weights: Iterable[Tensor]) -> Tensor | None:
        return self.strength * torch.stack([weight.pow(4).sum() for weight in weights]).sum()


@dataclass(frozen=True)
class Halving(Optimizer):
    """Gradient descent that halves its rate after the first step: the memory is a counter."""

    name: ClassVar[str] = "halving"
    default_lr: ClassVar[float] = 0.05

    def start(self, parameters: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        return {"steps": [torch.zeros((), dtype=torch.float64) for _ in parameters]}

    def step_(
        self, parameters: list[Tensor], gradients: list[Tensor], state: dict[str, list[Tensor]], lr: float
    ) -> None:
        for parameter, gradient, count in zip(parameters, gradients, state["steps"], strict=True):
            parameter.sub_(gradient, alpha=lr if count == 0 else lr / 2)
            count.add_(1)


@dataclass(frozen=True)
class Huber(Loss):
    """Huber's loss of one-hot targets, summed over outputs, mean over examples."""

    name: ClassVar[str] = "huber"

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        wanted = nn.functional.one_hot(targets, outputs.shape[-1]).to(outputs.dtype)
        return nn.functional.huber_loss(outputs, wanted, reduction="sum") / len(targets)


@dataclass(frozen=True)
class Corners(Data):
    """Two Gaussian clouds in opposite corners of the plane.

    Arguments:
        train_size: training points.
    """

    train_size: int = 96
    name: ClassVar[str] = "corners"
    default_loss: ClassVar[str] = "cross_entropy"
    shape: ClassVar[tuple[int, ...]] = (2,)
    outputs: ClassVar[int] = 2

    def load(self) -> Dataset:
        noise = torch.randn(self.train_size + 32, 2, generator=torch.Generator().manual_seed(3))
        y = torch.arange(len(noise)) % 2
        x = noise * 0.3 + (2.0 * y[:, None] - 1)
        return Dataset(x[:-32], y[:-32], x[-32:], y[-32:])


class Bottleneck(nn.Module):
    """Hidden layers whose last one has a quarter of the width."""

    def __init__(self, inputs: int, width: int, depth: int, outputs: int, act: Activation) -> None:
        super().__init__()
        sizes = [inputs, *[width] * (depth - 1), max(1, width // 4)]
        self.flatten = nn.Flatten()
        for number, (a, b) in enumerate(pairwise(sizes), 1):
            self.add_module(f"linear_{number}", nn.Linear(a, b))
            self.add_module(f"act_{number}", act.module())
        self.output = nn.Linear(sizes[-1], outputs)
        self.output_name = "output"
        self.layer_of = {f"linear_{number}": number for number in range(1, depth + 1)} | {"output": depth + 1}

    def forward(self, x: Tensor) -> Tensor:
        for module in self.children():
            x = module(x)
        return x


@dataclass(frozen=True)
class BottleneckFamily(Model):
    """A perceptron whose last hidden layer is narrow."""

    name: ClassVar[str] = "bottleneck"
    default_depth: ClassVar[int] = 3
    default_act: ClassVar[Activation] = Tanh()

    def network(self, setting: Setting) -> nn.Module:
        inputs = math.prod(setting.data.shape)
        return Bottleneck(inputs, setting.width, setting.depth, setting.data.outputs, setting.act)


CHOICES: dict[str, Any] = {
    "act": HardSwish(), "init": Waves(), "norm": Centring(), "residual": Averaging(), "clip": Signs(),
    "reg": Quartic(), "optim": Halving(), "loss": Huber(), "data": Corners(), "model": BottleneckFamily(),
}  # fmt: skip
BASE: dict[str, Any] = {"depth": 5, "width": 8, "max_steps": 6, "log_every": 2, "batch_size": 32, "seed": 1}
COVERED = {"act", "reg", "clip", "optim", "loss", "data"}  # what theory can do with defaults
cases = pytest.mark.parametrize("group", CHOICES)


def run_of(group: str, **changes: Any) -> Run:
    return Run(**(BASE | {group: CHOICES[group]} | changes))


@cases
def test_it_builds_a_network_that_answers(group: str) -> None:
    run = run_of(group)
    assert build(run)(torch.zeros(3, *run.data.shape)).shape == (3, run.data.outputs)


@cases
def test_it_trains_and_every_layer_is_measured(group: str) -> None:
    result = train(run_of(group))
    rows = result.gradients[result.gradients["step"] == 0]
    assert result.status == "completed"
    assert rows["grad_norm"].notna().all()
    assert (rows["grad_norm"] > 0).all()
    assert rows[rows["layer"] < rows["layer"].max()][["saturation", "dead_fraction"]].notna().all(axis=None)


def test_slopes_come_by_autograd_where_there_is_no_formula() -> None:
    result = train(run_of("act", act=Heaviside()))
    hidden = result.gradients[(result.gradients["step"] == 0) & (result.gradients["layer"] <= 5)]
    assert (hidden["dead_fraction"] == 1).all()  # flat everywhere: no unit ever has a slope


def test_what_it_computes_is_what_is_trained() -> None:
    weights = build(run_of("init", init=Waves(gain=2.0))).get_submodule("linear_2").weight
    assert isinstance(weights, Tensor)
    assert weights[0, 0].item() == pytest.approx(2 / math.sqrt(8))
    assert weights[0, 3].item() == pytest.approx(2 * math.cos(3) / math.sqrt(8))


@cases
def test_a_stack_gives_the_numbers_that_each_run_has_alone(group: str) -> None:
    runs = [run_of(group, seed=seed, dtype="float64") for seed in (0, 1, 2)]
    assert len({structure(run) for run in runs}) == 1
    results: dict[int, Result] = {}
    train_stack(runs, lambda place, result: results.update({place: result}))
    for place, run in enumerate(runs):
        alone = train(run)
        for name in ("grad_norm", "delta_norm", "weight_norm", "update_ratio"):
            stacked = torch.tensor(results[place].gradients[name].to_numpy(float))
            wanted = torch.tensor(alone.gradients[name].to_numpy(float))
            torch.testing.assert_close(stacked, wanted, rtol=1e-9, atol=1e-12, equal_nan=True)


@cases
def test_theory_has_a_figure_or_says_that_it_has_none(group: str) -> None:
    prediction = predict(run_of(group))
    assert (prediction.log10_gradient_ratio is not None) == (group in COVERED)
    assert group in COVERED or f"{group}={CHOICES[group].name}: not covered" in " ".join(prediction.notes)


@cases
def test_its_folder_is_diagnosed_reported_and_read_back(group: str, tmp_path: Path) -> None:
    run = run_of(group)
    train(run, tmp_path / "run")
    train(Run(**BASE), tmp_path / "twin")  # beside it, labels say what differs
    record = read_run(tmp_path / "run")
    assert record["targets"] == {group: f"{__name__}.{type(CHOICES[group]).__name__}"} == targets(run)
    back = described(record["effective"], record["targets"])
    assert back == replace(run, lr=run.rate, loss=run.criterion)
    assert diagnose(tmp_path / "run").findings == load_runs(tmp_path / "run").runs[0].diagnosis.findings
    page = write_report([tmp_path], tmp_path / "report", Wanted(figures=("gradient_profile",))).page
    assert CHOICES[group].name in page.read_text()


@cases
def test_the_options_list_it_with_its_words(group: str) -> None:
    listed = {one.name: one.choices for one in groups()}[group]
    own = next(choice for choice in listed if choice.name == CHOICES[group].name)
    assert own.summary
    assert [parameter.meaning for parameter in own.parameters if not parameter.meaning] == [] or group in (
        "norm", "residual",
    )  # fmt: skip


def test_a_name_stands_for_it_with_its_defaults() -> None:
    assert Run(act="hard_swish", norm="centring") == Run(act=HardSwish(), norm=Centring())
    assert describe(Run(clip="signs"))["clip"] == {"name": "signs", "size": 0.01}


def test_all_of_them_together_train() -> None:
    without = {group: choice for group, choice in CHOICES.items() if group not in ("model", "loss")}
    result = train(replace(Run(**BASE, **without), max_steps=40, lr=2.0))
    assert result.status == "completed"
    assert result.final["val_accuracy"] is not None
    assert result.final["val_accuracy"] > 0.9  # two clouds apart


@dataclass(frozen=True)
class NotReLU(Activation):
    """Has the name of a shipped activation."""

    name: ClassVar[str] = "relu"

    def module(self) -> nn.Module:
        return nn.Tanh()


def test_nobodys_own_choice_takes_the_place_of_a_shipped_one() -> None:
    assert isinstance(Run(act="relu").act.module(), nn.ReLU)
    own = Run(act=NotReLU())
    back = described(describe(own), targets(own))
    assert isinstance(back.act, NotReLU)
