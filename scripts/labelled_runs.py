"""What is trained for the benchmark of the diagnosis, and how the truth about it is known."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from vanishgrad import GradientMonitor, Run, build, train
from vanishgrad.choices.data import load
from vanishgrad.choices.initialization import Default, Gaussian, He, LeCun, Xavier
from vanishgrad.description import describe
from vanishgrad.engine import Result
from vanishgrad.engine.recorder import baseline
from vanishgrad.run import structure
from vanishgrad.streams import stream
from vanishgrad.sweeps.work import alone_because, train_stack
from vanishgrad.theory import chi_1, length_map

LEARNS, FAILS = (
    0.5,
    0.2,
)  # of the error that ignorance makes, taken away: what a healthy network does, a sick one not


@dataclass(frozen=True)
class Twist:
    """What a `Run` cannot say: done by a training loop of PyTorch around the network that it builds.

    Arguments:
        prepare: changes the network before training.
        rate: the learning rate of a layer relative to the others', from its number.
        scale: what the loss is multiplied by, and the rate divided by.
        shuffled: the labels are drawn anew, so that there is nothing to learn.
    """

    prepare: Callable[[nn.Module], None] | None = None
    rate: Callable[[int], float] | None = None
    scale: float = 1.0
    shuffled: bool = False


@dataclass(frozen=True)
class Case:
    """A setting whose truth is known.

    Arguments:
        family: settings that are alike; a family is tuned on, or held out, as a whole.
        run: what is trained.
        truth: the pathologies that must be found; none for a healthy network.
        also: pathologies that come with those, and are no false alarm beside them.
        twist: how it is trained otherwise than a run.
        blind: only the gradients are shown, as those of a monitored foreign model.
        outcome: whether what training achieves must agree with the truth, which is else left out as unknown.
    """

    family: str
    run: Run
    truth: frozenset[str] = frozenset()
    also: frozenset[str] = frozenset()
    twist: Twist | None = None
    blind: bool = False
    outcome: bool = True


@dataclass(frozen=True)
class Seen:
    """What a diagnosis may look at, and how far training came.

    Arguments:
        gradients, metrics, extra: the tables.
        achieved: the part of the error that training took away, on held-out data.
        status, diverged_at, setting, baseline: as in run.json.
        sizes: weights of each layer.
        dead: the fraction of hidden units that answer to no example of the training set; NaN if not counted.
    """

    gradients: pd.DataFrame
    metrics: pd.DataFrame
    achieved: float
    status: str
    setting: dict[str, Any]
    diverged_at: dict[str, Any] | None = None
    baseline: dict[str, Any] | None = None
    extra: dict[str, pd.DataFrame] = field(default_factory=dict)
    sizes: dict[int, int] = field(default_factory=dict)
    dead: float = math.nan


def predicted_fall(run: Run) -> float:
    """Decades by which mean-field theory lets the gradient of a plain perceptron shrink towards the input.

    |delta_l|^2 = chi_l |delta_(l+1)|^2 with chi_l = sigma_w^2 E[f'(z)^2], z ~ N(0, q_l), and q_l from the
    length map (Schoenholz et al. 2017), from inputs of unit variance.
    """
    sigma_w, sigma_b = _sigmas(run)
    f = run.act.module()
    q, fall = sigma_w**2 + sigma_b**2, 0.0
    for _ in range(run.depth - 1):
        fall -= math.log10(max(chi_1(f, sigma_w, q), 1e-300)) / 2
        q = length_map(f, q, sigma_w, sigma_b)
    return fall


def _sigmas(run: Run) -> tuple[float, float]:
    match run.init:
        case Gaussian(sigma_w=sigma_w, sigma_b=sigma_b):
            return sigma_w, sigma_b
        case Default():
            return math.sqrt(1 / 3), math.sqrt(1 / (3 * run.width))
        case He():
            return math.sqrt(2), 0.0
        case Xavier() | LeCun():
            return 1.0, 0.0
        case _:
            raise ValueError(f"no theory for {run.init}")


def predicted_flat(run: Run, edge: float) -> float:
    """The fraction of the second hidden layer whose |input| is beyond `edge`, from the length map."""
    sigma_w, sigma_b = _sigmas(run)
    q = length_map(run.act.module(), sigma_w**2 + sigma_b**2, sigma_w, sigma_b)
    return math.erfc(edge / math.sqrt(2 * q))


def groups(cases: Iterable[Case]) -> list[list[Case]]:
    """The cases that are trained together."""
    alike: dict[Any, list[Case]] = defaultdict(list)
    for case in cases:
        alone = case.twist is not None or alone_because(case.run) is not None
        alike[id(case) if alone else structure(case.run)].append(case)
    return sorted(alike.values(), key=len, reverse=True)


def train_together(group: list[Case]) -> list[tuple[Case, Seen]]:
    """One of `groups`."""
    torch.set_num_threads(1)
    if group[0].twist is not None:
        return [(case, looped(case)) for case in group]
    results: dict[int, Result] = {}
    if len(group) == 1:
        results[0] = train(group[0].run)
    else:
        train_stack([case.run for case in group], results.__setitem__)
    return [(case, _seen(case.run, results[place])) for place, case in enumerate(group)]


def _seen(run: Run, result: Result) -> Seen:
    achieved = _achieved(result.metrics, baseline(run)) if result.status == "completed" else 0.0
    dead, extra = math.nan, dict(result.extra)
    if "dead_units" in extra:  # the truth is counted on all examples; the diagnosis sees batches
        counted = extra.pop("dead_units")
        last = counted[counted["step"] == counted["step"].max()]
        dead = float((last["units"] * last["dead_fraction"]).sum() / last["units"].sum())
    return Seen(
        result.gradients, result.metrics, achieved, result.status, describe(run), result.diverged_at,
        baseline(run), extra, _sizes(result.model), dead,
    )  # fmt: skip


def _achieved(metrics: pd.DataFrame, known: dict[str, Any] | None) -> float:
    """Of the error of an answer that ignores the input: by classes at random, or as published."""
    accuracy, loss = (metrics[name].dropna() for name in ("val_accuracy", "val_loss"))
    if known is not None and known["metric"] == "val_loss":
        return 1 - float(loss.iloc[-1]) / known["value"]
    chance = known["value"] if known is not None else float(metrics["train_accuracy"].iloc[0])
    chance = min(max(chance, 0.1), 0.34)
    return (float(accuracy.iloc[-1]) - chance) / (1 - chance)


def _sizes(model: nn.Module) -> dict[int, int]:
    found: dict[int, int] = defaultdict(int)
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1:
            layer = getattr(model, "layer_of", {}).get(name.rsplit(".", 1)[0], 0)
            found[layer] += parameter.numel()
    return dict(found)


def looped(case: Case, beside: Callable[[nn.Module, torch.optim.Optimizer], Any] | None = None) -> Seen:
    """Train a case in a loop of PyTorch, watched by a GradientMonitor.

    Arguments:
        case: with or without a twist.
        beside: somebody else who watches: called with model and optimizer, gives what is called with every
            step's loss.
    """
    run, twist = case.run, case.twist or Twist()
    torch.manual_seed(run.seed)
    data, model = load(run.data), build(run)
    if twist.prepare is not None:
        with torch.no_grad():
            twist.prepare(model)
    optimizer = _optimizer(run, model, twist)
    labels = _labels(data.train_y, twist, run.seed)
    chosen = stream(run.seed, "order")
    criterion = nn.CrossEntropyLoss()
    rows: list[dict[str, float]] = []
    watcher = beside(model, optimizer) if beside is not None else None
    steps = run.max_steps or 300
    with GradientMonitor(model, every=run.log_every) as monitor:
        for step in range(steps):
            batch = torch.randint(len(labels), (int(run.batch_size),), generator=chosen)
            outputs = model(data.train_x[batch])
            loss = criterion(outputs, labels[batch]) * twist.scale
            loss.backward()
            if step % run.log_every == 0:
                right = (outputs.argmax(1) == labels[batch]).double().mean()
                rows.append({"step": step, "epoch": step * len(batch) // len(labels),
                             "train_loss": float(loss.detach()), "train_accuracy": float(right)})  # fmt: skip
            optimizer.step()
            if watcher is not None:
                watcher(float(loss.detach()))
            optimizer.zero_grad()
    return _looked_at(case, model, monitor, pd.DataFrame(rows), criterion)


def _looked_at(
    case: Case, model: nn.Module, monitor: GradientMonitor, metrics: pd.DataFrame, criterion: nn.Module
) -> Seen:
    data = load(case.run.data)
    model.eval()
    with torch.no_grad():
        outputs = model(data.val_x)
        metrics.loc[metrics.index[-1], "val_accuracy"] = float(
            (outputs.argmax(1) == data.val_y).double().mean()
        )
        scale = case.twist.scale if case.twist else 1.0
        metrics.loc[metrics.index[-1], "val_loss"] = float(criterion(outputs, data.val_y)) * scale
    finite = bool(outputs.isfinite().all())
    return Seen(
        monitor.frame(), metrics, _achieved(metrics, None) if finite else 0.0,
        "completed" if finite else "diverged", describe(case.run), sizes=_sizes(model),
    )  # fmt: skip


def _optimizer(run: Run, model: nn.Module, twist: Twist) -> torch.optim.Optimizer:
    layer_of = model.layer_of
    rate = twist.rate or (lambda layer: 1.0)
    kind = torch.optim.Adam if run.optim.name == "adam" else torch.optim.SGD
    divisor = 1.0 if run.optim.name == "adam" else twist.scale
    return kind([
        {"params": [parameter], "lr": run.rate / divisor * rate(layer_of.get(name.rsplit(".", 1)[0], 0))}
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    ])  # fmt: skip


def _labels(labels: Tensor, twist: Twist, seed: int) -> Tensor:
    if not twist.shuffled:
        return labels
    return labels[torch.randperm(len(labels), generator=stream(seed, "labels"))]
