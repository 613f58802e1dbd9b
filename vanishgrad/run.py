"""One experiment, fully described."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, is_dataclass

from vanishgrad.choices.activation import Activation, ReLU
from vanishgrad.choices.clipping import Clipping, NoClip
from vanishgrad.choices.data import Data, Digits
from vanishgrad.choices.initialization import (
    LSUV,
    Critical,
    Default,
    Gaussian,
    Initialization,
    Normal,
    Zeros,
    edge_of_chaos,
)
from vanishgrad.choices.loss import BCE, MSE, CrossEntropy, Loss
from vanishgrad.choices.model import MLP, Model
from vanishgrad.choices.normalization import Batch, NoNorm, Normalization, Weight
from vanishgrad.choices.optimizer import SGD, Optimizer
from vanishgrad.choices.regularization import NoReg, Regularization
from vanishgrad.choices.residual import Fixup, NoResidual, Residual
from vanishgrad.choices.schedule import Constant, Schedule
from vanishgrad.errors import at_least, one_of, require

DEVICES = ("auto", "cpu", "cuda", "mps")
DTYPES = ("float32", "float64")
MEASURES = ("all", "gradients")
COUNTS = {
    "depth": 0, "width": 1, "epochs": 0, "max_steps": 0, "warmup": 0, "log_every": 1, "eval_every": 1,
    "recompute_every": 0, "save_every": 0, "snapshots": 0,
}  # fmt: skip
OPTIONAL = ("max_steps", "eval_every", "loss")
WORDS = {"batch_size": "full", "threads": "auto"}
LOSSES: dict[str, Loss] = {loss.name: loss for loss in (CrossEntropy(), BCE(), MSE())}


@dataclass(frozen=True)
class Run:
    """One experiment: numbers, and one choice per group. Frozen, hashable, checked when it is made.

    Arguments:
        depth: hidden layers; the output layer comes on top, and 0 is a linear model.
        width: units per hidden layer.
        epochs: passes over the training data.
        max_steps: updates at the most; None for no such limit.
        batch_size: examples per step, or "full"; the last, partial batch of an epoch is dropped.
        lr: learning rate; None for the optimizer's own default.
        warmup: steps over which the rate rises linearly to `lr`.
        seed: of the initial weights, the order of the data and the dropout, each with a stream of its own.
        device: auto, cpu, cuda or mps.
        dtype: float32 or float64.
        threads: CPU threads, or "auto".
        log_every: steps between rows of gradients.csv.
        eval_every: steps between evaluations on the held-out split; None for once per epoch.
        measure: all, or gradients for `grad_norm` and `bias_grad_norm` alone.
        recompute_every: hidden layers per recomputed segment (activation checkpointing); 0 keeps everything.
        save_every: steps between checkpoints; 0 for one at the end.
        snapshots: copies of the weights kept over the run, evenly spaced; 0 for none.
        name: a label.

    Raises:
        SettingError: when a value, or a combination, makes no sense.
    """

    depth: int = 5
    width: int = 64
    epochs: int = 20
    max_steps: int | None = None
    batch_size: int | str = 64
    lr: float | None = None
    warmup: int = 0
    seed: int = 0
    device: str = "auto"
    dtype: str = "float32"
    threads: int | str = "auto"
    log_every: int = 10
    eval_every: int | None = None
    measure: str = "all"
    recompute_every: int = 0
    save_every: int = 0
    snapshots: int = 0
    name: str | None = None
    model: Model = field(default_factory=MLP)
    act: Activation = field(default_factory=ReLU)
    init: Initialization = field(default_factory=Default)
    norm: Normalization = field(default_factory=NoNorm)
    residual: Residual = field(default_factory=NoResidual)
    clip: Clipping = field(default_factory=NoClip)
    reg: Regularization = field(default_factory=NoReg)
    optim: Optimizer = field(default_factory=SGD)
    schedule: Schedule = field(default_factory=Constant)
    loss: Loss | None = None
    data: Data = field(default_factory=Digits)

    def __post_init__(self) -> None:
        _check_groups(self)
        _check_numbers(self)
        _check_combinations(self)

    @property
    def rate(self) -> float:
        """The learning rate, with the optimizer's default in place of None."""
        return self.optim.default_lr if self.lr is None else self.lr

    @property
    def criterion(self) -> Loss:
        """The loss, with the data's own in place of None."""
        return LOSSES[self.data.default_loss] if self.loss is None else self.loss

    @property
    def blocks(self) -> list[range]:
        """The hidden layers of each residual block: layer 1 is the stem, a remainder joins the last block.

        Empty for a plain network, and where nothing follows the stem.
        """
        if isinstance(self.residual, NoResidual) or self.depth < 2:
            return []
        count = max(1, (self.depth - 1) // self.residual.every)
        starts = [2 + block * self.residual.every for block in range(count)]
        return [range(a, b) for a, b in zip(starts, [*starts[1:], self.depth + 1], strict=True)]


GROUPS = tuple(name for name in Run.__dataclass_fields__ if name in {
    "model", "act", "init", "norm", "residual", "clip", "reg", "optim", "schedule", "loss", "data"
})  # fmt: skip
SCALARS = tuple(name for name in Run.__dataclass_fields__ if name not in GROUPS)


def is_integer(value: object) -> bool:
    """Whether `value` is an integer; a truth value is none."""
    return isinstance(value, int) and not isinstance(value, bool)


def _check_groups(run: Run) -> None:
    for group in GROUPS:
        value = getattr(run, group)
        if not (value is None and group in OPTIONAL):
            require(
                is_dataclass(value) and not isinstance(value, type) and hasattr(value, "name"),
                f"{group}={value!r}: give a choice, an instance of {Run.__annotations__[group]}",
            )


def _check_numbers(run: Run) -> None:
    for key, least in COUNTS.items():
        value = getattr(run, key)
        if not (value is None and key in OPTIONAL):
            require(is_integer(value), f"{key}={value!r}: must be an integer")
            at_least(key, value, least)
    for key, word in WORDS.items():
        value = getattr(run, key)
        require(
            value == word or (is_integer(value) and value >= 1),
            f"{key}={value}: must be {word} or an integer of at least 1",
        )
    require(run.threads == "auto" or int(run.threads) <= 1024, f"threads={run.threads}: must be at most 1024")
    require(is_integer(run.seed), f"seed={run.seed!r}: must be an integer")
    require(
        0 < run.rate < math.inf,
        f"lr={run.lr}: must be finite and above 0, or null for the optimizer's default",
    )
    one_of("device", run.device, DEVICES)
    one_of("dtype", run.dtype, DTYPES)
    one_of("measure", run.measure, MEASURES)


def _check_combinations(run: Run) -> None:
    run.norm.module(run.width)  # refuses what cannot normalize this width
    require(
        not (isinstance(run.norm, Batch) and run.batch_size == 1),
        "norm=batch with batch_size=1: one example has no variance; use at least 2, or norm=layer",
    )
    if isinstance(run.residual, Fixup):
        require(
            all(len(block) >= 2 for block in run.blocks),
            f"residual=fixup with depth={run.depth}: leaves a block of one layer, whose scale "
            "blocks^(-1/(2m-2)) does not exist; use depth of at least 3",
        )
        require(
            not isinstance(run.init, LSUV),
            "residual=fixup with init=lsuv: unit variance undoes fixup's branch scaling; use another init",
        )
    if isinstance(run.init, Critical):
        edge_of_chaos(run.act)  # refuses an activation without a critical point
    _check_weight_norm(run)


def _check_weight_norm(run: Run) -> None:
    zero = (
        isinstance(run.init, Zeros)
        or (isinstance(run.init, Gaussian) and run.init.sigma_w == 0)
        or (isinstance(run.init, Normal) and run.init.std == 0)
        or isinstance(run.residual, Fixup)
    )
    require(
        not (isinstance(run.norm, Weight) and zero),
        "norm=weight with weights that start at 0: g v / ||v|| needs a direction; "
        "use another init, and another residual than fixup",
    )
