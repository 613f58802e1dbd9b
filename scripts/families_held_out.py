"""The families that are held out from tuning; what is called what: `labelled_families.py`."""

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

from vanishgrad.choices.activation import (
    ELU,
    GELU,
    SELU,
    Erf,
    LeakyReLU,
    Mish,
    PReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softplus,
    Softsign,
    Tanh,
)
from vanishgrad.choices.clipping import AGC, ClipByNorm, ClipByValue
from vanishgrad.choices.data import Adding, Digits, Spirals
from vanishgrad.choices.initialization import (
    Critical,
    Default,
    Gaussian,
    He,
    LeCun,
    Orthogonal,
    Xavier,
    Zeros,
)
from vanishgrad.choices.loss import MSE
from vanishgrad.choices.model.feedforward import CNN
from vanishgrad.choices.model.recurrent import GRU, LSTM, RNN
from vanishgrad.choices.normalization import BatchNorm, LayerNorm
from vanishgrad.choices.optimizer import SGD, Adagrad, Adam, AdamW, RMSprop
from vanishgrad.choices.pretraining import DenoisingAutoencoder
from vanishgrad.choices.regularization import L1, Dropout, ElasticNet
from vanishgrad.choices.residual import DenseShortcut, Fixup, HighwayShortcut, IdentityShortcut

DEAD, SATURATED, STALLED = frozenset({"dead_units"}), frozenset({"saturated"}), frozenset({"stalled_layers"})
SWINGS, NOTHING = frozenset({"oscillating"}), frozenset({"not_learning"})


def smooth() -> Iterator[Case]:
    acts = (Softplus(), Mish(), PReLU(), LeakyReLU(0.3))
    deep = [
        run(act=act, depth=d, init=Default(), lr=lr) for act, d, lr in product(acts, (14, 19), (0.1, 0.03))
    ]
    yield from by_theory("smooth", deep)
    for act, depth in product((Mish(), SiLU(), PReLU(), LeakyReLU(0.3)), (2, 5)):
        yield Case("smooth", run(act=act, depth=depth, init=Critical(), lr=0.06))


def widths() -> Iterator[Case]:
    for width, lr in product((10, 48), (0.1, 0.04)):
        for act, depth in ((Sigmoid(), 9), (Sigmoid(), 15), (Tanh(), 20), (ReLU(), 17)):
            yield from by_theory("widths", [run(act=act, depth=depth, width=width, init=Default(), lr=lr)])
        for act, init in ((Tanh(), Orthogonal()), (ReLU(), He("uniform")), (Tanh(), Xavier("uniform"))):
            yield Case("widths", run(act=act, depth=4, width=width + 12, init=init, lr=lr))


def contractions() -> Iterator[Case]:
    runs = [run(act=a, depth=d, init=Gaussian(s, b), lr=0.08) for a, s, b, d in
            product((Erf(), Softsign()), (0.4, 0.8), (0.0, 0.1), (4, 17))]  # fmt: skip
    yield from by_theory("contractions", runs)
    for act, depth in product((SELU(), Erf()), (4, 9)):
        yield Case("contractions", run(act=act, depth=depth, init=Critical(), lr=0.04))


def images() -> Iterator[Case]:
    for act, depth in product((Tanh(), Sigmoid()), (16, 21)):
        one = run(model=CNN(2), act=act, depth=depth, width=6, init=Default(), lr=0.1)
        yield Case("images", one, VANISHING)
    for residual, depth, lr in product((IdentityShortcut(), Fixup()), (5, 9), (0.01, 0.004)):
        norm = {} if isinstance(residual, Fixup) else {"norm": BatchNorm()}
        one = run(
            model=CNN(2), depth=depth, width=8, init=He(), residual=residual, optim=Adam(), lr=lr, **norm
        )
        yield Case("images", one)


def descents() -> Iterator[Case]:
    for optim, lr in ((AdamW(), 1e-3), (RMSprop(), 1e-3), (SGD(0.9), 0.02), (Adagrad(), 0.01)):
        yield from by_theory("descents", [run(act=Sigmoid(), depth=16, init=LeCun(), optim=optim, lr=lr)])
        for act, depth in product((ReLU(), Tanh(), GELU()), (2, 5)):
            yield Case(
                "descents",
                run(act=act, depth=depth, init=He() if act == ReLU() else LeCun(), optim=optim, lr=lr),
            )


def normalized() -> Iterator[Case]:
    for act, norm, depth in product(
        (GELU(), Softsign(), ELU(), Sigmoid()), (BatchNorm(), LayerNorm()), (6, 9)
    ):
        yield Case("normalized", run(act=act, norm=norm, depth=depth, init=Xavier(), optim=SGD(0.9), lr=0.03))


def shortcuts_of_all_kinds() -> Iterator[Case]:
    for residual, act, depth in product(
        (DenseShortcut(), Fixup(), HighwayShortcut(-2.0)), (GELU(), ReLU()), (7, 11)
    ):
        yield Case("shortcuts_of_all_kinds", run(residual=residual, act=act, depth=depth, init=He(), lr=0.04))


