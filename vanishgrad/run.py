"""One experiment, fully described: `Run`, its checks, and what two runs must share to train as one stack."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Any, Literal, TypeAlias, cast, get_args

from vanishgrad.choices.clipping import Clipping, NoClip
from vanishgrad.choices.data import Digits
from vanishgrad.choices.initialization import Default
from vanishgrad.choices.loss import BCE, MSE, CrossEntropy
from vanishgrad.choices.model import MLP
from vanishgrad.choices.named import Named, protocols_of, resolved
from vanishgrad.choices.normalization import NoNorm
from vanishgrad.choices.optimizer import SGD, Optimizer
from vanishgrad.choices.pretraining import NoPretraining
from vanishgrad.choices.protocol import (
    Activation,
    Data,
    Initialization,
    Layers,
    Loss,
    Model,
    Normalization,
    Pretraining,
    Residual,
)
from vanishgrad.choices.regularization import NoReg, Regularization
from vanishgrad.choices.residual import NoResidual
from vanishgrad.choices.schedule import ConstantLR, Schedule
from vanishgrad.errors import between, one_of, require, writable
from vanishgrad.records import FINDINGS, Pathology

LOSSES: dict[str, Loss] = {loss.name: loss for loss in (CrossEntropy(), BCE(), MSE())}
Device: TypeAlias = Literal["auto", "cpu", "cuda", "mps"]
Dtype: TypeAlias = Literal["float32", "float64"]
Measures: TypeAlias = Literal["all", "gradients"]
Stop: TypeAlias = Pathology | Literal["any"]
DEVICES: tuple[Device, ...] = get_args(Device)
DTYPES: tuple[Dtype, ...] = get_args(Dtype)
MEASURES: tuple[Measures, ...] = get_args(Measures)
RANGES: dict[Dtype, tuple[float, float]] = {  # largest and smallest number above 0
    "float32": ((2 - 2**-23) * 2.0**127, 2.0**-149),
    "float64": (sys.float_info.max, math.ulp(0.0)),
}
MOST = 2**63 - 1  # that any count can be
MOST_SNAPSHOTS = 10_000
COUNTS = {
    "depth": 0, "width": 1, "epochs": 0, "max_steps": 0, "warmup": 0, "log_every": 1, "eval_every": 1,
    "recompute_every": 0, "save_every": 0, "snapshots": 0, "dead_every": 0, "input_gradients": 0,
}  # fmt: skip
ANY = "any"  # of the findings
STOPS = (ANY, *FINDINGS)
OPTIONAL = ("max_steps", "eval_every", "lr", "stop_on", "name", "loss", "depth", "act")
WORDS = {"batch_size": "full", "threads": "auto"}


def usually(choice: type) -> Any:
    """A field whose default is `choice()`; to a type checker, whatever the field is."""
    return field(default_factory=choice)


@dataclass(frozen=True)
class Run:
    """One experiment: numbers, and one choice per group. Frozen, hashable, checked when it is made.

    A choice is an object, `act=LeakyReLU(slope=0.1)`, or the name of one, which then has its defaults.

    Arguments:
        depth: hidden layers; the output layer comes on top, and 0 is a linear model. None takes the
            model's own: 5, for recurrent models 1.
        width: units per hidden layer.
        epochs: passes over the training data.
        max_steps: at most so many updates; None for no such limit.
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
        dead_every: steps between counts of the units that are dead on the whole training set; 0 for none.
        input_gradients: points on lines between training inputs at which the gradient with respect to the
            input is compared, at the first step and the last (shattered gradients); 0 for none.
        stop_on: ends training at the first logged step with this finding of the diagnosis, such as
            "vanishing", or with "any"; None trains to the end.
        name: a label.

    Raises:
        SettingError: when a value, or a combination, makes no sense.

    Example:
        >>> Run(depth=20, act="sigmoid", norm="batch").norm
        BatchNorm(position='pre')
    """

    depth: int = cast(int, None)  # resolved when the run is made
    width: int = 64
    epochs: int = 20
    max_steps: int | None = None
    batch_size: int | Literal["full"] = 64
    lr: float | None = None
    warmup: int = 0
    seed: int = 0
    device: Device = "auto"
    dtype: Dtype = "float32"
    threads: int | Literal["auto"] = "auto"
    log_every: int = 10
    eval_every: int | None = None
    measure: Measures = "all"
    recompute_every: int = 0
    save_every: int = 0
    snapshots: int = 0
    dead_every: int = 0
    input_gradients: int = 0
    stop_on: Stop | None = None
    name: str | None = None
    model: Named[Model] = usually(MLP)
    act: Named[Activation] = cast(Any, None)  # resolved when the run is made
    init: Named[Initialization] = usually(Default)
    norm: Named[Normalization] = usually(NoNorm)
    residual: Named[Residual] = usually(NoResidual)
    clip: Named[Clipping] = usually(NoClip)
    reg: Named[Regularization] = usually(NoReg)
    pretrain: Named[Pretraining] = usually(NoPretraining)
    optim: Named[Optimizer] = usually(SGD)
    schedule: Named[Schedule] = usually(ConstantLR)
    loss: Named[Loss | None] = cast(Any, None)
    data: Named[Data] = usually(Digits)

    def __post_init__(self) -> None:
        for group, protocol in protocols_of(Run, GROUPS).items():
            value = getattr(self, group)
            if value is not None or group not in OPTIONAL:
                object.__setattr__(self, group, resolved(group, value, protocol))
        if self.depth is None:
            object.__setattr__(self, "depth", self.model.default_depth)
        if self.act is None:
            object.__setattr__(self, "act", self.model.default_act)
        check_numbers(self)
        check_range(self)
        check_combinations(self)

    @property
    def rate(self) -> float:
        """The learning rate, with the optimizer's default in place of None."""
        return self.optim.default_lr if self.lr is None else self.lr

    @property
    def criterion(self) -> Loss:
        """The loss, with the data's own in place of None."""
        return LOSSES[self.data.default_loss] if self.loss is None else self.loss

    @property
    def blocks(self) -> Layers:
        """The hidden layers of each residual block: layer 1 is the stem, a remainder joins the last block.

        Empty for a plain network, and where nothing follows the stem.
        """
        return self.spans if self.residual.shortcuts else []

    @property
    def span_count(self) -> int:
        """As many as `spans`, counted without making them; 1 for a network too shallow for any."""
        return max(1, (self.depth - 1) // self.residual.every)

    @property
    def spans(self) -> Layers:
        """The blocks, or in a plain network what they would be: it changes its size where its twin does."""
        if self.depth < 2:
            return []
        starts = [2 + block * self.residual.every for block in range(self.span_count)]
        return [range(a, b) for a, b in zip(starts, [*starts[1:], self.depth + 1], strict=True)]


GROUPS = tuple(name for name in Run.__dataclass_fields__ if name in {
    "model", "act", "init", "norm", "residual", "clip", "reg", "pretrain", "optim", "schedule", "loss", "data"
})  # fmt: skip
SCALARS = tuple(name for name in Run.__dataclass_fields__ if name not in GROUPS)


def is_integer(value: object) -> bool:
    """Whether `value` is an integer; a truth value is none."""
    return isinstance(value, int) and not isinstance(value, bool)


def check_numbers(run: Run) -> None:
    for key, least in COUNTS.items():
        value = getattr(run, key)
        if not (value is None and key in OPTIONAL):
            require(is_integer(value), f"{key}={value!r}: must be an integer")
            between(key, value, least, MOST_SNAPSHOTS if key == "snapshots" else MOST)
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
    if run.stop_on is not None:
        one_of("stop_on", run.stop_on, STOPS)


def check_range(run: Run) -> None:
    """Refuse numbers, of the run and its choices, that its numbers cannot hold, and text that no file can."""
    if isinstance(run.name, str):
        writable(f"name={run.name}", run.name)
    if run.lr is not None:
        representable("lr", run.lr, run.dtype)
    for group in GROUPS:
        if (choice := getattr(run, group)) is not None:
            _check_parameters(group, choice, run.dtype)


@lru_cache(maxsize=1024)
def _check_parameters(group: str, choice: Any, dtype: Dtype) -> None:
    """The same for the parameters of a choice; the runs of a sweep have few."""
    for item in fields(choice):
        value = getattr(choice, item.name)
        if is_integer(value) and item.name != "seed":
            require(abs(value) <= MOST, f"{group}.{item.name}: must be at most {MOST}")
        if isinstance(value, str):
            writable(f"{group}.{item.name}={value}", value)
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, float):
                representable(f"{group}.{item.name}", number, dtype)


