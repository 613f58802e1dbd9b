"""Layer after layer: who learns from what, in which order, and what is told."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from vanishgrad.choices.activation import Identity, Sigmoid, Tanh
from vanishgrad.choices.data import Digits, load
from vanishgrad.choices.initialization import Xavier
from vanishgrad.choices.model.build import build
from vanishgrad.choices.pretraining import RBM, Autoencoder, DenoisingAutoencoder, NoPretraining
from vanishgrad.choices.protocol import Activation, Pretraining
from vanishgrad.choices.regularization import Dropout
from vanishgrad.engine.pretrain import LayerEpoch, _are_probabilities, first_layer_filters, pretrain_
from vanishgrad.errors import SettingError
from vanishgrad.run import Run
from vanishgrad.streams import stream

EVERY = [RBM(epochs=2), RBM(epochs=2, k=3), Autoencoder(epochs=2), DenoisingAutoencoder(epochs=2, tied=False)]
every = pytest.mark.parametrize("choice", EVERY, ids=str)


def small(pretrain: Pretraining = EVERY[0], **changes: object) -> Run:
    """Three layers of 8 units on 70 digits: four batches of 16 and a remainder."""
    run = Run(
        depth=3, width=8, act=Sigmoid(), init=Xavier(), batch_size=16, pretrain=pretrain, device="cpu",
        data=Digits(train_size=70, scale="unit"),
    )  # fmt: skip
    return replace(run, **changes)  # type: ignore[arg-type]


def inputs(run: Run) -> Tensor:
    return load(run.data).train_x.to(getattr(torch, run.dtype))


def pretrained(run: Run, x: Tensor | None = None) -> tuple[nn.Module, list[LayerEpoch]]:
    model, told = build(run), list[LayerEpoch]()
    pretrain_(model, run, inputs(run) if x is None else x, told.append)  # type: ignore[arg-type]
    return model, told


def changed(run: Run, model: nn.Module) -> set[str]:
    """Names of the entries of the state that differ from the start."""
    start = build(run).state_dict()
    return {name for name, value in model.state_dict().items() if not torch.equal(value, start[name])}


@every
def test_hidden_layers_change_and_the_output_layer_does_not(choice: Pretraining) -> None:
    run = small(choice)
    model, _ = pretrained(run)
    assert changed(run, model) == {f"linear_{i}.{what}" for i in (1, 2, 3) for what in ("weight", "bias")}
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


@every
def test_every_epoch_of_every_layer_is_told_and_the_loss_falls(choice: Pretraining) -> None:
    _, told = pretrained(small(replace(choice, epochs=12)))  # type: ignore[type-var]
    assert [(t.layer, t.epoch) for t in told] == [(layer, e) for layer in (1, 2, 3) for e in range(13)]
    assert {(t.epochs, t.layers) for t in told} == {(12, 3)}
    for first, last in ((told[0], told[12]), (told[13], told[25]), (told[26], told[38])):
        assert last.loss < first.loss


@every
def test_the_same_run_pretrains_the_same_way_and_leaves_global_noise_alone(choice: Pretraining) -> None:
    before = torch.get_rng_state()
    (one, told), (other, told_again) = pretrained(small(choice)), pretrained(small(choice))
    assert told == told_again
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_steps_of_the_gibbs_chain_count() -> None:
    one, three = (pretrained(small(RBM(epochs=1, k=k)))[0] for k in (1, 3))
    assert not torch.equal(one.linear_1.weight, three.linear_1.weight)


def test_another_seed_pretrains_in_another_order() -> None:
    run, other = small(Autoencoder(epochs=1)), small(Autoencoder(epochs=1), seed=1)
    model = build(run)
    pretrain_(model, other, inputs(run), lambda _: None)  # type: ignore[arg-type]
    assert not torch.equal(model.linear_1.weight, pretrained(run)[0].linear_1.weight)


@every
def test_layers_above_change_nothing_below(choice: Pretraining) -> None:
    deep, shallow = pretrained(small(choice))[0], pretrained(small(choice, depth=2))[0]
    for name in ("linear_1", "linear_2"):
        assert torch.equal(getattr(deep, name).weight, getattr(shallow, name).weight)


@every
def test_dropout_is_for_the_training_that_follows(choice: Pretraining) -> None:
    (plain, told), (dropped, told_too) = (
        pretrained(small(choice)),
        pretrained(small(choice, reg=Dropout(0.5))),
    )
    assert told == told_too
    assert torch.equal(plain.linear_3.weight, dropped.linear_3.weight)


def twin(run: Run, x: Tensor) -> list[tuple[float, Tensor]]:
    """Tied autoencoders by hand, the loss at the end and the weights of every layer."""
    found = []
    model, below = build(run), x.flatten(1)
    for layer in range(1, run.depth + 1):
        linear, act = getattr(model, f"linear_{layer}"), run.act.module()
        logistic = isinstance(run.act, Sigmoid) if layer > 1 else run.data.scale == "unit"  # type: ignore[attr-defined]
        mean, variance = below.mean(0), below.var(0, correction=0).sum()
        mean = torch.logit((below.sum(0) + 0.5) / (len(below) + 1)) if logistic else mean
        c = mean.clone().requires_grad_()

        def loss(v: Tensor, linear: nn.Linear = linear, act: nn.Module = act, logistic: bool = logistic,
                 c: Tensor = c, variance: Tensor = variance) -> Tensor:  # fmt: skip
            restored = act(linear(v)) @ linear.weight + c
            if not logistic:
                return (restored - v).square().sum(1).mean() / variance
            p = torch.sigmoid(restored)
            return -(v * p.log() + (1 - v) * (1 - p).log()).sum(1).mean()

        optimizer = torch.optim.SGD([*linear.parameters(), c], lr=run.pretrain.lr)
        generator = stream(run.seed, "pretrain", layer, "order")
        for _ in range(run.pretrain.epochs):
            for rows in torch.randperm(len(x), generator=generator)[:64].split(16):
                optimizer.zero_grad()
                loss(below[rows]).backward()
                optimizer.step()
        found.append((float(loss(below).detach()), linear.weight.detach()))
        below = act(linear(below)).detach()
    return found


@pytest.mark.parametrize("scale", ["unit", "standard"])
@pytest.mark.parametrize("act", [Sigmoid(), Tanh()], ids=lambda act: act.name)
def test_layers_learn_one_by_one_on_whole_batches_of_the_output_below(act: Activation, scale: str) -> None:
    data = Digits(train_size=70, scale=scale)
    run = small(Autoencoder(epochs=3), act=act, data=data, dtype="float64")
    model, told = pretrained(run)
    for layer, (loss, weight) in enumerate(twin(run, inputs(run)), 1):
        assert next(t.loss for t in told if (t.layer, t.epoch) == (layer, 3)) == pytest.approx(loss)
        torch.testing.assert_close(getattr(model, f"linear_{layer}").weight.detach(), weight)


@every
def test_a_full_batch_is_one_step_per_epoch(choice: Pretraining) -> None:
    one = pretrained(small(choice, batch_size="full"))[0]
    other = pretrained(small(choice, batch_size=70))[0]
    assert torch.equal(one.linear_3.weight, other.linear_3.weight)
    assert changed(small(choice), one)


@pytest.mark.parametrize("choice", [NoPretraining(), RBM(epochs=0), Autoencoder(epochs=0)], ids=str)
def test_no_pretraining_changes_nothing(choice: Pretraining) -> None:
    run = small(choice)
    model, told = pretrained(run)
    assert not changed(run, model)
    assert [t.epoch for t in told] == ([] if isinstance(choice, NoPretraining) else [0, 0, 0])


def test_a_loss_that_stops_being_finite_is_told_and_ends_it() -> None:
    data = Digits(train_size=70)
    run = small(Autoencoder(epochs=9, lr=1e3), act=Identity(), data=data)
    model, told = pretrained(run)
    assert [math.isfinite(t.loss) for t in told] == [True] * (len(told) - 1) + [False]
    assert {t.layer for t in told} == {1}
    assert len(told) < 10
    assert changed(run, model) <= {"linear_1.weight", "linear_1.bias"}


def test_a_boltzmann_machine_refuses_data_that_are_no_probabilities() -> None:
    run = small()
    with pytest.raises(SettingError, match="pretrain=rbm with inputs from 0 to 2"):
        pretrained(run, 2 * inputs(run))


@pytest.mark.parametrize("scale, shift", [(2, 0), (1, -0.5), (4, -2)])
def test_only_inputs_from_0_to_1_are_probabilities(scale: float, shift: float) -> None:
    """An autoencoder rebuilds those with the cross entropy, others with the squared error."""
    run = small(Autoencoder(epochs=1))
    assert _are_probabilities(run, inputs(run), 1)
    assert not _are_probabilities(run, scale * inputs(run) + shift, 1)


def test_filters_have_the_shape_of_an_example() -> None:
    run = small()
    model, _ = pretrained(run)
    filters = first_layer_filters(model, run)
    assert filters.shape == (8, 1, 8, 8)
    assert torch.equal(filters.flatten(1), model.linear_1.weight)
    assert not filters.requires_grad
