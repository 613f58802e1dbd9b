"""Which jobs are trained together: every job once, alike, not too many."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vanishgrad import Run
from vanishgrad.choices.activation import ReLU, Sigmoid, Tanh
from vanishgrad.choices.clipping import ClipByNorm
from vanishgrad.choices.data import Adding, Digits, Text
from vanishgrad.choices.model.recurrent import GRU, RNN
from vanishgrad.choices.pretraining import RBM, Autoencoder, DenoisingAutoencoder
from vanishgrad.run import structure
from vanishgrad.sweeps import work
from vanishgrad.sweeps.job import Job
from vanishgrad.sweeps.work import ENOUGH, MOST, JobGroup, alone_because, fitting, grouped

SMALL = Run(depth=2, width=4, max_steps=2, data=Digits(train_size=64))
UNIT = Digits(train_size=64, scale="unit")
FROZEN = Run(act=Sigmoid(), pretrain=RBM(freeze=True), data=UNIT)


def jobs(*runs: Run) -> list[Job]:
    return [Job(number, run, Path(str(number))) for number, run in enumerate(runs)]


def seeds(count: int, run: Run = SMALL) -> list[Run]:
    return [replace(run, seed=seed) for seed in range(count)]


def sizes(groups: list[JobGroup]) -> list[int]:
    return [len(group.jobs) for group in groups]


MIXED = [
    run
    for seed in range(5)
    for run in (
        replace(SMALL, act=Tanh(), seed=seed),
        replace(SMALL, act=ReLU(), lr=0.1 * (seed + 1)),
        replace(SMALL, clip=ClipByNorm(1.0 + seed)),
        replace(SMALL, recompute_every=1, seed=seed),
    )
]


@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize("most", [1, 2, 3, 100, None])
def test_every_job_is_in_one_group_of_its_structure_and_none_is_too_large(
    most: int | None, workers: int
) -> None:
    groups = grouped(jobs(*MIXED), workers, most)
    assert sorted(job.number for group in groups for job in group.jobs) == list(range(len(MIXED)))
    assert all(len({structure(job.run) for job in group.jobs}) == 1 for group in groups)
    assert all(size <= (most or MOST) for size in sizes(groups))


def test_the_most_work_comes_first() -> None:
    groups = grouped(
        jobs(*seeds(2), *seeds(7, replace(SMALL, act=Tanh())), *seeds(4, replace(SMALL, depth=3))), 1
    )
    assert sizes(groups) == [7, 4, 2]


def test_jobs_keep_their_order_within_a_structure() -> None:
    numbers = [[job.number for job in group.jobs] for group in grouped(jobs(*seeds(10)), 1, 4)]
    assert sorted(number for part in numbers for number in part) == list(range(10))
    assert all(part == sorted(part) for part in numbers)


def test_parts_are_nearly_equal() -> None:
    assert sorted(sizes(grouped(jobs(*seeds(10)), 1, 4))) == [3, 3, 4]
    assert sorted(sizes(grouped(jobs(*seeds(9)), 1, 8))) == [4, 5]


def test_one_structure_is_divided_among_processes_but_not_into_crumbs() -> None:
    assert sizes(grouped(jobs(*seeds(64)), 2)) == [32, 32]
    assert sizes(grouped(jobs(*seeds(64)), 4)) == [16] * 4
    assert sizes(grouped(jobs(*seeds(64)), 64)) == [ENOUGH] * 4
    assert sizes(grouped(jobs(*seeds(200)), 1)) == [50] * 4  # at most 64


def test_a_larger_network_has_smaller_stacks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fitting(SMALL) == MOST
    monkeypatch.setattr(work, "MEMORY", 2**20)
    many, few = fitting(replace(SMALL, width=16)), fitting(replace(SMALL, width=64))
    assert 1 <= few < many < MOST
    assert fitting(replace(SMALL, width=4096)) == 1
    assert max(sizes(grouped(jobs(*seeds(40, replace(SMALL, width=64))), 1))) <= few


def test_max_stack_replaces_what_fits_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "MEMORY", 0)
    assert sizes(grouped(jobs(*seeds(6)), 1)) == [1] * 6
    assert sizes(grouped(jobs(*seeds(6)), 1, 3)) == [3, 3]


@pytest.mark.parametrize(
    "run, setting",
    [
        (Run(model=RNN(), data=Text()), "data=text"),
        (FROZEN, "pretrain.freeze=true"),
        (replace(FROZEN, pretrain=Autoencoder(freeze=True)), "pretrain.freeze=true"),
        (replace(FROZEN, pretrain=DenoisingAutoencoder(freeze=True)), "pretrain.freeze=true"),
        (replace(SMALL, recompute_every=1), "recompute_every"),
        (Run(model=GRU(fused=True), data=Adding()), "model.fused=true"),
    ],
    ids=["text", "rbm", "autoencoder", "denoising", "recompute", "fused"],
)
def test_what_cannot_be_stacked_is_alone_and_says_why(run: Run, setting: str) -> None:
    reason = alone_because(run)
    assert reason is not None
    assert reason.startswith(setting)
    groups = grouped(jobs(*seeds(3, run)), 1)
    assert sizes(groups) == [1, 1, 1]
    assert {group.reason for group in groups} == {reason}


@pytest.mark.parametrize("pretrain", [RBM(), Autoencoder(), DenoisingAutoencoder()])
def test_pretraining_that_is_fine_tuned_can_be_stacked(pretrain: RBM) -> None:
    assert alone_because(replace(FROZEN, pretrain=pretrain)) is None


def test_a_job_without_company_needs_no_reason() -> None:
    (group,) = grouped(jobs(SMALL), 4)
    assert (len(group.jobs), group.reason) == (1, "")


def test_no_jobs_make_no_groups() -> None:
    assert grouped([], 2) == []
