"""Time and memory of very deep networks: both grow linearly with depth.

    python scripts/benchmark_depth.py [--depths 100 1000 10000] [--width 32] [--steps 5]

Each depth is trained in a process of its own, with every column measured at every step. Memory is the
process's peak beyond what it held after its imports.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def train_once(depth: int, width: int, steps: int) -> dict[str, float]:
    """Seconds to build and per step, MiB beyond the imports, of one run in this process."""
    from vanishgrad import Run, train
    from vanishgrad.choices.activation import Tanh

    train(Run(depth=1, width=2, max_steps=1))  # whatever is imported late
    before = resident()
    run = Run(depth=depth, width=width, act=Tanh(), max_steps=steps, log_every=1, eval_every=10**9)
    times: list[float] = []
    start = time.perf_counter()
    train(run, observe=lambda progress: times.append(time.perf_counter()))
    step_times = [late - early for early, late in zip(times[:-1], times[1:], strict=True)]
    return {"first": times[0] - start, "step": statistics.median(step_times), "memory": resident() - before}


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
    print(f"width {given.width}, tanh, batch 64, all columns at every step, one thread")
    print(f"{'depth':>7} {'to first step':>14} {'per step':>10} {'ms per layer':>13} {'memory':>10}")
    for depth in given.depths:
        command = [sys.executable, __file__, "--one", str(depth), "--width", str(given.width)]
        done = subprocess.run(
            [*command, "--steps", str(given.steps)], check=True, capture_output=True, text=True, cwd=REPOSITORY
        )
        found = json.loads(done.stdout.splitlines()[-1])
        layer = 1e3 * found["step"] / depth
        print(
            f"{depth:7d} {found['first']:12.2f} s {found['step']:8.3f} s {layer:13.4f} {found['memory']:6.0f} MiB",
            flush=True,
        )


if __name__ == "__main__":
    main()