def representable(key: str, value: float, dtype: Dtype) -> None:
    """Refuse a number that overflows in `dtype`, and one other than 0 that becomes 0 in it.

    Raises:
        SettingError: with the number nearest to it that there is.
    """
    largest, smallest = RANGES[dtype]
    other = "" if dtype == "float64" else ", or dtype=float64"
    require(
        not math.isfinite(value) or abs(value) <= largest,
        f"{key}={value}: is beyond the largest {dtype}, {largest:.7g}; use less{other}",
    )
    require(
        value == 0 or not abs(value) <= smallest / 2,
        f"{key}={value}: is 0 in {dtype}, the smallest is {smallest:.2g}; use more{other}",
    )


def check_combinations(run: Run) -> None:
    """Refuse, with the reason, what makes no sense together: every choice is asked in turn."""
    run.model.refuse_data(run)
    run.data.refuse_loss("" if run.loss is None else run.loss.name)
    for choice in (run.model, run.norm, run.residual, run.init, run.pretrain):
        choice.refuse(run)
    require(
        run.input_gradients == 0 or run.input_gradients >= 8,
        f"input_gradients={run.input_gradients}: correlations need at least 8 points; or 0 for none",
    )


def reseeded(run: Run, seed: int) -> Run:
    """`run` with another seed, which changes nothing in whether it makes sense."""
    return _copied(run, seed=seed)


def identity(run: Run) -> Run:
    """`run` with nothing left to be resolved: equal for runs that end alike."""
    return _copied(run, lr=run.rate, loss=run.criterion)


def _copied(run: Run, **changes: Any) -> Run:
    """`run` with changes that need no checks, which take ten times as long as the copy."""
    copy = object.__new__(Run)
    vars(copy).update(vars(run), **changes)
    return copy


def structure(run: Run) -> Run:
    """What is left of `run` without the numbers and initial values in which the runs of a stack may differ.

    Those are the seed, the initialization, the learning rate with its schedule, what its clipping,
    regularization and optimizer say that `varies`, and the name. Runs with equal, hashable structures have
    the same modules, batches of the same size and the same steps to measure.
    """
    return _copied(
        run, seed=0, init=Default(), lr=None, warmup=0, schedule=ConstantLR(), name=None,
        clip=_fixed(run.clip), reg=_fixed(run.reg), optim=_fixed(run.optim),
    )  # fmt: skip


def _fixed(choice: Any) -> Any:
    """The choice with its defaults in place of the numbers that vary."""
    if not choice.varies:
        return choice
    fields = type(choice).__dataclass_fields__
    return replace(choice, **{name: fields[name].default for name in choice.varies})
