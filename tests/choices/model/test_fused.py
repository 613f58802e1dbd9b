"""torch's own kernels in place of the cells: the same numbers, on every step that shows nothing."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from vanishgrad import Run, build, train
from vanishgrad.choices.activation import PReLU, ReLU, Sigmoid, Tanh
from vanishgrad.choices.data import Adding, CopyMemory, Digits
from vanishgrad.choices.model.cells import GRULayer, LSTMLayer, RNNLayer
from vanishgrad.choices.model.recurrent import GRU, LSTM, RNN, Recurrent
from vanishgrad.choices.normalization import LayerNorm
from vanishgrad.choices.protocol import Activation, Data, Model
from vanishgrad.choices.regularization import Dropout
from vanishgrad.engine.recorder import Result
from vanishgrad.engine.session import Progress
from vanishgrad.errors import SettingError

BASE = Run(
    model=LSTM(fused=True), data=Adding(length=6, train_size=64, held_out=64), width=4, depth=1,
    batch_size=8, max_steps=7, log_every=3, eval_every=10**6,
)  # fmt: skip
CELLS: list[tuple[Model, Activation]] = [
    (RNN(fused=True), Tanh()), (RNN(fused=True), ReLU()), (LSTM(fused=True), Tanh()),
    (GRU(fused=True), Tanh()),
]  # fmt: skip
NAMES = ["rnn", "relu", "lstm", "gru"]
READ: list[tuple[Data, Tensor]] = [
    (Adding(length=40), torch.randn(16, 40, 2, generator=torch.Generator().manual_seed(0))),
    (
        CopyMemory(length=4, memory=12),
        torch.randint(10, (16, 20), generator=torch.Generator().manual_seed(0)),
    ),
    (Digits(), torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))),
]


def both(run: Run) -> tuple[Recurrent, Recurrent]:
    """The network with the kernel and the one without, with the same values, none of them 0."""
    fused, plain = build(run), build(replace(run, model=replace(run.model, fused=False)))  # type: ignore[type-var]
    assert isinstance(fused, Recurrent)
    assert isinstance(plain, Recurrent)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for one, other in zip(fused.parameters(), plain.parameters(), strict=True):
            one.add_(torch.randn(one.shape, generator=generator).to(one.dtype), alpha=0.2)
            other.copy_(one)
    return fused, plain


def far(one: Tensor, other: Tensor) -> float:
    """The distance of two tensors, relative to their length."""
    one, other = one.detach(), other.detach()
    return float((one - other).norm() / other.norm())


@pytest.mark.parametrize("dtype, close", [("float32", 1e-6), ("float64", 1e-13)])
@pytest.mark.parametrize("depth, width", [(1, 7), (1, 48), (3, 16)])
@pytest.mark.parametrize("data, x", READ, ids=["numbers", "symbols", "rows"])
@pytest.mark.parametrize("model, act", CELLS, ids=NAMES)
def test_outputs_states_and_all_gradients_are_those_of_the_cells(
    model: Model, act: Activation, data: Data, x: Tensor, depth: int, width: int, dtype: str, close: float
) -> None:
    run = replace(BASE, model=model, act=act, data=data, depth=depth, width=width, dtype=dtype)
    fused, plain, kind = *both(run), getattr(torch, dtype)
    x = x.to(kind) if x.is_floating_point() else x
    generator = torch.Generator().manual_seed(2)
    given = [
        tuple(torch.randn(16, width, generator=generator).mul_(0.5).to(kind) for _ in range(states))
        for states in [2 if model.name == "lstm" else 1] * depth
    ]
    found = []
    for network in (fused, plain):
        entering = [tuple(part.clone().requires_grad_() for part in layer) for layer in given]
        outputs, state = network.unroll(x, entering)
        leaves = [*network.parameters(), *(part for layer in entering for part in layer)]
        loss = outputs.square().mean() + sum(part.square().mean() for layer in state for part in layer)
        found.append(
            [outputs, *(part for layer in state for part in layer), *torch.autograd.grad(loss, leaves)]
        )
    names = [name for name, _ in plain.named_parameters()]
    labels = ["outputs", *["state"] * (len(found[0]) - 1 - len(names)), *names]
    for name, one, other in zip(labels, *found, strict=False):
        assert far(one, other) < close, name


@pytest.mark.parametrize("model, act", CELLS, ids=NAMES)
def test_the_kernel_serves_where_nobody_observes(
    model: Model, act: Activation, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: Counter[str] = Counter()
    kind = {"rnn": RNNLayer, "lstm": LSTMLayer, "gru": GRULayer}[model.name]
    for way in ("forward", "fused"):
        inner = getattr(kind, way)

        def counted(*args: object, way: str = way, inner: object = inner) -> object:
            calls[way] += 1
            return inner(*args)  # type: ignore[operator]

        monkeypatch.setattr(kind, way, counted)
    ways: list[str] = []

    def observe(progress: object) -> None:
        assert isinstance(progress, Progress)
        ways.append(" ".join(sorted(calls)))
        calls.clear()

    train(replace(BASE, model=model, act=act, eval_every=5), observe=observe)
    # step 7 is the last, which is measured; evaluations, before steps 0, 5 and 7, show nothing either
    assert ways == [
        "forward fused",
        "fused",
        "fused",
        "forward",
        "fused",
        "fused",
        "forward",
        "forward fused",
    ]


def trained(run: Run) -> list[Tensor]:
    return [parameter.detach() for parameter in train(run).model.parameters()]


def test_steps_that_are_logged_are_computed_by_the_cells_to_the_last_bit() -> None:
    every = replace(BASE, log_every=1)
    plain = replace(every, model=LSTM())
    assert all(map(torch.equal, trained(every), trained(plain)))
    results: list[Result] = [train(run) for run in (every, plain)]
    assert results[0].gradients.equals(results[1].gradients)


def test_training_depends_on_log_every_by_rounding_alone() -> None:
    often, never = trained(replace(BASE, max_steps=40)), trained(replace(BASE, max_steps=40, log_every=10**6))
    assert not all(map(torch.equal, often, never))
    assert max(map(far, often, never)) < 1e-4


def test_measuring_gradients_alone_shows_no_states_so_that_the_kernel_serves_every_step() -> None:
    run = replace(BASE, measure="gradients")
    assert all(map(torch.equal, trained(run), trained(replace(run, log_every=1))))


def test_dropout_between_layers_is_the_same() -> None:
    fused, plain = both(replace(BASE, depth=2, reg=Dropout(0.5), dtype="float64"))
    x = READ[0][1].double()
    torch.testing.assert_close(fused(x), plain(x), rtol=1e-12, atol=1e-12)


def test_a_pickled_network_keeps_its_kernel() -> None:
    network = build(BASE)
    assert torch.equal(pickle.loads(pickle.dumps(network))(READ[0][1]), network(READ[0][1]))


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"act": Sigmoid()}, ["act=sigmoid", "act=tanh alone", "model.fused=false"]),
        ({"model": GRU(fused=True), "act": ReLU()}, ["model=gru", "act=relu", "act=tanh alone"]),
        ({"model": RNN(fused=True), "act": PReLU()}, ["act=prelu", "act=tanh or act=relu alone"]),
        ({"norm": LayerNorm()}, ["norm=layer", "norm=none", "model.fused=false"]),
    ],
    ids=["sigmoid", "relu", "prelu", "norm"],
)
def test_what_the_kernel_does_not_compute_is_refused(changes: dict[str, object], words: list[str]) -> None:
    with pytest.raises(SettingError) as refused:
        replace(BASE, **changes)  # type: ignore[arg-type]
    assert all(word in str(refused.value) for word in ("model.fused=true", *words))


def test_peepholes_are_refused() -> None:
    with pytest.raises(SettingError, match=r"model\.fused=true with model\.peepholes=true"):
        LSTM(peepholes=True, fused=True)
