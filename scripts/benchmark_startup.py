"""Seconds from the start of `vanishgrad train` to its first step, beside what importing torch takes alone.

    python scripts/benchmark_startup.py [--rounds 7]

All are whole processes, in turns; the figures are medians. `to the first step` ends where the first forward
pass would begin, `one step` is a whole run with its table; `--help` imports neither torch nor Hydra.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time

STOP_AT_FIRST_STEP = """
import os, sys
from vanishgrad.cli import main
from vanishgrad.engine.stack import Stack
Stack.step = lambda *ignored: os._exit(0)
main(sys.argv[1:])
"""
TRAIN = ["train", "max_steps=1", "hydra.run.dir={folder}"]
COMMANDS = {
    "import torch": ["-c", "import torch"],
    "train: to the first step": ["-c", STOP_AT_FIRST_STEP, *TRAIN],
    "train: one step": ["-m", "vanishgrad", *TRAIN],
    "train --help": ["-m", "vanishgrad", "train", "--help"],
}


def seconds(arguments: list[str]) -> float:
    """Wall time of one process."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, *(argument.replace("{folder}", folder) for argument in arguments)]
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(rounds + 1):
        for name, arguments in COMMANDS.items():
            taken = seconds(arguments)
            if number:  # the first round fills the file cache
                times[name].append(taken)
    for name, found in times.items():
        more = statistics.median(b - a for a, b in zip(times["import torch"], found, strict=True))
        print(f"{name:26s} {statistics.median(found):6.2f} s  {more:+6.2f} s beside importing torch")


if __name__ == "__main__":
    main()
