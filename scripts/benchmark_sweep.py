"""Sweeps as a user starts them, what they cost beside their steps, and a stacked step beside its products.

    python scripts/benchmark_sweep.py [--only commands] [--repeats 3] [--steps 1000] [--seeds 8]
                                      [--launchers vectorized basic joblib ray]

The commands are whole processes, in turns, on two cores; ratios are within a turn, and all figures medians.
Ray Tune runs the loop that everybody writes, which measures nothing and goes on with runs that diverged; what
is not installed is left out. Everything is written to a temporary folder.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import pairwise, product
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

CORES = 2
DEPTH, BATCH, LOG_EVERY = 20, 64, 10
ACTS, INITS, RATES = ("tanh", "relu"), ("xavier", "he"), (0.05, 0.1)
WIDTHS = (32, 64)
SETTINGS = 8  # of every sweep, each with all seeds
JOBS = 1000  # that are composed
SAMPLE = 20  # of them that Hydra composes: it takes as long for each
STACK = 32  # runs of one structure in the sweep
TURN = 50  # steps of a contender before the next one; a multiple of LOG_EVERY
PARTS = ("commands", "structures", "composition", "step", "fixed", "thousand", "large")
FIXED_STEPS = 10  # of a sweep whose time is what a command takes beside its steps
LAUNCHERS = {
    "vectorized": ["hydra/launcher=vectorized", f"hydra.launcher.n_jobs={CORES}"],
    "basic": ["hydra/launcher=basic"],
    "joblib": ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={CORES}"],
}
THOUSAND = ("act=tanh,relu,sigmoid,elu,gelu", "init=xavier,he", "lr=0.05,0.1", "seed=range(50)")
SMALL = ("depth=5", "width=16", "max_steps=200", "epochs=200")
LARGE = ("depth=5", "width=16", "max_steps=20")
LARGE_RUNS = (100, 1600, 10_000)
MEASURED = """
import resource, sys
from vanishgrad.cli import main
status = main(sys.argv[1:])
whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
print(status, *(resource.getrusage(who).ru_maxrss for who in whose))
"""
NEEDS = {"joblib": ["hydra_plugins.hydra_joblib_launcher"], "ray": ["ray", "pyarrow"]}
PACKAGES = {"joblib": "hydra-joblib-launcher", "ray": "ray[tune]"}

Way = Callable[[], object]


@dataclass(frozen=True)
class Sweep:
    """A sweep over settings and seeds.

    Arguments:
        title: that it is printed with.
        swept: overrides with several values.
        fixed: the others.
        width: of the networks.
        plain: whether they are those of the loop that Ray Tune runs.
    """

    title: str
    swept: tuple[str, ...]
    fixed: tuple[str, ...]
    width: int
    plain: bool = False


def perceptrons(width: int) -> Sweep:
    """Two structures."""
    swept = (f"act={','.join(ACTS)}", f"init={','.join(INITS)}", f"lr={','.join(map(str, RATES))}")
    return Sweep(f"two structures, width {width}", swept, (), width, plain=True)


def structures() -> Sweep:
    """Eight structures, most of which have no pass that is written out."""
    swept = ("act=tanh,relu", "norm=none,layer", "residual=none,identity")
    return Sweep("eight structures, width 32", swept, ("init=he", "lr=0.01"), 32)


def command(sweep: Sweep, launcher: str, folder: Path, given: argparse.Namespace) -> list[str]:
    """What is started to train `sweep`."""
    if launcher == "ray":
        script = str(Path(__file__).with_name("ray_tune_sweep.py"))
        size = {"width": sweep.width, "depth": DEPTH, "batch": BATCH, "cores": CORES}
        size |= {"steps": given.steps, "seeds": given.seeds}
        numbers = [text for name, value in size.items() for text in (f"--{name}", str(value))]
        return [sys.executable, script, "--folder", str(folder), *numbers]
    size = {"depth": DEPTH, "width": sweep.width, "batch_size": BATCH, "log_every": LOG_EVERY}
    size |= {"max_steps": given.steps, "epochs": given.steps}
    fixed = [*sweep.fixed, *(f"{name}={value}" for name, value in size.items())]
    swept = [*sweep.swept, f"seed=range({given.seeds})"]
    train = [sys.executable, "-m", "vanishgrad", "train", "-m"]
    return [*train, *swept, *fixed, *LAUNCHERS[launcher], f"hydra.sweep.dir={folder}"]


def seconds_of(sweep: Sweep, launcher: str, given: argparse.Namespace) -> float:
    """Wall time of a whole command; every run must have been trained to its end, or have diverged."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "sweep"
        arguments = command(sweep, launcher, folder, given)
        start = time.perf_counter()
        done = subprocess.run(arguments, capture_output=True, text=True)
        taken = time.perf_counter() - start
        ended = Counter(json.loads(file.read_text())["status"] for file in folder.glob("*/run.json"))
    trained = ended["completed"] + ended["diverged"]
    if done.returncode or (launcher != "ray" and trained != SETTINGS * given.seeds):
        sys.exit(f"{' '.join(arguments)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}\n{dict(ended)}")
    return taken


