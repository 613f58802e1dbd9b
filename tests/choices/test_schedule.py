"""The learning rate of every step, by hand."""

import math

import pytest

from vanishgrad.choices.optimizer import Adam
from vanishgrad.choices.schedule import ConstantLR, CosineLR, Schedule, StepLR
from vanishgrad.engine.update import rate_at
from vanishgrad.errors import SettingError
from vanishgrad.run import Run


def rates(schedule: Schedule, total: int, warmup: int = 0, lr: float | None = 0.8) -> list[float]:
    run = Run(lr=lr, schedule=schedule, warmup=warmup)
    return [rate_at(run, step, total) for step in range(total)]


def test_constant_stays() -> None:
    assert rates(ConstantLR(), 4) == [0.8] * 4


def test_cosine_falls_along_half_a_cosine_to_zero() -> None:
    assert rates(CosineLR(), 8) == pytest.approx([0.4 * (1 + math.cos(math.pi * s / 8)) for s in range(8)])
    assert rates(CosineLR(), 8)[0] == pytest.approx(0.8)
    assert rates(CosineLR(), 8)[4] == pytest.approx(0.4)
    assert CosineLR().factor(1.0) == pytest.approx(0, abs=1e-15)


def test_step_falls_at_each_milestone() -> None:
    assert rates(StepLR(), 8) == pytest.approx([0.8] * 4 + [0.08] * 2 + [0.008] * 2)
    assert rates(StepLR(0.5, (0.25,)), 4) == pytest.approx([0.8] + [0.4] * 3)


def test_warmup_rises_linearly_to_the_rate() -> None:
    assert rates(ConstantLR(), 6, warmup=4) == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8, 0.8])


def test_the_schedule_begins_where_the_warmup_ends() -> None:
    warm = rates(CosineLR(), 12, warmup=4)
    assert warm[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert warm[4:] == pytest.approx(rates(CosineLR(), 8))


def test_a_run_shorter_than_its_warmup_never_reaches_the_rate() -> None:
    assert rates(CosineLR(), 2, warmup=4) == pytest.approx([0.2, 0.4])


def test_without_a_rate_the_schedule_scales_the_optimizers_own() -> None:
    run = Run(optim=Adam(), schedule=StepLR(), warmup=0)
    assert [rate_at(run, step, 4) for step in range(4)] == pytest.approx([1e-3, 1e-3, 1e-4, 1e-5])


@pytest.mark.parametrize("milestones", [(0.0,), (1.0,), (0.7, 0.3), (0.5, 0.5), (math.nan,)], ids=str)
def test_milestones_increase_between_0_and_1(milestones: tuple[float, ...]) -> None:
    with pytest.raises(SettingError, match=r"schedule\.milestones=\[.*\]: must be increasing fractions"):
        StepLR(milestones=milestones)


def test_gamma_is_positive() -> None:
    with pytest.raises(SettingError, match=r"schedule\.gamma=0\.0: must be above 0"):
        StepLR(gamma=0.0)
