"""Rectifiers, looked at directly: what they cost, and where PReLU's slopes go."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import pandas as pd
import torch
from torch import Tensor, nn

from vanishgrad.choices.activation import ELU, GELU, LeakyReLU, PReLU, ReLU, Sigmoid, Tanh
from vanishgrad.choices.initialization import He
from vanishgrad.choices.protocol import Activation
from vanishgrad.engine import train
from vanishgrad.modules.weights import Linear
from vanishgrad.run import Run
from vanishgrad.streams import stream

TIMED: tuple[Activation, ...] = (ReLU(), LeakyReLU(), ELU(), GELU(), Tanh(), Sigmoid())
BATCH, UNITS, REPETITIONS = 256, 512, 25
START, DEPTH, STEPS = 0.25, 5, 600


def costs(seed: int) -> pd.DataFrame:
    """`act, part, seconds`: a pass forward and backward, through the `activation` alone or its whole `layer`.

    The median of repetitions that take turns, in one thread, for a batch of 256 in 512 units.
    """
    generator = stream(seed, "costs")
    x = torch.randn(BATCH, UNITS, generator=generator)
    layer = Linear(UNITS, UNITS)
    nn.init.normal_(layer.weight, std=UNITS**-0.5, generator=generator)
    nn.init.zeros_(layer.bias)
    parts: dict[tuple[str, str], Callable[[], None]] = {}
    for act in TIMED:
        parts[act.name, "activation"] = _pass(act.module(), x)
        parts[act.name, "layer"] = _pass(nn.Sequential(layer, act.module()), x)
    rows = [(*name, seconds) for name, seconds in _medians(parts).items()]
    return pd.DataFrame(rows, columns=["act", "part", "seconds"])


def _pass(module: nn.Module, x: Tensor) -> Callable[[], None]:
    wanted = x.clone().requires_grad_()
    handed = torch.ones_like(x)

    def once() -> None:
        torch.autograd.grad(module(wanted), [wanted, *module.parameters()], handed)

    return once


def _medians(parts: dict[tuple[str, str], Callable[[], None]]) -> dict[tuple[str, str], float]:
    """Seconds of each part; all take turns, so that whatever else the machine does strikes all alike."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        taken: dict[tuple[str, str], list[float]] = {name: [] for name in parts}
        for _ in range(REPETITIONS):
            for name, once in parts.items():
                start = time.perf_counter()
                once()
                taken[name].append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def slopes(seed: int) -> pd.DataFrame:
    """`layer, slope`: the slopes for negative inputs that PReLU has learned."""
    run = Run(
        depth=DEPTH, act=PReLU(START), init=He(), lr=0.1, max_steps=STEPS, epochs=100, log_every=STEPS,
        measure="gradients", seed=seed,
    )  # fmt: skip
    learned = [part for part in train(run).model.modules() if isinstance(part, nn.PReLU)]
    rows = [(layer, float(part.weight.detach())) for layer, part in enumerate(learned, 1)]
    return pd.DataFrame(rows, columns=["layer", "slope"])
