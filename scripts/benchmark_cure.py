"""Thirty settings that fail by construction: how many does `vanishgrad cure` cure, and in what time.

    python scripts/benchmark_cure.py [--only WORD] [--known]

Each cure is a whole process, as a user starts it, on two cores. The untreated setting, what the cure
recommends and the best remedy known are then trained in full with three seeds that nobody has seen. A setting
counts as cured when its cure comes within two points of the best remedy known; a point is a hundredth of the
error of an answer that ignores the input, for data with classes about a point of accuracy.

The best remedy known is in `benchmark_cure_known.json`. `--known` looks for those that are missing in it:
what textbooks prescribe, `PRESCRIBED`, is trained in full with a seed of its own, without rounds and without
a diagnosis.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from vanishgrad.choices.model.recurrent import RNN
from vanishgrad.cli.cure_table import composed
from vanishgrad.cures.candidates import Treatment
from vanishgrad.cures.trial import Round, Trial, Trials, yardstick
from vanishgrad.description import applied, rounded
from vanishgrad.engine import check
from vanishgrad.engine.plan import steps_of
from vanishgrad.errors import SettingError
from vanishgrad.run import Run
from vanishgrad.sweeps.pool import Workers
from vanishgrad.sweeps.sweep import Sweep

KNOWN = Path(__file__).with_name("benchmark_cure_known.json")
SEEDS = range(200, 203)  # with which all are compared
SEARCHED = range(100, 101)  # with which the best remedy is looked for
POINTS = 0.02
OPTIONS = ("cure.seeds=2", "report=false", "format=json")

SMALL = "width=24 epochs=10"
SPIRALS = "data=spirals width=16 batch_size=32 epochs=8"
DEEP_CNN = "model=cnn width=4 epochs=12 data.train_size=640"
SEQUENCE = "model=rnn width=24 data.length=40 data.train_size=4000 data.held_out=500"
SETTINGS = {
    "sigmoid, 10 layers": f"depth=10 act=sigmoid {SMALL}",
    "sigmoid, 25 layers": f"depth=25 act=sigmoid {SMALL}",
    "sigmoid, 20 layers of xavier": f"depth=20 act=sigmoid init=xavier {SMALL}",
    "sigmoid, adam": f"depth=20 act=sigmoid optim=adam {SMALL}",
    "tanh, small weights": f"depth=20 act=tanh init=normal init.std=0.01 {SMALL}",
    "tanh, weights half the size": f"depth=25 act=tanh init=gaussian init.sigma_w=0.5 {SMALL}",
    "tanh, saturated": f"depth=15 act=tanh init=normal init.std=1 {SMALL}",
    "softsign, small weights": f"depth=20 act=softsign init=gaussian init.sigma_w=0.5 {SMALL}",
    "erf, small weights": f"depth=20 act=erf init=gaussian init.sigma_w=0.4 {SMALL}",
    "relu, 25 layers": f"depth=25 act=relu {SMALL}",
    "relu, small weights": f"depth=12 act=relu init=normal init.std=0.01 {SMALL}",
    "relu, 40 layers of lecun": f"depth=40 act=relu init=lecun {SMALL}",
    "relu, exploding": f"depth=15 act=relu init=normal init.std=1 {SMALL}",
    "relu, exploding, adam": f"depth=20 act=relu init=normal init.std=1 optim=adam {SMALL}",
    "leaky relu, exploding": f"depth=15 act=leaky_relu init=gaussian init.sigma_w=3 {SMALL}",
    "linear, exploding": f"depth=15 act=identity init=normal init.std=0.7 {SMALL}",
    "elu, 30 layers, small weights": f"depth=30 act=elu init=gaussian init.sigma_w=0.4 {SMALL}",
    "softplus, 20 layers": f"depth=20 act=softplus {SMALL}",
    "gelu, 25 layers": f"depth=25 act=gelu {SMALL}",
    "rate too high": f"depth=5 lr=8 {SMALL}",
    "rate too high, tanh": f"depth=8 act=tanh lr=5 {SMALL}",
    "rate too high, adam": f"depth=5 optim=adam lr=0.3 {SMALL}",
    "units born dead": f"depth=3 init=gaussian init.sigma_w=0.5 init.sigma_b=4 lr=0.01 {SMALL}",
    "units killed by the rate": f"depth=5 init=he optim=adam lr=0.5 data.scale=unit {SMALL}",
    "zeros": f"depth=3 init=zeros {SMALL}",
    "spirals, sigmoid": f"depth=12 act=sigmoid {SPIRALS}",
    "spirals, relu, small weights": f"depth=12 act=relu init=normal init.std=0.05 {SPIRALS}",
    "convolutions, 18 layers": f"depth=18 act=relu {DEEP_CNN}",
    "adding, 40 time steps": f"data=adding optim=adam lr=0.01 max_steps=500 {SEQUENCE}",
    "temporal order, 40 time steps": f"data=temporal_order optim=adam lr=0.01 max_steps=200 {SEQUENCE}",
}  # fmt: skip

# What helps, by the literature: normalization, shortcuts, an activation with the weights that belong to it,
# another optimizer, smaller steps; alone and together.
PRESCRIBED = (
    "norm=batch", "norm=batch optim=adam lr=null", "norm=batch residual=identity",
    "residual=rezero act=relu init=he", "act=selu init=lecun", "act=relu init=he",
    "act=relu init=he optim=adam lr=null", "act=elu init=he", "init=xavier", "init=he", "init=he lr=0.03",
    "init=default lr=0.001", "lr=0.1", "lr=0.01",
)  # fmt: skip
PRESCRIBED_IN_TIME = (
    "model=lstm", "model=gru", "model=lstm clip=norm", "model=gru clip=norm",
    "model.recurrent_init=orthogonal",
    "act=relu model.recurrent_init=identity clip=norm", "clip=norm", "lr=0.003",
)  # fmt: skip


@dataclass
class Case:
    """A failing setting.

    Arguments:
        typed: its overrides.
    """

    typed: list[str]

    @cached_property
    def run(self) -> Run:
        setting = composed(self.typed)
        assert setting is not None, self.typed
        return setting.effective

    @property
    def total(self) -> int:
        return steps_of(self.run, len(check(self.run).train_x))[0]

    def tried(self, treatments: Sequence[Treatment], seeds: Sequence[int]) -> list[Trial]:
        """All of them trained in full, in a temporary folder."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            sweep = Sweep(folder)
            yard = yardstick(self.run, check(self.run))
            trials = Trials(
                folder, seeds, self.total, yard, lambda jobs: sweep.train(sweep.add(jobs), Workers())
            )
            return trials(treatments, Round(self.total, kept=1))  # looked at in the end alone

    def treated(self, text: str) -> Treatment | None:
        """The setting with the overrides in `text`; None where they make no sense for it."""
        try:
            run = rounded(self.run, applied(self.run, text))
            check(run)
        except SettingError:
            return None
        return None if run == self.run else Treatment(run)