def compare_commands(sweep: Sweep, given: argparse.Namespace) -> None:
    """Train a sweep with each launcher in turn, and print a row for each."""
    names = [name for name in given.launchers if name != "ray" or sweep.plain]
    missing = [name for name in names if not all(map(find_spec, NEEDS.get(name, ())))]
    times: dict[str, list[float]] = {name: [] for name in names if name not in missing}
    for _ in range(given.repeats):
        for name, found in times.items():
            found.append(seconds_of(sweep, name, given))
    runs, first = SETTINGS * given.seeds, next(iter(times), "")
    heading(f"{runs} runs, {given.steps} steps: {sweep.title}", "seconds", "runs/s", f"{first} is quicker by")
    for name, found in times.items():
        seconds = statistics.median(found)
        row(name, f"{seconds:.1f}", f"{runs / seconds:.2f}", f"{ratio(found, times[first]):.1f} x")
    for name in missing:
        row(name, f"left out: {PACKAGES[name]} is not installed", "", "")


def time_fixed(given: argparse.Namespace) -> None:
    """Time a sweep of very few steps beside importing torch, which each of its processes has to do."""
    times: dict[str, list[float]] = {"import torch": [], "64 runs of 10 steps": []}
    few = argparse.Namespace(steps=FIXED_STEPS, seeds=8)
    for _ in range(given.repeats + 1):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import torch"], check=True)
        times["import torch"].append(time.perf_counter() - start)
        times["64 runs of 10 steps"].append(seconds_of(perceptrons(WIDTHS[0]), "vectorized", few))
    heading(f"depth {DEPTH}, width {WIDTHS[0]}", "seconds", "times importing torch")
    for name, found in times.items():
        kept = found[1:]  # the first round fills the file cache
        row(name, f"{statistics.median(kept):.2f}", f"{ratio(kept, times['import torch'][1:]):.2f}")


def time_a_thousand() -> None:
    """Train a thousand small networks, and report on them."""
    with tempfile.TemporaryDirectory() as place:
        sweep = Path(place, "sweep")
        heading("a thousand runs of 200 steps", "seconds", "largest process, MiB")
        row("sweep", *_told(*measured(["train", "-m", *THOUSAND, *SMALL, f"hydra.sweep.dir={sweep}"])))
        row("report", *_told(*measured(["report", f"runs={sweep}", f"out={place}/report"])))


def time_large() -> None:
    """Train more and more runs of twenty steps; what one more takes, and a report on the most."""
    heading(f"{' '.join(LARGE)}", "seconds", "largest process, MiB", "seconds for one more run")
    before: tuple[int, float] | None = None
    with tempfile.TemporaryDirectory() as place:
        for runs in LARGE_RUNS:
            sweep = Path(place, str(runs))
            typed = ["train", "-m", *LARGE, f"seed=range({runs})", f"hydra.sweep.dir={sweep}"]
            seconds, memory = measured(typed)
            more = "" if before is None else f"{(seconds - before[1]) / (runs - before[0]):.4f}"
            row(f"{runs} runs", *_told(seconds, memory), more)
            before = runs, seconds
        row(f"report on {runs}", *_told(*measured(["report", f"runs={sweep}", f"out={place}/report"])), "")


