"""Seconds from the start of `vanishgrad train` to its first step, beside what importing torch takes alone.

    python scripts/benchmark_startup.py [--rounds 7]

Both are whole processes, in turns; the figures are medians. `--help` is measured too: it imports neither
torch nor Hydra.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time

COMMANDS = {
    "import torch": ["-c", "import torch"],
    "train max_steps=1": ["-m", "vanishgrad", "train", "max_steps=1", "hydra.run.dir={folder}"],
    "--help": ["-m", "vanishgrad", "train", "--help"],
}


def seconds(arguments: list[str]) -> float:
    """Wall time of one process."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, *(argument.format(folder=folder) for argument in arguments)]
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
        print(f"{name:20s} {statistics.median(found):6.2f} s")
    more = statistics.median(
        b - a for a, b in zip(times["import torch"], times["train max_steps=1"], strict=True)
    )
    print(f"a whole run of one step takes {more:.2f} s more than importing torch")


if __name__ == "__main__":
    main()
