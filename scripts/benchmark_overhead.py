"""What measuring costs: the time of a training step with and without it, as ratios within one run.

    python scripts/benchmark_overhead.py [--rounds 40] [--depth 20] [--width 128] [--batch 64]

All contenders train the same network (tanh, SGD) on the digits with one thread, in turns of a few steps each,
so that a change of the machine's speed meets all of them; the figures are medians over the rounds. `bare` is
the loop that a PyTorch user writes by hand, with torch.optim.SGD. `naive` is the straightforward way to
measure the same columns: hooks, per-parameter `.item()`, csv.writer. Peers are measured when they are
installed, with their own defaults at every step; they measure less than all columns.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vanishgrad import Run, build
from vanishgrad.choices.activation import Tanh
from vanishgrad.choices.data import load
from vanishgrad.engine.passes import Eager
from vanishgrad.engine.prepare import check
from vanishgrad.engine.recorder import Recorder
from vanishgrad.engine.stack import Stack
from vanishgrad.measure import GradientMonitor
from vanishgrad.records import GRADIENT_COLUMNS

STEPS = 50  # per turn, so that a contender works with its own caches; a multiple of log_every
Step = Callable[[], None]


def batches(run: Run) -> Iterator[tuple[Tensor, Tensor]]:
    """Random batches, without end."""
    data, generator = load(run.data), torch.Generator().manual_seed(0)
    while True:
        for rows in torch.randperm(len(data.train_x), generator=generator).split(int(run.batch_size)):
            if len(rows) == run.batch_size:
                yield data.train_x[rows], data.train_y[rows]


def bare(run: Run) -> Step:
    """The loop that everybody writes."""
    model, source = build(run), batches(run)
    optimizer = torch.optim.SGD(model.parameters(), lr=run.rate)

    def step() -> None:
        inputs, targets = next(source)
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), targets).backward()
        optimizer.step()

    return step


def vanishgrad(run: Run, folder: Path, autograd: bool = False) -> Step:
    """The product's own training, writing its run folder; with `autograd` as networks are trained that are no
    plain perceptrons."""
    device = torch.device("cpu")
    stack = Stack([run], check(run), device, [Recorder(run, folder, None, device)], lambda *_: None)
    trainer = stack.trainer
    if autograd:
        trainer.network = Eager(run, trainer.models[0], trainer.gradients)
    source = enumerate(stack.batches())

    def step() -> None:
        stack.step(*next(source))

    return step


def monitor(run: Run, every: int) -> Step:
    """`GradientMonitor` around the bare loop."""
    model, source = build(run), batches(run)
    optimizer = torch.optim.SGD(model.parameters(), lr=run.rate)
    watched = GradientMonitor(model, every=every).__enter__()
    assert watched is not None

    def step() -> None:
        inputs, targets = next(source)
        F.cross_entropy(model(inputs), targets).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def naive(run: Run, folder: Path) -> Step:
    """All columns the straightforward way."""
    model, source = build(run), batches(run)
    optimizer = torch.optim.SGD(model.parameters(), lr=run.rate)
    linears = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    first = {name: module.weight.detach().clone() for name, module in linears.items()}
    deltas: dict[str, Tensor] = {}
    outputs: list[Tensor] = []
    for name, module in linears.items():
        module.register_full_backward_hook(lambda m, i, o, name=name: deltas.__setitem__(name, o[0]))
    for module in model.modules():
        if isinstance(module, nn.Tanh):
            module.register_forward_hook(lambda m, i, o: outputs.append(o.detach()))
    file = open(folder / "naive.csv", "w", newline="")  # noqa: SIM115
    writer = csv.writer(file)
    writer.writerow(GRADIENT_COLUMNS)
    number = 0

    def step() -> None:
        nonlocal number
        outputs.clear()
        inputs, targets = next(source)
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), targets).backward()
        before = {name: module.weight.detach().clone() for name, module in linears.items()}
        optimizer.step()
        for layer, (name, module) in enumerate(linears.items(), 1):
            weight, bias, norm = module.weight, module.bias, before[name].norm().item()
            activation: list[float | None] = [None] * 4
            if layer <= len(outputs):
                out = outputs[layer - 1]
                slope = 1 - out**2
                activation = [
                    out.mean().item(), out.std().item(), (slope < 0.05).float().mean().item(),
                    (slope == 0).all(0).float().mean().item(),
                ]  # fmt: skip
            writer.writerow([
                number, 0, layer, name, weight.grad.double().norm().item(), bias.grad.double().norm().item(),
                deltas[name].double().norm().item(), norm, (weight - before[name]).norm().item() / norm,
                (before[name] - first[name]).norm().item() / first[name].norm().item(), *activation,
            ])  # fmt: skip
        file.flush()
        number += 1

    return step


def torchmortem(run: Run) -> Step:
    """`torchmortem.Autopsy` around the bare loop, as its README has it."""
    from torchmortem import Autopsy

    model, source = build(run), batches(run)
    optimizer = torch.optim.SGD(model.parameters(), lr=run.rate)
    autopsy = Autopsy(model, optimizer=optimizer).__enter__()

    def step() -> None:
        inputs, targets = next(source)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()
        autopsy.step(loss=loss.item())

    return step


def neural_observatory(run: Run) -> Step:
    """`neural_observatory.Observatory` around the bare loop, as its README has it."""
    from neural_observatory import Observatory

    model, source = build(run), batches(run)
    optimizer = torch.optim.SGD(model.parameters(), lr=run.rate)
    observatory = Observatory(model)
    observatory.watch()
    number = 0

    def step() -> None:
        nonlocal number
        observatory.step(step=number, epoch=0)
        inputs, targets = next(source)
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), targets).backward()
        optimizer.step()
        number += 1

    return step


def torchdiag(run: Run) -> Step:
    """`torchdiag.check_gradients` after every backward pass, its print-out thrown away."""
    from torchdiag import check_gradients

    model, source = build(run), batches(run)
    optimizer = torch.optim.SGD(model.parameters(), lr=run.rate)

    def step() -> None:
        inputs, targets = next(source)
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), targets).backward()
        with contextlib.redirect_stdout(io.StringIO()):
            check_gradients(model)
        optimizer.step()

    return step


PEERS = {"torchmortem": torchmortem, "neural_observatory": neural_observatory, "torchdiag": torchdiag}


def contenders(run: Run, folder: Path) -> dict[str, Step]:
    """Everything that is compared, by the name it is printed with."""
    every = replace(run, log_every=1)
    ours: dict[str, Step] = {
        "bare": bare(run),
        "all columns, every step": vanishgrad(every, folder / "all"),
        "measure=gradients, every step": vanishgrad(
            replace(every, measure="gradients"), folder / "gradients"
        ),
        "all columns, log_every=10": vanishgrad(replace(run, log_every=10), folder / "tenth"),
        "all columns, through autograd": vanishgrad(every, folder / "autograd", autograd=True),
        "log_every=10, through autograd": vanishgrad(
            replace(run, log_every=10), folder / "tenth_autograd", autograd=True
        ),
        "GradientMonitor(every=1)": monitor(run, 1),
        "GradientMonitor(every=10)": monitor(run, 10),
        "naive .item() loop, every step": naive(run, folder),
    }
    return ours | {name: peer(run) for name, peer in PEERS.items() if find_spec(name) is not None}


def measure(steps: dict[str, Step], rounds: int) -> dict[str, list[float]]:
    """Seconds per step of each contender, one figure per round, in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            for _ in range(STEPS):
                step()
            if number:  # the first round warms up
                seconds[name].append((time.perf_counter() - start) / STEPS)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--batch", type=int, default=64)
    given = parser.parse_args()
    torch.set_num_threads(1)
    run = Run(
        depth=given.depth, width=given.width, batch_size=given.batch, act=Tanh(),
        epochs=10**6, eval_every=10**9,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        seconds = measure(contenders(run, Path(folder)), given.rounds)
    print(f"torch {torch.__version__}, python {sys.version.split()[0]}, one thread")
    print(f"depth {given.depth}, width {given.width}, tanh, batch {given.batch}; {given.rounds} rounds")
    for name, times in seconds.items():
        ratios = [one / base for one, base in zip(times, seconds["bare"], strict=True)]
        microseconds = statistics.median(times) * 1e6
        print(f"{name:32s} {microseconds:8.0f} us/step {statistics.median(ratios):6.2f} x bare")
    for peer in PEERS:
        if find_spec(peer) is None:
            print(f"{peer:32s} not installed")


if __name__ == "__main__":
    main()
