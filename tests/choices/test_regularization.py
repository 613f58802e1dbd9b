"""Penalties and their gradients against the formulas; decay against torch's own optimizers; dropout."""

import math
from collections.abc import Callable
from types import FunctionType

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from vanishgrad import Run, build, penalty
from vanishgrad.choices.normalization import BatchNorm, WeightNorm
from vanishgrad.choices.optimizer import SGD, AdamW
from vanishgrad.choices.regularization import (
    L1,
    L2,
    Dropout,
    ElasticNet,
    NoReg,
    Regularization,
    WeightDecay,
    decaying,
)
from vanishgrad.engine.trainer import Trainer
from vanishgrad.errors import SettingError
from vanishgrad.modules.dropout import SeededDropout
from vanishgrad.modules.weights import weight_matrices


def described(value: object) -> str | None:
    """A test id without memory addresses, which would differ between the processes of one test run."""
    return None if isinstance(value, FunctionType) else str(value)


def two_weights() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(s, generator=generator, dtype=torch.float64, requires_grad=True) for s in ((3, 4), (2, 3))
    ]


FORMULAS: list[tuple[Regularization, Callable[[float], float], Callable[[Tensor], Tensor]]] = [
    (L1(0.3), lambda w: 0.3 * abs(w), lambda w: 0.3 * w.sign()),
    (L2(0.3), lambda w: 0.3 * w * w, lambda w: 0.6 * w),
    (ElasticNet(0.2, 0.5), lambda w: 0.2 * abs(w) + 0.5 * w * w, lambda w: 0.2 * w.sign() + w),
]


@pytest.mark.parametrize("reg, term, slope", FORMULAS, ids=described)
def test_a_penalty_is_the_sum_of_its_terms_and_its_gradient_their_slopes(
    reg: Regularization, term: Callable[[float], float], slope: Callable[[Tensor], Tensor]
) -> None:
    weights = two_weights()
    found = reg.penalty(weights)
    assert found is not None
    assert found.item() == pytest.approx(
        sum(term(w) for weight in weights for w in weight.flatten().tolist())
    )
    for weight, gradient in zip(weights, torch.autograd.grad(found, weights), strict=True):
        torch.testing.assert_close(gradient, slope(weight.detach()))


@pytest.mark.parametrize("reg", [NoReg(), WeightDecay(), Dropout()], ids=str)
def test_what_is_no_part_of_the_loss_has_no_penalty(reg: Regularization) -> None:
    assert reg.penalty(two_weights()) is None


def norm_run(**choices: object) -> Run:
    return Run(depth=3, width=8, dtype="float64", **choices)  # type: ignore[arg-type]


def test_only_weights_are_penalized_no_biases_and_no_normalization() -> None:
    model = build(norm_run(norm=BatchNorm()))
    penalty(model).backward()
    reached = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert reached == {"linear_1.weight", "linear_2.weight", "linear_3.weight", "output.weight"}


def test_with_weight_normalization_the_effective_weight_is_penalized() -> None:
    plain, normalized = build(norm_run()), build(norm_run(norm=WeightNorm()))
    with torch.no_grad():
        for module in normalized.children():
            if hasattr(module, "parametrizations"):
                module.parametrizations.weight.original1.mul_(3.0)  # a direction's length has no effect
    assert penalty(normalized).item() == pytest.approx(penalty(plain).item(), rel=1e-12)


def test_the_penalty_of_a_part_is_that_of_its_weights() -> None:
    model = build(norm_run())
    expected = float((model.get_parameter("linear_2.weight").detach() ** 2).sum())
    assert penalty(model, "linear_2").item() == pytest.approx(expected, rel=1e-12)
    parts = [penalty(model, name).item() for name in ("linear_1", "linear_2", "linear_3", "output")]
    assert penalty(model).item() == pytest.approx(sum(parts), rel=1e-12)
    assert penalty(model, "output", L1(2.0)).item() == pytest.approx(
        2 * float(model.get_parameter("output.weight").detach().abs().sum()), rel=1e-12
    )


def test_a_part_without_weights_and_a_choice_without_penalty_cost_nothing() -> None:
    model = build(norm_run())
    assert penalty(model, "act_1").item() == 0
    assert penalty(nn.ReLU(), reg=L1()).item() == 0
    assert penalty(model, reg=NoReg()).item() == 0


def test_a_missing_part_is_refused_with_the_ones_there_are() -> None:
    with pytest.raises(SettingError, match=r"scope=linear_9: no such module; choose one of .*linear_1"):
        penalty(build(norm_run()), "linear_9")


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(16, 1, 8, 8, generator=generator, dtype=torch.float64)
    return x, torch.randint(10, (16,), generator=generator)