def blown_up() -> Iterator[Case]:
    for act, sigma, depth in product((SELU(), LeakyReLU(0.2)), (2.4, 3.2), (13, 18)):
        one = run(act=act, depth=depth, init=Gaussian(sigma), lr=1e-4, clip=ClipByNorm(0.05))
        yield from by_theory("blown_up", [one], healthy=False)
    for act, sigma, depth in product((Tanh(),), (6.0, 9.0), (18, 22)):
        one = run(act=act, depth=depth, init=Gaussian(sigma), optim=Adam(), lr=1e-4)
        yield from by_theory("blown_up", [one], healthy=False)
    for act, lr, depth in product((ELU(), Softplus()), (4.0, 15.0), (1, 4)):
        yield Case(
            "blown_up", run(act=act, depth=depth, init=LeCun(), lr=lr, loss=MSE()), DIVERGED, EXPLODING
        )


def killed() -> Iterator[Case]:
    for layers, part, seed in product(((3,), (2, 3)), (0.97, 1.0), (2, 3)):
        one = run(depth=5, init=He(), optim=Adam(), lr=2e-3, seed=seed, width=36)
        yield Case("killed", one, DEAD, twist=Twist(Lowered(layers, part, -45.0)), outcome=False)
    for lr, depth, seed in product((0.1, 0.25), (2, 4), (4, 5)):
        one = run(
            depth=depth,
            init=LeCun(),
            optim=RMSprop(),
            lr=lr,
            seed=seed,
            width=32,
            dead_every=100,
            batch_size=64,
        )
        yield Case("killed", one, DEAD, SWINGS)
    for bias, seed in product((-0.8, -0.5), (2, 3)):
        one = run(depth=4, init=He(), optim=Adam(), lr=2e-3, seed=seed, width=36)
        yield Case("killed", one, twist=Twist(Lowered((1, 2, 3, 4), 0.5, bias)))


def flat_ends() -> Iterator[Case]:
    for act, sigma, depth in product((Erf(), Softsign(), Sigmoid()), (25.0, 60.0, 120.0), (2, 3)):
        one = run(act=act, init=Gaussian(sigma), depth=depth, lr=0.005)
        if predicted_flat(one, FLAT_EDGE[act.name]) >= 0.75:
            yield Case("flat_ends", one, SATURATED, EXPLODING, outcome=False)
    for act, lr, depth in product((Erf(), Softsign(), Tanh()), (0.3, 0.1), (1, 3)):
        yield Case("flat_ends", run(act=act, init=LeCun(), depth=depth, lr=lr, max_steps=500))


def over_time() -> Iterator[Case]:
    for length, act in product((40, 70), (Tanh(), ReLU())):
        data = Adding(length=length, train_size=1000, held_out=200)
        one = run(model=RNN(), act=act, init=Default(), optim=RMSprop(), lr=1e-3, data=data, width=20)
        yield Case("over_time", one, VANISHING)
    for length, sigma in product((25, 40), (3.0, 4.0)):
        data = Adding(length=length, train_size=1000, held_out=200)
        one = run(
            model=RNN(), act=ReLU(), init=Gaussian(sigma), lr=1e-6, clip=ClipByNorm(1e-3), data=data, width=20
        )
        yield Case("over_time", one, EXPLODING, DIVERGED)
    rows = Digits(sequence="rows")
    for model, optim in product((RNN(), LSTM(2.0), GRU()), (RMSprop(), AdamW())):
        yield Case("over_time", run(model=model, data=rows, optim=optim, lr=6e-3, width=28))


def partly_frozen() -> Iterator[Case]:
    for layers, depth, act in product((1, 3), (5, 7), (GELU(), ELU())):
        one = run(
            depth=depth,
            act=act,
            init=He(),
            norm=LayerNorm() if depth == 7 else BatchNorm(),
            optim=Adam(),
            lr=4e-3,
        )
        yield Case("partly_frozen", one, twist=Twist(Frozen(layers)))


def pretrained_denoising() -> Iterator[Case]:
    for act, depth in product((Sigmoid(), Softsign()), (1, 2)):
        pretrain = DenoisingAutoencoder(epochs=2)
        yield Case(
            "pretrained_denoising", run(depth=depth, act=act, init=Xavier(), pretrain=pretrain, lr=0.4)
        )


def weighted_losses() -> Iterator[Case]:
    for scale, act in product((1e-5, 1e-2, 1e2, 1e5), (Tanh(), ELU())):
        one = run(depth=4, act=act, init=LeCun(), norm=BatchNorm() if act == ELU() else LayerNorm(), lr=0.08)
        yield Case("weighted_losses", one, twist=Twist(scale=scale))
    for scale, act in product((1e-4, 1e4), (ReLU(), Softsign())):
        one = run(act=act, depth=18, init=Default(), lr=0.05)
        yield from (replace(case, twist=Twist(scale=scale)) for case in by_theory("weighted_losses", [one]))


