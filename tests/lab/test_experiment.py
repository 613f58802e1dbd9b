"""What an experiment is, in full and quick."""

from __future__ import annotations

import shlex

import pandas as pd

from vanishgrad.lab.chapter import Probe, Training, probes, trainings

SWEEP = Training("depths", ("act=sigmoid", "depth=5,20", "max_steps=400"), quick=("max_steps=10",))


def test_the_command_repeats_the_sweep() -> None:
    command = SWEEP.command("full")
    assert command == "vanishgrad train -m act=sigmoid depth=5,20 max_steps=400 'seed=range(5)'"
    assert shlex.split(command)[3:] == SWEEP.typed("full")


def test_quick_overrides_replace_their_keys_and_seeds_are_few() -> None:
    assert SWEEP.typed("quick") == ["act=sigmoid", "depth=5,20", "max_steps=10", "seed=range(2)"]
    assert Training("one", (), seeds=1).typed("quick") == ["seed=range(1)"]


def test_a_probe_is_measured_for_every_seed() -> None:
    probe = Probe("square", lambda seed: pd.DataFrame({"square": [seed**2]}))
    assert probe.table("full").to_dict("list") == {"square": [0, 1, 4, 9, 16], "seed": [0, 1, 2, 3, 4]}
    assert len(probe.table("quick")) == 2


def test_sweeps_and_probes_are_told_apart() -> None:
    probe = Probe("none", lambda seed: pd.DataFrame())
    assert trainings([SWEEP, probe]) == [SWEEP]
    assert probes([SWEEP, probe]) == [probe]
