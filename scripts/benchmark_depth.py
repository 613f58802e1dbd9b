"""Time and memory of very deep networks: both grow linearly with depth.

    python scripts/benchmark_depth.py [--depths 100 1000 10000] [--width 32] [--steps 5]

Each depth is trained in a process of its own, every second step measured. Memory is the process's peak beyond
what it held after its imports.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from itertools import pairwise


def train_once(depth: int, width: int, steps: int) -> dict[str, float]:
    """Seconds to the first step, per plain step and per measured step; MiB beyond the imports."""
    from vanishgrad import Run, train
    from vanishgrad.choices.activation import Tanh

    train(Run(depth=1, width=2, max_steps=1))  # whatever is imported late
    before = resident()
    run = Run(depth=depth, width=width, act=Tanh(), max_steps=2 * steps, log_every=2, eval_every=10**9)
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
    given = parser.parse_args()
    if given.one is not None:
        print(json.dumps(train_once(given.one, given.width, given.steps)))
        return
    print(f"width {given.width}, tanh, batch 64, one thread; a measured step has every column of every layer")
    print(f"{'depth':>7} {'to first step':>14} {'plain step':>11} {'measured':>10} {'memory':>9}")
    for depth in given.depths:
        command = [sys.executable, __file__, "--one", str(depth)]
        options = ["--width", str(given.width), "--steps", str(given.steps)]
        done = subprocess.run([*command, *options], check=True, stdout=subprocess.PIPE, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        times = f"{found['first']:12.2f} s {found['plain']:9.3f} s {found['measured']:8.3f} s"
        print(f"{depth:7d} {times} {found['memory']:5.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