def to_the_end() -> Iterator[Case]:
    for act, depth, size in product((GELU(), Softsign(), ReLU()), (2, 5), (40, 80)):
        one = run(depth=depth, act=act, init=He() if act == ReLU() else LeCun(), optim=Adam(), lr=0.01,
                  max_steps=1000, log_every=50, eval_every=500, data=Digits(train_size=size),
                  batch_size="full")  # fmt: skip
        yield Case("to_the_end", one)


def thin_batches() -> Iterator[Case]:
    for batch, act, reg in product((2, 5), (ReLU(), Tanh()), (Dropout(0.1), ElasticNet())):
        one = run(depth=2, act=act, init=Xavier(), lr=0.015, batch_size=batch, max_steps=700, reg=reg)
        yield Case("thin_batches", one)


def left_behind() -> Iterator[Case]:
    for depth, act in product((5, 7, 9), (ELU(), GELU())):
        slow = Twist(rate=lambda layer, third=depth // 3: 1e-5 if layer <= third else 1.0)
        one = run(depth=depth, act=act, init=He(), optim=Adam(), lr=3e-3)
        yield Case("left_behind", one, STALLED, twist=slow, outcome=False)


def nothing_moves() -> Iterator[Case]:
    for act, depth in product((GELU(), ELU(), Softplus()), (2, 4)):
        yield Case("nothing_moves", run(act=act, depth=depth, init=Zeros()), NOTHING)
        yield Case("nothing_moves", run(act=act, depth=depth, init=LeCun(), optim=Adam(), lr=1e-9), NOTHING)
    for act, clip in product((ELU(), Tanh()), (ClipByValue(1e-9), AGC(1e-7))):
        yield Case("nothing_moves", run(act=act, depth=3, init=LeCun(), clip=clip, lr=0.1), NOTHING)
    for act, strength in product((ELU(), Tanh()), (0.3, 1.0)):
        yield Case("nothing_moves", run(act=act, depth=2, init=LeCun(), reg=L1(strength), lr=0.02), NOTHING)
    for act, depth in product((ELU(), GELU()), (1, 3)):
        one = run(depth=depth, act=act, init=LeCun(), optim=Adam(), lr=1e-3)
        yield Case("nothing_moves", one, NOTHING, twist=Twist(shuffled=True))


def unknown_models() -> Iterator[Case]:
    """Only gradients are shown: nobody says what the model is, nor whether it learns."""
    for act, depth, norm in product((ELU(), Softsign(), ReLU()), (2, 7), (BatchNorm(), LayerNorm())):
        yield Case(
            "unknown_models",
            run(act=act, init=Xavier(), depth=depth, norm=norm, lr=0.08),
            twist=Twist(),
            blind=True,
        )
    for act, depth in product((Softsign(), ELU(), Sigmoid()), (17, 21)):
        one = run(act=act, init=Default(), depth=depth, lr=0.06)
        yield from (replace(case, twist=Twist(), blind=True) for case in by_theory("unknown_models", [one]))
    for layers in ((1,), (2, 3)):
        one = run(depth=4, init=He(), lr=0.05, width=36)
        yield Case(
            "unknown_models", one, DEAD, twist=Twist(Lowered(layers, 1.0, -50.0)), blind=True, outcome=False
        )
    for act, sigma in ((Tanh(), 50.0), (Sigmoid(), 150.0)):
        one = run(act=act, init=Gaussian(sigma), depth=3, lr=0.005)
        yield Case("unknown_models", one, SATURATED, EXPLODING, twist=Twist(), blind=True, outcome=False)


def on_a_plane() -> Iterator[Case]:
    data = Spirals(classes=2, points=800)
    for act, depth in product((GELU(), Mish(), Tanh()), (3, 5)):
        one = run(
            act=act,
            depth=depth,
            init=LeCun(),
            optim=AdamW(),
            lr=0.015,
            data=data,
            max_steps=900,
            log_every=25,
        )
        yield Case("on_a_plane", one)


def thrown_about() -> Iterator[Case]:
    for optim, lr in ((Adagrad(), 5.0), (Adam(), 2.0), (SGD(0.95), 0.4), (SGD(0.8), 1.0), (RMSprop(), 0.5)):
        for depth, act in product((1, 2), (GELU(), PReLU(0.1))):
            yield Case(
                "thrown_about",
                run(depth=depth, act=act, init=Xavier(), optim=optim, lr=lr, batch_size=40, dead_every=100),
                SWINGS,
                THROWN,
            )


HELD_OUT: tuple[Family, ...] = (
    smooth, widths, contractions, images, descents, normalized, shortcuts_of_all_kinds, blown_up, killed,
    flat_ends, over_time, partly_frozen, pretrained_denoising, weighted_losses, to_the_end, thin_batches,
    left_behind, nothing_moves, unknown_models, on_a_plane, thrown_about,
)  # fmt: skip
