"""How often the diagnosis is right, on settings whose truth is known by construction or from theory.

    python scripts/benchmark_diagnosis.py [--half held-out|tuned-on|both] [--processes 2] [--peers 0]

`labelled_families.py` has what is called what and why. The rules' thresholds were set on one half of the
families; the other half is what counts. A setting whose outcome contradicts its label (a network meant to be
healthy that does not take away half of the error, one meant to fail that learns) has no known truth and is
left out; how many is printed. Intervals are Wilson's, 95 %. `--keep FOLDER` keeps what was trained.
"""

from __future__ import annotations

import argparse
import os
import pickle
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from diagnosis_score import Score, show, told
from families_held_out import HELD_OUT
from families_looked_at import LOOKED_AT
from families_tuned_on import TUNED_ON
from labelled_families import Family
from labelled_runs import FAILS, LEARNS, Case, Seen, groups, train_together
from rival_rules import autotrainer, sagemaker
from rival_tools import JUDGED, TOOLS, installed, watchable, watched

from vanishgrad.diagnosis import PATHOLOGIES, Diagnosis, OnlineDiagnosis, diagnose

Judge = Callable[[Case, Seen], set[str]]
DEAD = 0.6  # of the hidden units, on all examples: what a rate has to kill to be called a killer


def ours(case: Case, seen: Seen) -> set[str]:
    """What vanishgrad finds; of a blind case from the gradients alone."""
    return {finding.finding for finding in diagnosed(case, seen)}


def diagnosed(case: Case, seen: Seen) -> Diagnosis:
    if case.blind:
        return diagnose(seen.gradients)
    return diagnose(
        seen.gradients, seen.metrics, setting=seen.setting, status=seen.status, diverged_at=seen.diverged_at,
        baseline=seen.baseline, time_gradients=seen.extra.get("time_gradients"),
    )  # fmt: skip


def known(case: Case, seen: Seen) -> bool:
    """Whether what training achieved agrees with the label."""
    if "diverged" in case.truth:
        return seen.status == "diverged"
    if "oscillating" in case.truth:
        return seen.status == "completed" and _worse(seen) and not seen.dead >= DEAD
    if "dead_units" in case.truth and case.outcome:
        return seen.dead >= DEAD
    if not case.truth:
        return seen.status == "completed" and seen.achieved >= LEARNS
    return (
        not case.outcome
        or (seen.status == "completed" and seen.achieved <= FAILS)
        or ("exploding" in case.truth and seen.status == "diverged")
    )


