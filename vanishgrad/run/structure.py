"""What two runs must share to be trained as one stacked computation."""

from __future__ import annotations

from dataclasses import replace

from vanishgrad.choices.clipping import NoClip
from vanishgrad.choices.initialization import Default
from vanishgrad.choices.optimizer import SGD
from vanishgrad.choices.regularization import NoReg
from vanishgrad.choices.schedule import ConstantLR
from vanishgrad.run.experiment import Run

Structure = tuple[Run, type, type]


def structure(run: Run) -> Structure:
    """What is left of `run` without the numbers and initial values in which the runs of a stack may differ.

    Those are the seed, the initialization, the learning rate with its schedule, the threshold of clipping,
    the strength of a penalty and the rate of dropout, the momentum of SGD, and the name. Runs with equal,
    hashable structures have the same modules, batches of the same size and the same steps to measure.
    """
    return skeleton(run), type(run.clip), type(run.reg)


def skeleton(run: Run) -> Run:
    """The setting with defaults in place of all that a stack can vary, with its clipping and penalty."""
    return replace(
        run, seed=0, init=Default(), lr=None, warmup=0, schedule=ConstantLR(), clip=NoClip(), reg=NoReg(),
        optim=SGD() if isinstance(run.optim, SGD) else run.optim, name=None,
    )  # fmt: skip
