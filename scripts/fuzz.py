"""Hostile input, seeded: what is typed, and what is found in folders.

    python scripts/fuzz.py folders [--cases 2000] [--seed 0] [--first 0]

Every case is run in this process, for 10 seconds at the most. What must hold: no traceback, no hang, an exit
status of the contract, one clear error, and what was refused has changed nothing. Cases that do not hold are
listed with their number, by which `--first NUMBER --cases 1` runs one of them again; the exit status is 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import fuzz_folders

HALVES = {"folders": (fuzz_folders.Folders, 2000)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("half", choices=HALVES)
    parser.add_argument("--cases", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    kind, usual = HALVES[given.half]
    count, begun = given.cases or usual, time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        cases, wrong, statuses = kind(Path(place)), 0, Counter[object]()
        for number in range(given.first, given.first + count):
            done = cases.run(given.seed, number)
            statuses[done.status] += 1
            if done.wrong:
                wrong += 1
                print(f"{number}: {done.what}\n    {done.wrong}", flush=True)
    ended = ", ".join(f"{status}: {many}" for status, many in sorted(statuses.items(), key=str))
    seconds = time.perf_counter() - begun
    print(f"{count} cases in {seconds:.0f} s, seed {given.seed}; exit status {ended}; {wrong} do not hold")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