def test_decoupled_decay_is_that_of_torch_adamw_on_weights_alone() -> None:
    """torch.optim.AdamW is Loshchilov and Hutter's algorithm 2; two groups exempt what must not decay."""
    run = norm_run(norm=BatchNorm(), optim=AdamW(), reg=WeightDecay(0.5), lr=0.01)
    trainer, twin = Trainer([run], torch.device("cpu")), build(run)
    weights = [parameter for parameter in twin.parameters() if parameter.ndim == 2]
    others = [parameter for parameter in twin.parameters() if parameter.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": weights, "weight_decay": 0.5}, {"params": others, "weight_decay": 0.0}], lr=0.01
    )
    x, y = batch()
    for _ in range(5):
        trainer.forward_backward(x[None], y[None])
        trainer.update(0.01)
        optimizer.zero_grad()
        nn.functional.cross_entropy(twin(x), y).backward()
        optimizer.step()
    for ours, theirs in zip(trainer.models[0].parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-13)


def test_decoupled_decay_with_sgd_is_its_formula() -> None:
    run = norm_run(optim=SGD(), reg=WeightDecay(0.5))
    trainer = Trainer([run], torch.device("cpu"))
    x, y = batch()
    trainer.forward_backward(x[None], y[None])
    before = [parameter.detach().clone() for parameter in trainer.models[0].parameters()]
    gradients = [gradient.clone() for gradient in trainer.gradients.of_run(0)]
    trainer.update(0.2)
    for old, gradient, new in zip(before, gradients, trainer.models[0].parameters(), strict=True):
        kept = 1 - 0.2 * 0.5 if old.ndim == 2 else 1.0
        torch.testing.assert_close(new.detach(), kept * old - 0.2 * gradient, rtol=1e-13, atol=1e-15)


def test_decay_of_a_normalized_weight_shrinks_the_effective_weight() -> None:
    linear = weight_norm(nn.Linear(4, 3))
    before = linear.weight.detach().clone()
    torch._foreach_mul_(decaying(weight_matrices(linear)), 0.9)
    torch.testing.assert_close(linear.weight.detach(), 0.9 * before)


def noise(dropout: SeededDropout, *shape: int) -> Tensor:
    return dropout(torch.ones(shape))


def test_dropout_zeroes_its_rate_and_scales_what_is_left() -> None:
    out = noise(SeededDropout(0.3, seed=0, layer=1), 500, 200)
    assert float((out == 0).float().mean()) == pytest.approx(0.3, abs=0.006)  # 4 standard deviations
    assert out[out != 0].unique().tolist() == pytest.approx([1 / 0.7])
    assert float(out.mean()) == pytest.approx(1, abs=0.01)


def test_dropout_noise_belongs_to_seed_layer_and_call() -> None:
    def masks(seed: int, layer: int) -> list[list[float]]:
        dropout = SeededDropout(0.5, seed, layer)
        return [noise(dropout, 64).tolist() for _ in range(3)]

    before = torch.get_rng_state()
    assert masks(0, 1) == masks(0, 1)
    different = [mask for seed, layer in ((0, 1), (1, 1), (0, 2)) for mask in masks(seed, layer)]
    assert len({tuple(mask) for mask in different}) == 9
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_noise_continues_after_a_checkpoint() -> None:
    first = SeededDropout(0.5, seed=0, layer=1)
    noise(first, 64)
    second = SeededDropout(0.5, seed=0, layer=1)
    second.load_state_dict(first.state_dict())
    assert torch.equal(noise(first, 64), noise(second, 64))


@pytest.mark.parametrize("rate, training", [(0.5, False), (0.0, True)])
def test_dropout_changes_nothing_in_evaluation_or_at_rate_0(rate: float, training: bool) -> None:
    x = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(SeededDropout(rate, 0, 1).train(training)(x), x)


def test_dropout_passes_the_gradient_through_its_own_mask() -> None:
    x = torch.ones(64, requires_grad=True)
    out = SeededDropout(0.5, 0, 1)(x)
    out.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, out.detach())


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: L1(-1.0), r"reg\.strength=-1\.0: must be at least 0"),
        (lambda: L2(math.nan), r"reg\.strength=nan: must be at least 0"),
        (lambda: ElasticNet(-1.0, 0.0), r"reg\.l1=-1\.0: must be at least 0"),
        (lambda: ElasticNet(0.0, -1.0), r"reg\.l2=-1\.0: must be at least 0"),
        (lambda: WeightDecay(-1.0), r"reg\.strength=-1\.0: must be at least 0"),
        (lambda: Dropout(1.0), r"reg\.rate=1\.0: must be at least 0 and below 1"),
        (lambda: Dropout(-0.1), r"reg\.rate=-0\.1: must be at least 0"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(make: Callable[[], object], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        make()
