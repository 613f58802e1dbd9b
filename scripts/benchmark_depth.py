"""Time and memory of very deep networks: both grow linearly with depth, and recomputation saves memory.

    python scripts/benchmark_depth.py [--depths 100 1000 10000] [--width 32] [--steps 5]

Each network is trained in a process of its own, every second step measured: perceptrons of any depth, then a
residual network of a thousand convolutions that keeps all activations, or computes segments of 30 again.
Memory is the process's peak beyond what it held after its imports and one step of a small network.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise


def train_once(depth: int, width: int, steps: int, convolutions: bool, every: int) -> dict[str, float]:
    """Seconds to the first step, per plain step and per measured step; MiB beyond the imports."""
    from vanishgrad import Run, train
    from vanishgrad.choices.activation import Tanh
    from vanishgrad.choices.model.feedforward import CNN
    from vanishgrad.choices.normalization import BatchNorm
    from vanishgrad.choices.residual import IdentityShortcut

    run = Run(depth=depth, width=width, act=Tanh(), max_steps=2 * steps, log_every=2, eval_every=10**9)
    if convolutions:
        run = replace(
            run,
            model=CNN(),
            norm=BatchNorm(),
            residual=IdentityShortcut(),
            recompute_every=every,
            batch_size=256,
        )
    train(replace(run, depth=4, width=2, max_steps=2, recompute_every=min(1, every)))  # late imports
    before = resident()
    times = [time.perf_counter()]
    train(run, observe=lambda progress: times.append(time.perf_counter()))
    taken = [late - early for early, late in pairwise(times)]
    return {
        "first": taken[0],
        "plain": statistics.median(taken[1::2]),
        "measured": statistics.median(taken[2::2]),
        "memory": resident() - before,
    }


def resident() -> float:
    """Peak resident memory of this process, MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depths", type=int, nargs="+", default=[100, 1000, 10000])
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--convolutions", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--recompute", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one is not None:
        found = train_once(given.one, given.width, given.steps, given.convolutions, given.recompute)
        print(json.dumps(found))
        return
    print("one thread; a measured step has every column of every layer")
    print(f"{'':<34} {'to first step':>14} {'plain step':>11} {'measured':>10} {'memory':>9}")
    for depth in given.depths:
        show(f"mlp depth={depth} width={given.width}", depth, given.width, given.steps)
    for every in (0, 30):
        told = f"cnn depth=1000 recompute_every={every}"
        show(told, 1000, 8, 2, "--convolutions", "--recompute", str(every))


def show(name: str, depth: int, width: int, steps: int, *options: str) -> None:
    """Train in another process, and print its line."""
    command = [sys.executable, __file__, "--one", str(depth), "--width", str(width), "--steps", str(steps)]
    done = subprocess.run([*command, *options], check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    times = f"{found['first']:12.2f} s {found['plain']:9.3f} s {found['measured']:8.3f} s"
    print(f"{name:<34} {times} {found['memory']:5.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
