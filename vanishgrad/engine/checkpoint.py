"""What a checkpoint must hold: read without running code, and held against the run before it is used."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vanishgrad.choices.model.recurrent import Recurrent
from vanishgrad.errors import short
from vanishgrad.run import Run
from vanishgrad.schema import COUNT, NUMBER, TEXT, Fault, Misfit, Object, OrNull, opened

LARGEST = 2**40  # bytes
WEIGHTS = Object({"step": COUNT, "model": Object(), "vocabulary": TEXT}, ("step", "model"))
WHOLE = Object(
    {
        "generators": Object({"done": COUNT}, ("order", "done")),
        "metrics": Object(
            {"last": Object(others=OrNull(NUMBER)), "best": Object(others=OrNull(NUMBER)), "lowest": NUMBER},
            ("last", "best", "lowest"),
        ),
        "optimizer": Object(),
    },
    ("generators", "metrics", "optimizer"),
)


def stored(path: Path) -> dict[str, Any]:
    """The tensors and numbers of a file of weights, on the CPU; code in it is refused, not run.

    Raises:
        FileNotFoundError: when there is no such file.
        Fault: when it is not such a file.
    """
    with opened(path, LARGEST) as file:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of torch, about formats of long ago
                state = torch.load(file, map_location="cpu", weights_only=True)
        except (Exception, MemoryError) as error:  # whatever a decoder makes of bytes that are no checkpoint
            raise Fault(f"is not readable: {_first_line(error)}") from None
    WEIGHTS.check(state, "")
    return dict(state)


def _first_line(error: BaseException) -> str:
    """Of what torch says, without its advice."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def check_weights(model: nn.Module, state: Mapping[str, Any]) -> None:
    """Refuse weights that are not those of a network.

    Raises:
        Fault: with the first tensor that does not fit.
    """
    own, given = model.state_dict(), state["model"]
    for name, tensor in own.items():
        if name not in given:
            raise Misfit(f"model has no {name}, which the network of run.json has")
        if isinstance(tensor, Tensor):
            _refuse_other(f"model.{name}", given[name], tensor)
        else:  # what a module of ours remembers beside its tensors is a count
            COUNT.check(given[name], f"model.{name}")
    more = [name for name in given if name not in own]
    if more:
        raise Misfit(f"model has {short(more[0])}, which the network of run.json has not")


def check_state(run: Run, model: nn.Module, state: Mapping[str, Any], total: int, per_epoch: int) -> None:
    """Refuse a checkpoint that training cannot go on from.

    Arguments:
        run: the setting.
        model: its network.
        state: of the checkpoint, whose weights fit.
        total: steps of the run; `per_epoch` batches of an epoch.

    Raises:
        Fault: with the first entry that does not fit.
    """
    WHOLE.check(state, "")
    _refuse_beyond("step", state["step"], total)
    _refuse_beyond("generators.done", state["generators"]["done"], per_epoch)
    for name, tensor in state["model"].items():
        if isinstance(tensor, Tensor) and not tensor.isfinite().all():
            raise Misfit(f"model.{name} has numbers that are not finite: there is nothing to go on with")
    _check_generator(state["generators"]["order"])
    _check_optimizer(run.optim.start([one.detach() for one in model.parameters()]), state["optimizer"])
    if run.data.running_text:
        _check_carried(run, model, state.get("carried"))


def _refuse_beyond(place: str, value: int, most: int) -> None:
    if value > most:
        raise Misfit(f"{place} must be at most {most}, is {value}")


def _refuse_other(place: str, given: Any, own: Tensor) -> None:
    """Refuse what is not a tensor of the shape, and of numbers as `own` has them."""
    if not isinstance(given, Tensor) or given.layout != torch.strided:
        raise Misfit(f"{place} must be a tensor, is {short(given)}")
    if given.shape != own.shape:
        raise Misfit(f"{place} must have the shape {tuple(own.shape)}, has {tuple(given.shape)}")
    if given.is_floating_point() != own.is_floating_point() or given.is_complex():
        raise Misfit(f"{place} must be of {own.dtype}, is of {given.dtype}")


def _check_generator(order: Any) -> None:
    try:
        torch.Generator().set_state(order)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise Misfit(f"generators.order is not the state of a generator: {_first_line(error)}") from None


def _check_optimizer(memory: Mapping[str, list[Tensor]], given: Mapping[str, Any]) -> None:
    for name, own in memory.items():
        kept = given.get(name)
        if not isinstance(kept, list) or not 0 < len(kept) <= len(own):
            raise Misfit(f"optimizer.{name} must be a list of {len(own)} tensors, is {short(kept)}")
        for number, (one, tensor) in enumerate(zip(kept, own[-len(kept) :], strict=True)):
            _refuse_other(f"optimizer.{name}[{number}]", one, tensor)


@torch.no_grad()
def _check_carried(run: Run, model: nn.Module, carried: Any) -> None:
    """The state that a text is read on with has the shapes of one that the network leaves."""
    assert isinstance(model, Recurrent)
    places = int(run.batch_size)
    _, left = model.unroll(torch.zeros(places, 1, dtype=torch.long), None)
    if carried is None:
        return  # of a checkpoint before the first step
    if not isinstance(carried, list) or [*map(_count, carried)] != [*map(len, left)]:
        raise Misfit(f"carried must be the state of {len(left)} layers, is {short(carried)}")
    for number, (parts, own) in enumerate(zip(carried, left, strict=True)):
        for part, tensor in zip(parts, own, strict=True):
            _refuse_other(f"carried[{number}]", part, tensor)


def _count(parts: Any) -> int:
    return len(parts) if isinstance(parts, tuple | list) else -1
