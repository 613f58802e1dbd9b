"""The families that the rules were tuned on; what is called what: `labelled_families.py`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from labelled_families import DIVERGED, EXPLODING, FLAT_EDGE, THROWN, VANISHING, Family, by_theory, run
from labelled_runs import Case, Twist, predicted_flat

from vanishgrad.choices.activation import ELU, Erf, LeakyReLU, ReLU, Sigmoid, Tanh
from vanishgrad.choices.data import Adding, Digits
from vanishgrad.choices.initialization import Default, Gaussian, He, Xavier, Zeros
from vanishgrad.choices.loss import MSE
from vanishgrad.choices.model.recurrent import GRU, LSTM, RNN
from vanishgrad.choices.normalization import BatchNorm, LayerNorm
from vanishgrad.choices.optimizer import SGD, Adam
from vanishgrad.choices.residual import Fixup, IdentityShortcut, Rezero, ScaledShortcut


def depth_sigmoid() -> Iterator[Case]:
    deep = [
        run(act=Sigmoid(), depth=depth, init=init, lr=lr)
        for depth, init, lr in product((6, 8, 12, 16, 20), (Xavier(), Default()), (0.1, 0.02))
    ]
    shallow = [
        run(act=Sigmoid(), depth=1, init=init, lr=lr)
        for init, lr in product((Xavier(), Default()), (0.5, 1.0))
    ]
    yield from by_theory("depth_sigmoid", deep)
    yield from (Case("depth_sigmoid", one) for one in shallow)


def depth_relu() -> Iterator[Case]:
    deep = [
        run(depth=d, init=Default(), lr=lr, seed=s) for d, lr, s in product((12, 16, 20), (0.1, 0.03), (0, 1))
    ]
    level = [run(depth=d, init=He(), lr=lr) for d, lr in product((2, 4, 8, 12), (0.1, 0.05, 0.02))]
    yield from by_theory("depth_relu", [*deep, *level])


def init_tanh() -> Iterator[Case]:
    sigmas = (0.3, 0.5, 0.7, 1.0, 1.1, 1.2, 4.0, 6.0)
    yield from by_theory(
        "init_tanh",
        [run(act=Tanh(), depth=d, init=Gaussian(s), lr=0.05) for s, d in product(sigmas, (4, 10, 16))],
    )


def norm_batch() -> Iterator[Case]:
    for act, depth, lr in product((Sigmoid(), Tanh(), ReLU()), (5, 10), (0.1, 0.03)):
        yield Case("norm_batch", run(act=act, depth=depth, norm=BatchNorm(), lr=lr))
    for act, lr in product((Tanh(), ReLU()), (0.1, 0.03)):
        yield Case("norm_batch", run(act=act, depth=8, norm=LayerNorm(), lr=lr))


def rate_relu() -> Iterator[Case]:
    for lr, depth in product((0.2, 0.1, 0.05, 0.02), (1, 3)):
        yield Case("rate_relu", run(depth=depth, init=He(), lr=lr, seed=3))
    for lr, depth in product((1e-7, 1e-6, 1e-5), (1, 3)):
        yield Case("rate_relu", run(depth=depth, init=He(), lr=lr), frozenset({"not_learning"}))
    for lr, depth in product((3.0, 10.0, 30.0), (2, 3)):
        yield Case("rate_relu", run(depth=depth, init=He(), lr=lr, loss=MSE()), DIVERGED, EXPLODING)


def dead_by_rate() -> Iterator[Case]:
    dead = frozenset({"dead_units"})
    for lr, depth, seed in product((0.1, 0.2, 0.4), (2, 3), (0, 1)):
        one = run(depth=depth, init=He(), optim=Adam(), lr=lr, seed=seed, dead_every=100, batch_size=64)
        yield Case("dead_by_rate", one, dead)
    for act, lr in product((ReLU(), LeakyReLU(), ELU()), (0.004, 0.0015)):
        yield Case("dead_by_rate", run(act=act, depth=3, init=He(), optim=Adam(), lr=lr))


def saturated_weights() -> Iterator[Case]:
    for act, sigma, depth in product((Tanh(),), (10.0, 20.0, 40.0), (2, 3)):
        one = run(act=act, init=Gaussian(sigma), depth=depth, lr=0.01)
        if predicted_flat(one, FLAT_EDGE["tanh"]) >= 0.75:
            yield Case("saturated_weights", one, frozenset({"saturated"}), EXPLODING, outcome=False)
    for lr, depth in product((0.1, 0.05, 0.2), (2, 3)):
        yield Case("saturated_weights", run(act=Tanh(), init=Xavier(), depth=depth, lr=lr, max_steps=600))


def recurrent() -> Iterator[Case]:
    adding = {"model": RNN(), "optim": Adam(), "lr": 0.003, "batch_size": 32}
    for length, width in product((30, 50, 80), (16, 24)):
        data = Adding(length=length, train_size=1000, held_out=200)
        yield Case("recurrent", run(**adding, data=data, width=width), VANISHING)
    rows = Digits(sequence="rows")
    for model, lr in product((RNN(), LSTM(), GRU()), (0.01, 0.005)):
        yield Case("recurrent", run(model=model, data=rows, optim=Adam(), lr=lr))


def loss_scaled() -> Iterator[Case]:
    for scale, depth in product((1e-6, 1e-3, 1e3, 1e6), (3, 6)):
        yield Case("loss_scaled", run(depth=depth, init=He(), lr=0.1), twist=Twist(scale=scale))
    for scale in (1e-6, 1e6):
        yield Case(
            "loss_scaled",
            run(act=Sigmoid(), depth=14, init=Xavier(), lr=0.1),
            VANISHING,
            twist=Twist(scale=scale),
        )
        yield Case(
            "loss_scaled", run(act=Tanh(), depth=5, norm=BatchNorm(), lr=0.1), twist=Twist(scale=scale)
        )


def converged() -> Iterator[Case]:
    for depth, act, size in product((2, 4), (ReLU(), Tanh()), (48, 96)):
        one = run(depth=depth, act=act, init=He() if act == ReLU() else Xavier(), lr=0.2, max_steps=1500,
                  log_every=50, eval_every=500, data=Digits(train_size=size), batch_size="full")  # fmt: skip
        yield Case("converged", one)


def shortcuts() -> Iterator[Case]:
    for residual, depth in product((IdentityShortcut(), Rezero(), Fixup(), ScaledShortcut()), (9, 15)):
        yield Case("shortcuts", run(residual=residual, depth=depth, init=He(), lr=0.05))


def edge_of_stability() -> Iterator[Case]:
    swings = frozenset({"oscillating"})
    for optim, lr in ((Adam(), 1.0), (Adam(), 3.0), (SGD(0.99), 0.5), (SGD(0.95), 1.0), (SGD(0.9), 1.5)):
        for depth, batch in product((1, 2), (32, 64)):
            one = run(
                depth=depth,
                act=LeakyReLU(),
                init=Xavier(),
                optim=optim,
                lr=lr,
                batch_size=batch,
                dead_every=100,
            )
            yield Case("edge_of_stability", one, swings, THROWN)


def chaos() -> Iterator[Case]:
    runs = [run(act=a, depth=d, init=Gaussian(s), lr=lr) for a, s, d, lr in
            product((Tanh(), Erf()), (5.0, 7.0), (16, 20), (0.01, 0.001))]  # fmt: skip
    yield from by_theory("chaos", runs, healthy=False)


def all_zero() -> Iterator[Case]:
    for act, depth in product((ReLU(), Tanh(), Sigmoid()), (2, 5)):
        yield Case("all_zero", run(act=act, depth=depth, init=Zeros()), frozenset({"not_learning"}))


def small_batch() -> Iterator[Case]:
    for batch, lr in product((2, 4, 8), (0.02, 0.01)):
        yield Case("small_batch", run(depth=3, init=He(), lr=lr, batch_size=batch, max_steps=600))


def slow_first_layers() -> Iterator[Case]:
    for depth, act in product((4, 6, 8), (ReLU(), Tanh())):
        init = He() if act == ReLU() else Xavier()
        slow = Twist(rate=lambda layer, half=depth // 2: 1e-4 if layer <= half else 1.0)
        one = run(depth=depth, act=act, init=init, lr=0.1)
        yield Case("slow_first_layers", one, frozenset({"stalled_layers"}), twist=slow, outcome=False)
        yield Case("slow_first_layers", replace(one, seed=1), twist=Twist())


TUNED_ON: tuple[Family, ...] = (
    depth_sigmoid, depth_relu, init_tanh, norm_batch, rate_relu, dead_by_rate, saturated_weights, recurrent,
    loss_scaled, converged, shortcuts, edge_of_stability, chaos, all_zero, small_batch, slow_first_layers,
)  # fmt: skip
