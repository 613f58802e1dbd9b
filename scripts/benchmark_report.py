"""Seconds and memory of `vanishgrad report` on very many runs.

    python scripts/benchmark_report.py [--runs 1000] [--rounds 3]

Eight runs of depth 20 are trained and logged at each of 952 steps, 20,000 rows, and their folders copied
under other seeds and learning rates: few settings with many seeds, some with some, and all different. Each
report is a process of its own; the memory is the most that it had. All is written to a temporary folder.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ORIGINALS = [
    "train", "-m", "act=tanh,relu", "init=xavier,he", "seed=0,1", "depth=20", "width=32", "max_steps=952",
    "log_every=1", "data.train_size=1280", "epochs=1000",
]  # fmt: skip
REPORT = """
import resource, sys
from vanishgrad.cli import main
status = main(["report", *sys.argv[1:]])
print(status, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def copied(original: Path, to: Path, lr: float, seed: int) -> None:
    """The folder of a run as if it had another learning rate and another seed."""
    to.mkdir(parents=True)
    for table in original.glob("*.csv"):
        os.link(table, to / table.name)  # 2 GB that nobody changes
    record = json.loads((original / "run.json").read_text())
    for part in ("choices", "effective"):
        record[part] |= {"lr": lr, "seed": seed}
    record["seed"] = seed
    kept = [text for text in record["overrides"] if not text.startswith(("lr=", "seed="))]
    record["overrides"] = [*kept, f"lr={lr}", f"seed={seed}"]
    (to / "run.json").write_text(json.dumps(record))


def folder_of(originals: Sequence[Path], folder: Path, runs: int, settings: int) -> Path:
    """A folder of so many runs in so many settings."""
    kinds = len(originals) // 2  # each with two seeds
    for number in range(runs):
        setting, seed = number % settings, number // settings
        original = originals[setting % kinds * 2 + seed % 2]
        copied(original, folder / str(number), 0.01 * (1 + setting // kinds), seed)
    return folder


def measured(runs: Path, out: Path) -> tuple[float, float]:
    """Seconds and MiB of a report."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", REPORT, f"runs={runs}", f"out={out}"],
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    status, memory = done.stdout.splitlines()[-1].split()
    assert status == "0"
    return seconds, int(memory) / (1024 if sys.platform != "darwin" else 1024**2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        command = [sys.executable, "-m", "vanishgrad", *ORIGINALS, f"hydra.sweep.dir={folder / 'originals'}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        originals = [folder / "originals" / str(number) for number in range(8)]
        shapes = {
            "4 settings": 4,
            f"{given.runs // 8} settings": given.runs // 8,
            "all different": given.runs,
        }
        for title, settings in shapes.items():
            runs = folder_of(originals, folder / title, given.runs, settings)
            found = [measured(runs, folder / "report") for _ in range(given.rounds)]
            seconds, memory = (statistics.median(column) for column in zip(*found, strict=True))
            print(f"{given.runs} runs, {title:15s} {seconds:6.1f} s {memory:6.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
