"""Every threshold from both of its sides: just short of it nothing is found, just beyond it is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vanishgrad.diagnosis import Diagnosis, diagnose
from vanishgrad.diagnosis.describe import FLAT, flow
from vanishgrad.diagnosis.finding import severe, sure
from vanishgrad.diagnosis.layers import measured
from vanishgrad.diagnosis.record import has_learned, progress, tail

from .conftest import SETTING, make_tables

CHANCE = (0.1, 0.11)
FAILS: dict[str, Any] = {"accuracy": CHANCE, "drift": 0.1}
RELU = {**SETTING, "act": {"name": "relu"}}
TANH = {"act.bounded": True}
MARGIN = 0.01  # of the threshold, to either side


@dataclass(frozen=True)
class Threshold:
    """A number, what is found beyond it and not short of it, and a run that has this number.

    Arguments:
        finding: its name in the verdicts of a diagnosis.
        at: the threshold.
        run: makes a diagnosis of a run with the number.
        beyond: 1 where it is found above, -1 where it is found below.
        margin: of the threshold, to either side.
    """

    finding: str
    at: float
    run: Callable[[float], Diagnosis]
    beyond: int = 1
    margin: float = MARGIN


def failing(decades: float = 0.0, **columns: Any) -> Diagnosis:
    return diagnose(*make_tables(decades, **{**FAILS, **columns}))


def unknown(decades: float = 0.0, **columns: Any) -> Diagnosis:
    """Without metrics."""
    return diagnose(make_tables(decades, **columns)[0])


def moved(drift: float) -> Diagnosis:
    """A fall that is enough where the first layers stand still."""
    return unknown(4.0, weight_drift=lambda step, layer: drift if step else 0.0)


def blank(count: float) -> Diagnosis:
    """Weights of the first hidden layers, of ten, that start at 0."""
    return failing(4.0, weight_norm=lambda step, layer: 0.0 if layer <= count else 8.0)


def late_fall(begins: float) -> Diagnosis:
    """A fall that begins after a part of the run."""
    rows = lambda step, layer: 10 ** (0.0 if step < begins else 0.5 * (min(layer, 10) - 10))  # noqa: E731
    return failing(delta_norm=rows)


def through_time(decades: float, cells: float = math.nan) -> pd.DataFrame:
    t = np.arange(1, 31)
    place = (t - 30) / 29
    one = {
        "layer": 1,
        "t": t,
        "grad_norm": 10.0 ** (decades * place),
        "cell_grad_norm": 10.0 ** (cells * place),
    }
    return pd.concat([pd.DataFrame({"step": step} | one) for step in (0, 200, 400)])


def in_time(decades: float, cells: float = math.nan) -> Diagnosis:
    return diagnose(*make_tables(depth=1, **FAILS), time_gradients=through_time(decades, cells))


def steady(decades: float) -> Diagnosis:
    """Growth by four decades at one layer, and evenly by so many over all of them."""
    level = lambda step, layer: 10 ** (4.0 * (layer == 1) - decades / 9 * min(layer, 10))  # noqa: E731
    return failing(delta_norm=level)


def over_steps(growth: float, loss: float = 100.0) -> Diagnosis:
    """The gradient of the whole network at the last step, times what it was at first."""
    rows, metrics = make_tables(**FAILS, scale=1.0)
    rows["grad_norm"] = np.where(rows["step"] == rows["step"].max(), growth, 1.0)
    course = np.linspace(1.0, loss, len(metrics))
    return diagnose(rows, metrics.drop(columns=["train_accuracy", "val_accuracy"]).assign(
        train_loss=course, val_loss=course
    ))  # fmt: skip


def dead(setting: dict[str, Any] = RELU, **layers: float) -> Diagnosis:
    """Dead fractions of layers `l1`, `l2`, ...; `rest` of the others."""
    level = lambda step, layer: layers.get(f"l{layer}", layers.get("rest", 0.0))  # noqa: E731
    return diagnose(*make_tables(**FAILS, dead_fraction=level), setting=setting)


def flat(level: float, known: bool = True, **columns: Any) -> Diagnosis:
    """Saturation of layer 3."""
    tables = make_tables(**FAILS, saturation=lambda step, layer: level if layer == 3 else 0.0, **columns)
    return diagnose(tables[0], tables[1] if known else None, answers=TANH)


def flat_and_learning(layers: float) -> Diagnosis:
    return diagnose(
        *make_tables(saturation=lambda step, layer: 0.9 if layer <= layers else 0.0), answers=TANH
    )


def stalled(drift: float, furthest: float = 0.9) -> Diagnosis:
    """Where the first three layers end; the others are at `furthest`."""
    return diagnose(*make_tables(
        weight_drift=lambda step, layer: (drift if layer <= 3 else furthest) * (step == 400)
    ))  # fmt: skip


def swinging(
    swing: float = 1.0, update: float = 0.05, logged: int = 41, ups: float = 0.5, falls: float = 0.0
) -> Diagnosis:
    """A loss of 2 to the middle, up at a part of the steps; `falls` of it are lost in the second half."""
    rows, metrics = make_tables(**FAILS, steps=logged, update_ratio=update)
    number = np.arange(len(metrics))
    every = max(2, round(1 / ups))
    loss = 2.0 * (1 + swing * ((number % every == 0) - 0.5))
    loss = np.where(
        number >= len(metrics) // 3 + (len(metrics) - len(metrics) // 3) // 2, loss * (1 - falls), loss
    )
    loss[0] = 2.3
    return diagnose(rows, metrics.assign(train_loss=loss))


def gained(part: float) -> Diagnosis:
    """A part of the error taken away."""
    return diagnose(*make_tables(accuracy=(0.1, 0.1 + 0.9 * part), drift=0.1))


def shrunk(left: float) -> Diagnosis:
    return failing(4.0, weight_norm=lambda step, layer: 8.0 if step < 100 else 8.0 * left)


def thrown(drift: float) -> Diagnosis:
    """How far the layers went, where the signal is lost on the way."""
    fall = lambda step, layer: 10 ** (0.0 if step < 150 else 0.5 * (min(layer, 10) - 10))  # noqa: E731
    return failing(delta_norm=fall, weight_drift=lambda step, layer: drift * step / 400)


def trained_for(steps: float, epochs: int = 0) -> Diagnosis:
    rows, metrics = make_tables(2.5, steps=21, every=1, **FAILS)
    ends = rows["step"].max()
    return diagnose(
        rows.assign(step=(rows["step"] * steps / ends).astype(int)),
        metrics.assign(step=(metrics["step"] * steps / ends).astype(int), epoch=epochs),
    )


THRESHOLDS = {
    "vanishing": Threshold("vanishing", 2.0, failing),
    "vanishing, not known to fail": Threshold("vanishing", 3.0, unknown),
    "vanishing, layers that move": Threshold("vanishing", 0.01, moved, beyond=-1),
    "vanishing, layers that move need twice": Threshold(
        "vanishing", 6.0, lambda decades: unknown(decades, weight_drift=lambda step, layer: 0.1 * (step > 0))
    ),
    "vanishing, weights of 0": Threshold("vanishing", 5.5, blank, beyond=-1, margin=0.1),
    "vanishing, the last third": Threshold("vanishing", 345.0, late_fall, beyond=-1, margin=0.02),
    "vanishing through time": Threshold("vanishing through time", 3.0, in_time),
    "vanishing through time, the cell": Threshold(
        "vanishing through time", 3.0, lambda decades: in_time(9.0, decades)
    ),
    "exploding": Threshold("exploding", 2.0, lambda decades: failing(-decades)),
    "exploding, not a layer alone": Threshold("exploding", 0.5, steady),
    "exploding, not known to fail": Threshold("exploding", 3.0, lambda decades: unknown(-decades)),
    "exploding through time": Threshold("exploding through time", 3.0, lambda decades: in_time(-decades)),
    "exploding over steps": Threshold("exploding", 1000.0, over_steps),
    "exploding over steps, the loss": Threshold("exploding", 2.0, lambda loss: over_steps(2000.0, loss)),
    "dead units of a layer": Threshold("dead_units", 0.9, lambda part: dead(l5=part)),
    "dead units of all": Threshold("dead_units", 0.6, lambda part: dead(l1=0.3, rest=(10 * part - 0.3) / 9)),
    "dead units of the first": Threshold("dead_units", 0.35, lambda part: dead(l1=part)),
    "dead units, a small batch": Threshold(
        "dead_units", 15.5, lambda size: dead({**RELU, "batch_size": round(size)}, l5=0.95), margin=0.03
    ),
    "saturated": Threshold("saturated", 0.6, flat),
    "saturated, not known to fail": Threshold("saturated", 0.8, lambda level: flat(level, known=False)),
    "saturated, half of the layers": Threshold("saturated", 5.0, flat_and_learning),
    "stalled": Threshold("stalled_layers", 0.01, stalled, beyond=-1),
    "stalled, behind": Threshold("stalled_layers", 0.15, lambda drift: stalled(0.005, drift)),
    "oscillating": Threshold("oscillating", 0.25, swinging),
    "oscillating, long steps": Threshold("oscillating", 0.01, lambda update: swinging(update=update)),
    "oscillating, losses": Threshold(
        "oscillating", 10.5, lambda logged: swinging(logged=round(logged)), margin=0.04
    ),
    "oscillating, ups": Threshold("oscillating", 0.183, lambda part: swinging(ups=part), margin=0.09),
    "oscillating, falling": Threshold(
        "oscillating", 0.25, lambda part: swinging(0.3, falls=part), beyond=-1, margin=0.05
    ),
    "not learning": Threshold("not_learning", 0.1, gained, beyond=-1),
    "weights pulled to 0": Threshold("vanishing", 0.1, shrunk),
    "weights thrown": Threshold("vanishing", 5.0, thrown, beyond=-1),
    "enough steps": Threshold("vanishing", 199.5, trained_for, margin=0.003),
    "enough epochs": Threshold(
        "vanishing", 2.5, lambda epochs: trained_for(100, round(epochs)), margin=0.2
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", THRESHOLDS)
def test_what_is_short_of_it_is_not_found_and_what_is_beyond_is(name: str) -> None:
    threshold = THRESHOLDS[name]
    step = threshold.beyond * threshold.margin * threshold.at
    short, beyond = threshold.run(threshold.at - step), threshold.run(threshold.at + step)
    verdicts = [[finding.verdict for finding in found] for found in (short, beyond)]
    assert [threshold.finding in found for found in verdicts] == [False, True], verdicts


def test_growth_over_the_steps_is_the_last_gradient_over_the_first() -> None:
    """All layers together: of eleven that grow alike the root of the sum of squares grows alike."""
    (found,) = (f for f in over_steps(4000.0, loss=50.0) if f.finding == "exploding")
    assert found.evidence["growth_over_steps"] == pytest.approx(4000.0)
    assert found.evidence["loss_growth"] == pytest.approx(50.0)
    assert found.first_step == 400
    assert "4e+03 times what it was at first, the loss 50 times" in found.sentence


def test_the_whole_gradient_is_the_root_of_the_sum_of_squares() -> None:
    """One layer that grows by 2000 beside ten that do not: the first is sqrt(11), the last 2000."""
    rows, metrics = make_tables(**FAILS)
    last = (rows["step"] == 400) & (rows["layer"] == 4)
    rows.loc[last, "grad_norm"] = 4000.0
    course = np.linspace(1.0, 9.0, len(metrics))
    metrics = metrics.drop(columns=["train_accuracy", "val_accuracy"]).assign(
        train_loss=course, val_loss=course
    )
    (found,) = (f for f in diagnose(rows, metrics) if f.finding == "exploding")
    assert found.evidence["growth_over_steps"] == pytest.approx(math.sqrt(4000.0**2 + 10) / math.sqrt(11))


def test_the_starved_layers_have_less_than_a_tenth_of_the_largest_gradient() -> None:
    level = lambda share: lambda step, layer: 1e-3 if layer <= 4 else share if layer == 5 else 1.0  # noqa: E731
    below, above = failing(delta_norm=level(0.099)), failing(delta_norm=level(0.101))
    assert [next(f for f in found if f.finding == "vanishing").layers for found in (below, above)] == [
        (1, 2, 3, 4, 5), (1, 2, 3, 4)
    ]  # fmt: skip


def test_severity_goes_from_a_half_at_the_threshold_to_1_at_three_times() -> None:
    assert [severe(x, 2.0, certain=True) for x in (2.0, 3.0, 4.0, 6.0, 9.0)] == [0.5, 0.625, 0.75, 1.0, 1.0]
    assert severe(4.0, 2.0, certain=False) == pytest.approx(0.8 * 0.75)
    assert severe(0.7, 0.6, certain=True, full=1.0) == pytest.approx(0.5 + 0.5 / 4)


def test_confidence_goes_from_a_half_at_the_threshold_to_1_at_twice() -> None:
    assert [sure(x, 2.0) for x in (2.0, 3.0, 4.0, 9.0)] == [0.5, 0.75, 1.0, 1.0]
    assert sure(0.7, 0.6, full=1.0) == pytest.approx(0.5 + 0.5 / 4)


@pytest.mark.parametrize(
    "accuracy, loss, error, learned",
    [
        ((0.2, 0.399), (math.nan, math.nan), (math.nan, math.nan), False),  # a quarter of 0.8 is 0.2
        ((0.2, 0.401), (math.nan, math.nan), (math.nan, math.nan), True),
        ((math.nan, math.nan), (2.0, 1.01), (math.nan, math.nan), False),
        ((math.nan, math.nan), (2.0, 0.99), (math.nan, math.nan), True),
        ((math.nan, math.nan), (2.0, 0.1), (0.8, 0.601), False),  # ignorance counts before the loss
        ((math.nan, math.nan), (2.0, 1.9), (0.8, 0.599), True),
        ((0.0, 0.0), (math.nan, math.nan), (math.nan, math.nan), False),
        ((math.nan, math.nan), (math.nan, math.nan), (0.0, 0.0), False),  # ignorance loses nothing
    ],
)  # fmt: skip
def test_learned_from_a_quarter_of_the_error_or_half_of_the_loss(
    accuracy: tuple[float, float], loss: tuple[float, float], error: tuple[float, float], learned: bool
) -> None:
    assert has_learned(accuracy, loss, error) is learned


def test_progress_asks_the_error_then_the_accuracy_then_the_loss() -> None:
    nan = (math.nan, math.nan)
    assert progress((0.2, 0.6), (2.0, 1.5), (0.8, 0.2)) == pytest.approx(0.75)
    assert progress((0.2, 0.6), (2.0, 1.5)) == pytest.approx(0.5)
    assert progress(nan, (2.0, 1.5)) == pytest.approx(0.25)
    assert math.isnan(progress(nan, (0.0, 1.5)))


def test_the_tail_is_the_last_tenth_of_what_is_known() -> None:
    values = np.array([*range(40), math.nan], dtype=float)
    assert tail(values) == pytest.approx((36 + 37 + 38 + 39) / 4)
    assert tail(values[:9]) == 8.0  # one value at least
    assert tail(values, first=True) == 0.0
    assert math.isnan(tail(np.array([math.nan])))


def test_a_profile_is_flat_under_a_twentieth_of_a_decade_per_layer() -> None:
    assert FLAT == 0.05
    words = [flow(measured(make_tables(9 * slope)[0]), "start").slope for slope in (0.0499, 0.0501)]
    assert words == pytest.approx([0.0499, 0.0501])
