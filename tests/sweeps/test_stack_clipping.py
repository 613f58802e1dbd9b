"""Clipping and the optimizer's step in a stack against `clip_` and `step_` of each run alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from vanishgrad import Run
from vanishgrad.choices.clipping import AGC, ClipByNorm, ClipByValue
from vanishgrad.choices.optimizer import SGD, Adagrad, Adam, AdamW, RMSprop
from vanishgrad.choices.regularization import WeightDecay
from vanishgrad.engine.update import Clipper, Descent
from vanishgrad.modules.norms import stacked_norms, total_norm
from vanishgrad.modules.packed import Blocks

# scalars, vectors, matrices, one row, one column, kernels; the output layer comes last
SHAPES = [(), (1,), (5,), (4, 5), (4, 5), (1, 5), (5, 1), (3, 2, 3, 3), (3, 1, 1, 1), (2, 5), (2,)]
OUTPUT = len(SHAPES) - 2
RUNS = 3
CLIPS: list[Sequence[Any]] = [
    (ClipByNorm(1e-3), ClipByNorm(1.0), ClipByNorm(1e6)),
    (ClipByValue(1e-3), ClipByValue(0.5), ClipByValue(1e6)),
    (AGC(1e-4), AGC(0.1), AGC(1e6)),
]
TOLERANCES = {torch.float32: 1e-6, torch.float64: 1e-14}


def blocks(dtype: torch.dtype, seed: int, scales: Sequence[float] = (1.0, 1.0, 1.0)) -> Blocks:
    """Random numbers of three runs, each times its scale."""
    made = Blocks([torch.zeros(shape, dtype=dtype) for shape in SHAPES], RUNS, torch.device("cpu"))
    generator = torch.Generator().manual_seed(seed)
    for stack in made.stacked:
        stack.normal_(generator=generator)
        for run, scale in zip(stack, scales, strict=True):
            run.mul_(scale)
    return made


def clip_(clips: Sequence[Any], gradients: Blocks, values: Blocks) -> None:
    Clipper([Run(clip=clip) for clip in clips], OUTPUT, torch.device("cpu"))(gradients, values)


def total_norms(gradients: Blocks) -> Tensor:
    return torch.linalg.vector_norm(stacked_norms(gradients.all), dim=0)


def copies(of: Blocks, row: int) -> list[Tensor]:
    return [tensor.clone() for tensor in of.of_run(row)]


def assert_close(mine: Sequence[Tensor], lone: Sequence[Tensor]) -> None:
    for a, b in zip(mine, lone, strict=True):
        assert a.shape == b.shape
        torch.testing.assert_close(a, b, rtol=TOLERANCES[a.dtype], atol=0.0, equal_nan=True)


@pytest.mark.parametrize("scales", [(1.0, 1.0, 1.0), (1e-30, 1.0, 1e30), (1e30, 1e-30, 0.0)])
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("clips", CLIPS, ids=lambda clips: clips[0].name)
def test_every_run_is_clipped_as_it_is_alone(
    clips: Sequence[Any], dtype: torch.dtype, scales: Sequence[float]
) -> None:
    gradients, values = blocks(dtype, 0, scales), blocks(dtype, 1, (1e-5, 1.0, 1e3))
    lone = [copies(gradients, row) for row in range(RUNS)]
    weights = [copies(values, row) for row in range(RUNS)]
    for row, clip in enumerate(clips):
        clip.clip_(lone[row], weights[row], OUTPUT)
    clip_(clips, gradients, values)
    for row in range(RUNS):
        assert_close(gradients.of_run(row), lone[row])
        assert_close(values.of_run(row), weights[row])


@pytest.mark.parametrize("clips", CLIPS, ids=lambda clips: clips[0].name)
def test_clipping_does_something_to_one_run_and_nothing_to_another(clips: Sequence[Any]) -> None:
    gradients, before = blocks(torch.float32, 0), blocks(torch.float32, 0)
    clip_(clips, gradients, blocks(torch.float32, 1))
    assert not torch.equal(gradients.of_run(0)[3], before.of_run(0)[3])
    assert all(map(torch.equal, gradients.of_run(2), before.of_run(2)))


def test_adaptive_clipping_leaves_the_output_layer_alone() -> None:
    gradients, before = blocks(torch.float32, 0), blocks(torch.float32, 0)
    clip_([AGC(1e-9)] * RUNS, gradients, blocks(torch.float32, 1))
    for row in range(RUNS):
        assert all(map(torch.equal, gradients.of_run(row)[OUTPUT:], before.of_run(row)[OUTPUT:]))


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_the_norm_of_each_run_is_that_of_its_own_gradients(dtype: torch.dtype) -> None:
    gradients = blocks(dtype, 0, (1e-30, 1.0, 1e30))
    lone = torch.stack([total_norm(gradients.of_run(row)) for row in range(RUNS)])
    torch.testing.assert_close(total_norms(gradients), lone, rtol=TOLERANCES[dtype], atol=0.0)


@pytest.mark.parametrize("lost", [0.0, 1e-30, 1e30, float("inf"), float("nan")])
def test_the_norm_of_a_run_does_not_depend_on_the_others_to_the_last_bit(lost: float) -> None:
    gradients, disturbed = blocks(torch.float32, 0), blocks(torch.float32, 0, (1.0, lost, 1.0))
    assert torch.equal(total_norms(gradients)[::2], total_norms(disturbed)[::2])


def test_the_norm_of_large_layers_keeps_six_digits() -> None:
    layers = torch.randn(RUNS, 2, 700, 700, generator=torch.Generator().manual_seed(0))
    exact = layers.double().flatten(2).square().sum(2).sqrt().T
    torch.testing.assert_close(stacked_norms([layers]), exact, rtol=1e-6, atol=0.0)


RATES = torch.tensor([0.1, 0.01, 1e-3], dtype=torch.float64)
OPTIMIZERS: list[Sequence[Any]] = [
    (SGD(), SGD(), SGD()),
    (SGD(0.9), SGD(), SGD(0.5)),
    *((kind(), kind(), kind()) for kind in (Adam, AdamW, Adagrad, RMSprop)),
]


def descend(optimizers: Sequence[Any], dtype: torch.dtype, steps: int) -> tuple[Blocks, Descent]:
    """The parameters of three runs after so many steps of random gradients, and what took them."""
    values = blocks(dtype, 0)
    taken = Descent([Run(optim=optim) for optim in optimizers], values, [])
    for step in range(steps):
        taken.step_(blocks(dtype, step + 1), RATES)
    return values, taken


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize(
    "optimizers", OPTIMIZERS, ids=lambda kinds: f"{kinds[0].name}-{kinds[0] != kinds[1]}"
)
def test_every_run_descends_as_it_does_alone(optimizers: Sequence[Any], dtype: torch.dtype) -> None:
    values, taken = descend(optimizers, dtype, steps=3)
    for row, optim in enumerate(optimizers):
        lone = copies(blocks(dtype, 0), row)
        state = optim.start(lone)
        for step in range(3):
            optim.step_(lone, copies(blocks(dtype, step + 1), row), state, float(RATES[row]))
        for a, b in zip(values.of_run(row), lone, strict=True):
            torch.testing.assert_close(a, b, rtol=10 * TOLERANCES[dtype], atol=TOLERANCES[dtype])
        mine = taken.state_of(row)
        assert mine.keys() == state.keys()
        for name, memory in state.items():
            assert [a.dtype for a in mine[name]] == [b.dtype for b in memory]
            for a, b in zip(mine[name], memory, strict=True):
                torch.testing.assert_close(a, b, rtol=10 * TOLERANCES[dtype], atol=TOLERANCES[dtype])


@pytest.mark.parametrize(
    "optimizers", OPTIMIZERS, ids=lambda kinds: f"{kinds[0].name}-{kinds[0] != kinds[1]}"
)
def test_the_memory_of_a_run_follows_its_steps(optimizers: Sequence[Any]) -> None:
    """What is given once, at the start, is a view: a checkpoint later finds the memory of then."""
    taken = Descent([Run(optim=optim) for optim in optimizers], blocks(torch.float64, 0), [])
    held = taken.state_of(0)
    before = {name: [tensor.clone() for tensor in memory] for name, memory in held.items()}
    taken.step_(blocks(torch.float64, 1), RATES)
    for name, memory in held.items():
        assert not any(map(torch.equal, memory, before[name]))


def test_decay_multiplies_the_weights_that_it_is_told_of_by_each_runs_own_factor() -> None:
    runs = [Run(reg=WeightDecay(strength)) for strength in (0.0, 0.5, 2.0)]
    values, zeros = blocks(torch.float64, 0), blocks(torch.float64, 0, (0.0, 0.0, 0.0))
    Descent(runs, values, [3, 7]).step_(zeros, RATES)
    for row, factor in enumerate((1.0, 1 - 0.01 * 0.5, 1 - 1e-3 * 2.0)):
        before, after = blocks(torch.float64, 0).of_run(row), values.of_run(row)
        for index in range(len(SHAPES)):
            expected = before[index] * factor if index in (3, 7) else before[index]
            torch.testing.assert_close(after[index], expected, rtol=1e-15, atol=0.0)
