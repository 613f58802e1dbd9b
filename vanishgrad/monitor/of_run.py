"""One run's share of a pass that was recorded for a whole stack of runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import nn

from vanishgrad.models.observer import Gate
from vanishgrad.monitor.recorded import Activated, Awaited, Recorded
from vanishgrad.monitor.residual_terms import Terms
from vanishgrad.monitor.tape import Pass
from vanishgrad.monitor.through_time import Timed

Own = Mapping[nn.Module, nn.Module]  # module of the model that was called -> the same of the run's own model


def of_run(stacked: Pass, row: int, own: Own) -> Pass:
    """What the run in `row` of the stack would have recorded alone; every gradient has arrived."""
    return Pass(
        outputs=[_recorded(one, row, own) for one in stacked.outputs],
        weights=[_recorded(one, row, own) for one in stacked.weights],
        terms=[
            Terms(own[one.fork], _awaited(one.direct, row), _awaited(one.into, row)) for one in stacked.terms
        ],
        timed=[_timed(one, row) for one in stacked.timed],
    )


def _recorded(one: Recorded, row: int, own: Own) -> Recorded:
    activated = one.activated
    if isinstance(activated, Activated):
        inputs = None if activated.inputs is None else activated.inputs[row]
        activated = Activated(own[activated.module], activated.outputs[row], inputs)
    return replace(one, awaited=_awaited(one.awaited, row), activated=activated)


def _awaited(one: Awaited, row: int) -> Awaited:
    if one.gradient is None:
        return Awaited(None)
    return Awaited(None, one.gradient.select(one.axis or 0, row))


def _timed(one: Timed, row: int) -> Timed:
    hidden, cell = ([_awaited(state, row) for state in states] for states in (one.hidden, one.cell))
    return replace(one, hidden=hidden, cell=cell, gates=[_gate(gate, row) for gate in one.gates])


def _gate(gate: Gate, row: int) -> Gate:
    return replace(gate, values=[value[row] for value in gate.values], inputs=None)