def _worse(seen: Seen) -> bool:
    """Whether the loss of the second half of training is above the first one."""
    loss = seen.metrics["train_loss"].dropna()
    return bool(loss.iloc[len(loss) // 2 :].median() > loss.iloc[0])


def trained(families: Sequence[Family], processes: int) -> list[tuple[Case, Seen]]:
    """Every case of the families with what its training left, in processes that are forked from this one."""
    return _of([case for family in families for case in family()], processes)


def _of(cases: Sequence[Case], processes: int) -> list[tuple[Case, Seen]]:
    alike = groups(cases)
    if processes == 1:
        return [pair for group in alike for pair in train_together(group)]
    global GROUPS
    GROUPS = alike  # cases hold functions, which a forked process has already
    with ProcessPoolExecutor(processes, mp_context=get_context("fork")) as pool:
        found = list(pool.map(_train, range(len(alike))))
    return [(case, seen) for group, seens in zip(alike, found, strict=True)
            for case, seen in zip(group, seens, strict=True)]  # fmt: skip


GROUPS: list[list[Case]] = []


def _train(place: int) -> list[Seen]:
    return [seen for _, seen in train_together(GROUPS[place])]


def score(pairs: Sequence[tuple[Case, Seen]], judge: Judge, judged: Sequence[str]) -> Score:
    total = Score()
    for case, seen in pairs:
        total.add(case, judge(case, seen), judged)
    return total


def milliseconds() -> dict[str, float]:
    """What a diagnosis costs: of tables, and while training goes on, at depth 20 with 100 logged steps."""
    from vanishgrad import Run, train
    from vanishgrad.choices.activation import Sigmoid

    result = train(
        Run(depth=20, width=16, act=Sigmoid(), max_steps=990, epochs=10**6, log_every=10, threads=1)
    )
    by_step = [group for _, group in result.gradients.groupby("step")]
    rows = [
        list(group.astype(object).where(group.notna(), None).itertuples(index=False, name=None))
        for group in by_step
    ]
    metrics = list(
        result.metrics.astype(object).where(result.metrics.notna(), None).itertuples(index=False, name=None)
    )
    watch = OnlineDiagnosis(result.setting)
    for row, metric in zip(rows, metrics, strict=False):
        watch.add(row, [metric])
    frames = lambda: diagnose(result.gradients, result.metrics, setting=result.setting)  # noqa: E731
    return {"tables": _median(frames), "watch, a logged step": _median(lambda: watch.diagnosis()),
            "watch, adding the rows": _median(lambda: watch.add(rows[-1], [metrics[-1]]))}  # fmt: skip


def _median(call: Callable[[], object], rounds: int = 100) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--half", choices=("held-out", "tuned-on", "both"), default="both")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--peers", type=int, default=0, help="held-out settings on which peers are run too")
    parser.add_argument("--keep", type=Path, help="a folder that keeps what was trained")
    parser.add_argument("--wrong", action="store_true", help="list the settings that were judged wrongly")
    given = parser.parse_args()
    halves = {"tuned-on": TUNED_ON + LOOKED_AT, "held-out": HELD_OUT}
    for name, families in halves.items():
        if given.half in (name, "both"):
            report(name, families, given)
    for what, cost in milliseconds().items():
        print(f"{what}: {cost:.2f} ms")


def report(name: str, families: Sequence[Family], given: argparse.Namespace) -> None:
    start = time.perf_counter()
    pairs = _kept(given.keep, families, given.processes)
    clear = [(case, seen) for case, seen in pairs if known(case, seen)]
    healthy = sum(not case.truth for case, _ in clear)
    print(f"\n### {name}: {len(clear)} settings in {len(families)} families, {healthy} healthy; "
          f"{len(pairs) - len(clear)} left out, {time.perf_counter() - start:.0f} s")  # fmt: skip
    if given.wrong:
        _unclear(pairs)
    total = score(clear, ours, PATHOLOGIES)
    show("vanishgrad", total, PATHOLOGIES)
    if given.wrong:
        print("\n".join(total.wrong))
    flow = ("vanishing", "exploding")
    for title, judge in (("SageMaker Debugger", sagemaker), ("AUTOTRAINER", autotrainer)):
        show(title, score(clear, lambda case, seen, judge=judge: judge(seen), flow), flow)
    if given.peers and name == "held-out":
        peers([case for case, _ in clear if watchable(case)], given.peers)


def peers(cases: Sequence[Case], most: int) -> None:
    """Train some of the settings again, with the tools of others and our monitor around the loop."""
    chosen = cases[:: max(1, len(cases) // most)]
    missing = [tool.package for tool in TOOLS if tool not in installed()]
    print(f"\n### {len(chosen)} of them in a plain loop; not installed: {', '.join(missing) or 'none'}")
    for place, tool in enumerate(installed()):
        found = watched(chosen, tool)
        clear = [(case, seen, said) for case, seen, said in found if known(case, seen)]
        if place == 0:
            show("vanishgrad", score([(case, seen) for case, seen, _ in clear], ours, JUDGED), JUDGED)
        total = Score()
        for case, _, said in clear:
            total.add(case, said, JUDGED)
        show(tool.package, total, JUDGED)


def _unclear(pairs: Sequence[tuple[Case, Seen]]) -> None:
    left = defaultdict(list)
    for case, seen in pairs:
        if not known(case, seen):
            left[case.family].append(f"{sorted(case.truth)} achieved {seen.achieved:.2f} {seen.status} "
                                     f"dead {seen.dead:.2f}: {told(case)}")  # fmt: skip
    for family, lines in left.items():
        print(f"left out of {family}:", *lines, sep="\n  ")


def _kept(folder: Path | None, families: Sequence[Family], processes: int) -> list[tuple[Case, Seen]]:
    """What was trained before, if it was kept; cases are made anew, for they hold functions."""
    if folder is None:
        return trained(families, processes)
    folder.mkdir(parents=True, exist_ok=True)
    pairs: list[tuple[Case, Seen]] = []
    for family in families:
        file, cases = folder / f"{family.__name__}.pickle", list(family())
        if not file.exists():
            found = {id(case): seen for case, seen in _of(cases, processes)}
            file.write_bytes(pickle.dumps([found[id(case)] for case in cases]))
        pairs += zip(cases, pickle.loads(file.read_bytes()), strict=True)
    return pairs


if __name__ == "__main__":
    main()
