"""What plain tensor operations cost: a training step of each recurrent cell beside PyTorch's own fused one.

    python scripts/benchmark_recurrent.py [--rounds 15] [--width 64] [--length 50] [--batch 64]

Times are medians over rounds in which all contenders take turns, in one thread; ratios are to `torch.nn`'s
module of the same cell in a bare loop.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vanishgrad import Run
from vanishgrad.choices.data import Adding
from vanishgrad.choices.model.recurrent import GRU, LSTM, RNN
from vanishgrad.engine.prepare import check
from vanishgrad.engine.recorder import Recorder
from vanishgrad.engine.stack import Stack

Step = Callable[[], None]
CELLS: tuple[tuple[RNN | GRU | LSTM, type[nn.RNNBase]], ...] = (
    (RNN(), nn.RNN),
    (GRU(), nn.GRU),
    (LSTM(), nn.LSTM),
)


class Fused(nn.Module):
    """PyTorch's cell under a linear layer that reads the last hidden state."""

    def __init__(self, kind: type[nn.RNNBase], width: int) -> None:
        super().__init__()
        self.cell, self.output = kind(2, width, batch_first=True), nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        hidden, _ = self.cell(x)
        return self.output(hidden[:, -1])


def fused(run: Run, kind: type[nn.RNNBase]) -> Step:
    """A bare loop around PyTorch's module."""
    model = Fused(kind, run.width)
    optimizer = torch.optim.SGD(model.parameters(), lr=run.rate)
    x = torch.rand(int(run.batch_size), *run.data.shape)
    y = torch.rand(int(run.batch_size), 1)

    def step() -> None:
        optimizer.zero_grad()
        F.mse_loss(model(x), y).backward()
        optimizer.step()

    return step


def own(run: Run, folder: Path) -> Step:
    """The product's training, writing its run folder."""
    device = torch.device("cpu")
    stack = Stack([run], check(run), device, [Recorder(run, folder, None, device)], lambda *_: None)
    source = enumerate(stack.batches())

    def step() -> None:
        stack.step(*next(source))

    return step


def contenders(run: Run, kind: type[nn.RNNBase], folder: Path) -> dict[str, Step]:
    name = run.model.name
    return {
        f"torch.nn.{kind.__name__}": fused(run, kind),
        f"{name}, no step logged": own(replace(run, log_every=10**9), folder / f"{name}-bare"),
        f"{name}, log_every=10": own(replace(run, log_every=10), folder / f"{name}-ten"),
        f"{name}, every step": own(replace(run, log_every=1), folder / f"{name}-all"),
        f"{name}, fused, log_every=10": own(
            replace(run, model=replace(run.model, fused=True), log_every=10), folder / f"{name}-fused"
        ),
    }


def measure(steps: dict[str, Step], rounds: int, repeat: int = 10) -> dict[str, float]:
    """Median seconds per step, over `rounds` in which each of them does `repeat` steps."""
    for step in steps.values():
        step()
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            started = time.perf_counter()
            for _ in range(repeat):
                step()
            times[name].append((time.perf_counter() - started) / repeat)
    return {name: statistics.median(found) for name, found in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("rounds", 15), ("width", 64), ("length", 50), ("batch", 64)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, python {platform.python_version()}, one thread")
    print(f"width {given.width}, {given.length} time steps, batch {given.batch}; {given.rounds} rounds")
    data = Adding(length=given.length, train_size=20 * given.batch, held_out=given.batch)
    with tempfile.TemporaryDirectory() as folder:
        for model, kind in CELLS:
            run = Run(
                model=model, width=given.width, batch_size=given.batch, lr=0.01, epochs=10**6,
                eval_every=10**9, data=data,
            )  # fmt: skip
            found = measure(contenders(run, kind, Path(folder)), given.rounds)
            fused_seconds = next(iter(found.values()))
            for name, seconds in found.items():
                ratio = seconds / fused_seconds
                print(f"{name:<26} {1000 * seconds:7.2f} ms/step   {ratio:5.2f} x torch.nn", flush=True)


if __name__ == "__main__":
    main()