def known(case: Case) -> str:
    """The best of what is prescribed."""
    texts = PRESCRIBED_IN_TIME if isinstance(case.run.model, RNN) else PRESCRIBED
    found = [(text, one) for text in texts if (one := case.treated(text)) is not None]
    trials = case.tried([one for _, one in found], SEARCHED)
    return max(zip(found, trials, strict=True), key=lambda pair: pair[1].gain)[0][0]


def cured(name: str, case: Case, kept_in: Path) -> dict[str, Any]:
    """What the command answers, with its seconds; an answer that is there already is read."""
    path = kept_in / f"{name.replace(' ', '_').replace(',', '')}.json"
    if not path.exists():
        command = [sys.executable, "-m", "vanishgrad", "cure", *case.typed, *OPTIONS]
        with tempfile.TemporaryDirectory() as folder:
            begin = time.perf_counter()
            done = subprocess.run(
                [*command, f"out={folder}/cure"], check=True, capture_output=True, text=True
            )
        seconds = time.perf_counter() - begin
        path.write_text(json.dumps({"seconds": seconds, "answer": json.loads(done.stdout)}))
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def wilson(successes: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    share, squared = successes / trials, z**2 / trials
    middle = (share + squared / 2) / (1 + squared)
    half = z * math.sqrt(share * (1 - share) / trials + squared / (4 * trials)) / (1 + squared)
    return middle - half, middle + half


def reached(trial: Trial) -> str:
    """The mean accuracy, or the mean loss where there is none."""
    accuracies = [one.accuracy[-1] for one in trial.courses]
    if all(map(math.isfinite, accuracies)):
        return f"{statistics.fmean(accuracies):.3f}"
    return f"loss {trial.loss:.3f}"


def measured(name: str, case: Case, best: str, kept_in: Path) -> tuple[int, bool, float]:
    """Seeds with which the setting learns, whether its cure is as good as the best known, and its seconds."""
    kept_one = cured(name, case, kept_in)
    answer, seconds = kept_one["answer"], kept_one["seconds"]
    overrides = case.typed if answer["cure"] is None else answer["cure"]["overrides"]
    setting = composed(overrides)
    assert setting is not None
    mine, theirs = Treatment(setting.effective), case.treated(best)
    assert theirs is not None
    untreated, cure, rival = case.tried([Treatment(case.run), mine, theirs], SEEDS)
    found = cure.gain >= rival.gain - POINTS
    told = answer["treatments"][0]["overrides"] if answer["cure"] else answer["verdict"]
    numbers = " | ".join(map(reached, (untreated, cure, rival)))
    print(f"| {name} | {answer['verdict']} | {numbers} | `{told}` | `{best}` | "
          f"{'yes' if found else 'no'} | {seconds:.0f} |", flush=True)  # fmt: skip
    return untreated.learned, found, seconds


def compare(cases: dict[str, Case], best: dict[str, str], kept_in: Path) -> None:
    """Print a row for each setting, and how many are cured."""
    print("| setting | verdict | untreated | cure | best known | cure | best known | within 2 points | s |")
    print("|---|---|---|---|---|---|---|---|---|")
    found = [measured(name, case, best[name], kept_in) for name, case in cases.items()]
    good = sum(one[1] for one in found)
    low, high = wilson(good, len(found))
    middle = statistics.median(one[2] for one in found)
    print(f"\n{good} of {len(found)} cured, {good / len(found):.0%} "
          f"(95 % interval {low:.0%} to {high:.0%}), {middle:.0f} s each")  # fmt: skip
    if learned := [name for name, one in zip(cases, found, strict=True) if one[0]]:
        print(f"learns untreated with some seed: {', '.join(learned)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="settings whose name has this in it")
    parser.add_argument("--known", action="store_true", help="look for the best remedies that are missing")
    parser.add_argument("--keep", type=Path, help="folder in which answers are kept, and read again")
    given = parser.parse_args()
    cases = {name: Case(text.split()) for name, text in SETTINGS.items() if given.only in name}
    best = json.loads(KNOWN.read_text()) if KNOWN.exists() else {}
    if not given.known:
        with tempfile.TemporaryDirectory() as folder:
            compare(cases, best, given.keep or Path(folder))
        return
    for name in [name for name in cases if name not in best]:
        best[name] = known(cases[name])
        print(f"{name}: {best[name]}", flush=True)
        KNOWN.write_text(json.dumps(best, indent=2) + "\n")


if __name__ == "__main__":
    main()