def measured(arguments: Sequence[str]) -> tuple[float, float]:
    """Seconds of a command, and MiB of its largest process."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", MEASURED, *arguments], capture_output=True, text=True)
    taken = time.perf_counter() - start
    status, *memory = (done.stdout.splitlines() or ["1"])[-1].split()
    if done.returncode or status != "0":
        sys.exit(done.stdout[-2000:] + done.stderr[-2000:])
    return taken, max(map(int, memory)) / (1024 if sys.platform != "darwin" else 1024**2)


def _told(seconds: float, memory: float) -> tuple[str, str]:
    return f"{seconds:.1f}", f"{memory:.0f}"


def compare_composition(repeats: int) -> None:
    """Compose jobs with and without knowing that they differ in numbers alone."""
    from vanishgrad.config.compose import composed
    from vanishgrad.config.plan import loader, plan_of

    base = plan_of([f"depth={DEPTH}"], multirun=True).config
    seeds = range(JOBS // len(ACTS) // len(INITS) // len(RATES))
    grid = product(ACTS, INITS, RATES, seeds)
    jobs = [[f"act={act}", f"init={init}", f"lr={lr}", f"seed={seed}"] for act, init, lr, seed in grid]
    with loader() as load:
        ways: dict[str, Way] = {
            "vanishgrad": lambda: composed(load, base, jobs),
            "hydra": lambda: [load.load_sweep_config(base, job) for job in jobs[:SAMPLE]],
        }
        times = in_turns(ways, repeats)
    times["hydra"] = [taken * len(jobs) / SAMPLE for taken in times["hydra"]]
    heading(f"composing {len(jobs)} jobs", "seconds", "times vanishgrad's")
    for name, found in times.items():
        row(name, f"{statistics.median(found):.1f}", f"{ratio(found, times['vanishgrad']):.1f}")


def compare_step(width: int, repeats: int) -> None:
    """Time a stacked step beside the least that it could take."""
    import torch

    torch.set_num_threads(1)
    least, whole = "its products", f"step of {STACK} runs, every tenth measured"
    steps = {least: products(width), "the same, prepared": prepared(width), whole: stacked(width)}
    times = in_turns({name: repeated(step) for name, step in steps.items()}, repeats)
    heading(f"width {width}, one thread", "ms/step", "times its products")
    for name, found in times.items():
        row(name, f"{1000 * statistics.median(found) / TURN:.2f}", f"{ratio(found, times[least]):.2f}")


def stacked(width: int) -> Way:
    """One step of a stack after the other."""
    import torch

    from vanishgrad import Run
    from vanishgrad.choices.activation import Tanh
    from vanishgrad.choices.initialization import He, Xavier
    from vanishgrad.choices.protocol import Initialization
    from vanishgrad.engine import Result, check
    from vanishgrad.engine.recorder import Recorder
    from vanishgrad.engine.stack import Stack

    run = Run(
        depth=DEPTH, width=width, batch_size=BATCH, act=Tanh(), log_every=LOG_EVERY,
        epochs=10**6, eval_every=10**9,
    )  # fmt: skip
    inits: list[Initialization] = [Xavier(), He()]
    seeds = range(STACK // len(inits) // len(RATES))
    runs = [replace(run, init=i, lr=lr, seed=seed) for i in inits for lr in RATES for seed in seeds]

    def ended(place: int, result: Result) -> None:
        raise RuntimeError(f"run {place} has {result.status}")

    device = torch.device("cpu")
    recorders = [Recorder(run, None, None, device) for run in runs]
    stack = Stack(runs, check(runs[0]), device, recorders, ended)
    steps = enumerate(stack.batches())
    return lambda: stack.step(*next(steps))


def products(width: int) -> Way:
    """The matrix products of a stacked step, one batched call of numpy for each, into kept memory."""
    import numpy as np

    def step() -> None:
        for left, right, out in factors:
            np.matmul(left.numpy(), right.numpy(), out=out.numpy())

    factors = factors_of(width)
    return step


def prepared(width: int) -> Way:
    """The same, where all that can be done once is done once."""
    from vanishgrad.engine import chain

    calls = [chain.product(*each) for each in factors_of(width)]

    def step() -> None:
        for call in calls:
            call()

    return step


def factors_of(width: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """What a stacked step multiplies, and where the products go."""
    import torch

    widths = [64, *[width] * DEPTH, 10]
    xs = [torch.randn(STACK, BATCH, size) for size in widths]  # (runs, batch, width)
    weights = [torch.randn(STACK, b, a) / a for a, b in pairwise(widths)]
    entered, left, gradients = [torch.empty_like(x) for x in xs], xs[1:], list(map(torch.empty_like, weights))

    factors = [(xs[k], weight.transpose(1, 2), entered[k + 1]) for k, weight in enumerate(weights)]
    for k in range(len(weights) - 1, -1, -1):
        factors.append((left[k].transpose(1, 2), xs[k], gradients[k]))
        if k:
            factors.append((left[k], weights[k], entered[k]))
    return factors


def repeated(step: Way) -> Way:
    """The steps of a turn."""

    def turn() -> None:
        for _ in range(TURN):
            step()

    return turn


def in_turns(ways: Mapping[str, Way], repeats: int) -> dict[str, list[float]]:
    """Seconds of each, one figure per turn; the first turn warms up."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(repeats + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if number:
                times[name].append(time.perf_counter() - start)
    return times


def ratio(times: Sequence[float], base: Sequence[float]) -> float:
    """How many times as long as in `base`, in the same turn."""
    return statistics.median(own / other for own, other in zip(times, base, strict=True))


def heading(*cells: str) -> None:
    print()
    row(*cells)
    row("---", *["---:"] * (len(cells) - 1))


def row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument(
        "--launchers", nargs="+", choices=[*LAUNCHERS, "ray"], default=[*LAUNCHERS, "ray"],
        help="the others are compared with the first",
    )  # fmt: skip
    return parser.parse_args()


def main() -> None:
    given = parsed()
    if "commands" in given.only:
        for width in WIDTHS:
            compare_commands(perceptrons(width), given)
    if "structures" in given.only:
        compare_commands(structures(), given)
    if "composition" in given.only:
        compare_composition(given.repeats)
    if "fixed" in given.only:
        time_fixed(given)
    if "thousand" in given.only:
        time_a_thousand()
    if "large" in given.only:
        time_large()
    if "step" in given.only:
        for width in WIDTHS:
            compare_step(width, given.repeats)


if __name__ == "__main__":
    main()
