"""More families that the rules were tuned on: held out at first, and looked at since.

What the rules scored on them before is in docs/benchmarks.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from labelled_families import (
    DIVERGED,
    EXPLODING,
    FLAT_EDGE,
    THROWN,
    VANISHING,
    Family,
    Frozen,
    Lowered,
    by_theory,
    run,
)  # fmt: skip
from labelled_runs import Case, Twist, predicted_flat

from vanishgrad.choices.activation import ELU, GELU, SELU, Erf, LeakyReLU, ReLU, Sigmoid, SiLU, Softsign, Tanh
from vanishgrad.choices.clipping import ClipByNorm
from vanishgrad.choices.data import Digits, Spirals
from vanishgrad.choices.initialization import Critical, Default, Gaussian, He, LeCun, Normal, Xavier
from vanishgrad.choices.model.feedforward import CNN
from vanishgrad.choices.model.recurrent import GRU, LSTM, RNN
from vanishgrad.choices.normalization import BatchNorm, GroupNorm, LayerNorm, RMSNorm
from vanishgrad.choices.optimizer import SGD, Adam, AdamW, RMSprop
from vanishgrad.choices.pretraining import Autoencoder
from vanishgrad.choices.regularization import L2, Dropout, WeightDecay
from vanishgrad.choices.residual import HighwayShortcut, IdentityShortcut, Rezero, ScaledShortcut


def activations() -> Iterator[Case]:
    acts = (Tanh(), Softsign(), Erf(), ELU(), GELU(), SiLU())
    deep = [
        run(act=act, depth=d, init=Default(), lr=lr) for act, d, lr in product(acts, (16, 22), (0.1, 0.02))
    ]
    yield from by_theory("activations", deep)
    for act, depth in product((ELU(), SELU(), Erf(), Softsign(), GELU()), (3, 7)):
        yield Case("activations", run(act=act, depth=depth, init=Critical(), lr=0.05))


def init_relu() -> Iterator[Case]:
    sigmas = (0.6, 0.8, 0.95, 1.4, 1.5)
    runs = [run(act=a, depth=d, init=Gaussian(s), lr=0.05)
            for a, s, d in product((ReLU(), LeakyReLU(0.1)), sigmas, (5, 13, 18))]  # fmt: skip
    yield from by_theory("init_relu", runs)


def convolutions() -> Iterator[Case]:
    for depth, lr in product((18, 24), (0.1, 0.03)):
        yield Case("convolutions", run(model=CNN(), depth=depth, width=6, init=Default(), lr=lr), VANISHING)
    for depth, norm, lr in product((3, 6), (BatchNorm(), GroupNorm(2)), (0.1, 0.05)):
        yield Case("convolutions", run(model=CNN(), depth=depth, width=6, init=He(), norm=norm, lr=lr))


def adam() -> Iterator[Case]:
    deep = [
        run(act=Sigmoid(), depth=d, init=Xavier(), optim=Adam(), lr=lr)
        for d, lr in product((14, 20), (1e-3, 3e-4))
    ]
    yield from by_theory("adam", deep)
    for optim, depth, lr in product((Adam(), AdamW(), RMSprop()), (3, 6), (3e-3, 1e-3)):
        yield Case("adam", run(depth=depth, init=He(), optim=optim, lr=lr))


def norms() -> Iterator[Case]:
    for norm, act, depth in product(
        (RMSNorm(), GroupNorm(4), LayerNorm("post"), BatchNorm("post")), (ReLU(), Tanh()), (4, 8)
    ):
        yield Case(
            "norms", run(act=act, depth=depth, norm=norm, init=He() if act == ReLU() else Xavier(), lr=0.05)
        )


def highways() -> Iterator[Case]:
    for residual, act, depth in product(
        (HighwayShortcut(-1.0), IdentityShortcut(), ScaledShortcut(), Rezero()), (Tanh(), ELU()), (8, 13)
    ):
        yield Case("highways", run(residual=residual, act=act, depth=depth, init=LeCun(), lr=0.03))


def exploding_starts() -> Iterator[Case]:
    for act, sigma, depth in product((ReLU(), ELU()), (2.5, 3.5), (10, 16)):
        one = run(act=act, depth=depth, init=Gaussian(sigma), lr=1e-9, clip=ClipByNorm(0.1))
        yield from by_theory("exploding_starts", [one])
    for act, depth, std in product((ReLU(), LeakyReLU()), (8, 14), (1.0, 2.0)):
        yield Case(
            "exploding_starts", run(act=act, depth=depth, init=Normal(std), lr=0.1), DIVERGED, EXPLODING
        )


def low_biases() -> Iterator[Case]:
    for layers, part, seed in product(((1,), (2,), (1, 2, 3)), (0.95, 1.0), (0, 1)):
        one = run(depth=3, init=He(), lr=0.05, seed=seed, width=32)
        yield Case(
            "low_biases",
            one,
            frozenset({"dead_units"}),
            twist=Twist(Lowered(layers, part, -60.0)),
            outcome=False,
        )
    for bias, seed in product((-0.3, 0.3, -0.6), (0, 1)):
        one = run(depth=3, init=He(), lr=0.05, seed=seed, width=32)
        yield Case("low_biases", one, twist=Twist(Lowered((1, 2, 3), 1.0, bias)))


def saturated_biases() -> Iterator[Case]:
    for sigma_b, depth, seed in product((12.0, 18.0), (2, 3), (0, 1)):
        one = run(act=Tanh(), init=Gaussian(1.0, sigma_b), depth=depth, lr=0.01, seed=seed)
        if predicted_flat(one, FLAT_EDGE["tanh"]) >= 0.75:
            yield Case(
                "saturated_biases", one, frozenset({"saturated"}), frozenset({"vanishing"}), outcome=False
            )
    for sigma_w, depth, seed in product((40.0, 80.0), (2, 3), (0, 1)):
        one = run(act=Sigmoid(), init=Gaussian(sigma_w), depth=depth, lr=0.01, seed=seed)
        if predicted_flat(one, FLAT_EDGE["sigmoid"]) >= 0.75:
            yield Case("saturated_biases", one, frozenset({"saturated"}), EXPLODING, outcome=False)
    for lr, seed in product((0.5, 0.2), (0, 1)):
        yield Case(
            "saturated_biases", run(act=Softsign(), init=Xavier(), depth=2, lr=lr, seed=seed, max_steps=600)
        )


def recurrent_pixels() -> Iterator[Case]:
    pixels = Digits(sequence="pixels", train_size=400)
    for act, lr, width in product((Tanh(), Sigmoid()), (3e-3, 1e-3), (16, 20)):
        one = run(model=RNN(), act=act, data=pixels, optim=Adam(), lr=lr, width=width, max_steps=200)
        yield Case("recurrent_pixels", one, VANISHING)
    rows = Digits(sequence="rows")
    for model, lr in product((RNN("orthogonal"), LSTM(chrono=8), GRU("orthogonal")), (0.01, 0.004)):
        yield Case("recurrent_pixels", run(model=model, data=rows, optim=Adam(), lr=lr, seed=1))


def frozen() -> Iterator[Case]:
    for layers, depth, act in product((1, 2), (4, 6), (ReLU(), Tanh())):
        one = run(depth=depth, act=act, init=He() if act == ReLU() else Xavier(), lr=0.1)
        yield Case("frozen", one, twist=Twist(Frozen(layers)))


def spirals() -> Iterator[Case]:
    data = Spirals()
    for act, depth in product((Tanh(), ReLU(), ELU()), (3, 5)):
        init = He() if act == ReLU() else Xavier()
        one = run(
            act=act, depth=depth, init=init, optim=Adam(), lr=0.01, data=data, max_steps=1000, log_every=25
        )
        yield Case("spirals", one)
        yield Case(
            "spirals", run(act=act, depth=depth, init=init, lr=1e-7, data=data), frozenset({"not_learning"})
        )
    yield from by_theory("spirals", [
        run(act=a, depth=d, init=Default(), lr=0.1, data=data) for a, d in product((Tanh(), ReLU()), (18, 24))
    ])  # fmt: skip


def swinging() -> Iterator[Case]:
    swings = frozenset({"oscillating"})
    for optim, lr in ((RMSprop(), 0.3), (RMSprop(), 1.0), (AdamW(), 2.0), (SGD(0.9), 1.0), (SGD(0.98), 0.3)):
        for depth, act in product((1, 3), (ELU(), LeakyReLU(0.1))):
            one = run(depth=depth, act=act, init=LeCun(), optim=optim, lr=lr, batch_size=48, dead_every=100)
            yield Case("swinging", one, swings, THROWN)


def penalties() -> Iterator[Case]:
    nothing = frozenset({"not_learning"})
    for act, strength in product((ReLU(), Tanh()), (1.0, 3.0)):
        one = run(act=act, depth=2, init=Xavier(), reg=L2(strength), lr=0.05)
        yield Case("penalties", one, nothing, VANISHING)
    for act, depth in product((ReLU(), Tanh()), (2, 4)):
        yield Case(
            "penalties", run(act=act, depth=depth, init=Xavier(), clip=ClipByNorm(1e-6), lr=0.1), nothing
        )
    for reg, seed in product((L2(1e-4), WeightDecay(1e-3), Dropout(0.1)), (0, 1)):
        yield Case("penalties", run(depth=3, init=He(), reg=reg, lr=0.05, seed=seed))


def random_labels() -> Iterator[Case]:
    for depth, act in product((2, 4), (ReLU(), Tanh())):
        one = run(depth=depth, act=act, init=He() if act == ReLU() else Xavier(), lr=0.05)
        yield Case("random_labels", one, frozenset({"not_learning"}), twist=Twist(shuffled=True))


def foreign() -> Iterator[Case]:
    """Only gradients are shown: nobody says what the model is, nor whether it learns."""
    for act, init, depth in product((ReLU(), Tanh(), GELU()), (He(), LeCun()), (3, 6)):
        yield Case("foreign", run(act=act, init=init, depth=depth, lr=0.05), twist=Twist(), blind=True)
    for act, depth in product((Sigmoid(), ReLU(), Tanh()), (18, 22)):
        one = run(act=act, init=Default(), depth=depth, lr=0.05)
        yield from (replace(case, twist=Twist(), blind=True) for case in by_theory("foreign", [one]))


def faint_loss() -> Iterator[Case]:
    for scale, depth in product((1e-4, 1e-2, 1e4), (3, 5)):
        one = run(depth=depth, init=He(), optim=Adam(), lr=3e-3)
        yield Case("faint_loss", one, twist=Twist(scale=scale))


def noisy() -> Iterator[Case]:
    for batch, act, seed in product((3, 6), (Tanh(), ELU()), (0, 1)):
        yield Case(
            "noisy", run(depth=3, act=act, init=Xavier(), lr=0.02, batch_size=batch, max_steps=600, seed=seed)
        )


def pretrained() -> Iterator[Case]:
    for act, depth in product((Tanh(), ReLU()), (2, 3)):
        one = run(depth=depth, act=act, init=Xavier(), pretrain=Autoencoder(epochs=2), lr=0.1)
        yield Case("pretrained", one)
        yield Case("pretrained", replace(one, pretrain=Autoencoder(epochs=2, freeze=True)))


LOOKED_AT: tuple[Family, ...] = (
    activations, init_relu, convolutions, adam, norms, highways, exploding_starts, low_biases,
    saturated_biases, recurrent_pixels, frozen, spirals, swinging, penalties, random_labels, foreign,
    faint_loss, noisy, pretrained,
)  # fmt: skip
