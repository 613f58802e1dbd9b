"""A hook on a module that is nobody else's business."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils.hooks import RemovableHandle

from vanishgrad.diagnosis import Diagnosis, OnlineDiagnosis
from vanishgrad.errors import at_least, instance_of, require
from vanishgrad.folders import new_folder, vacate
from vanishgrad.measure.activations import activation_of, is_bounded
from vanishgrad.measure.measurement import Measurement
from vanishgrad.modules.weights import WeightMatrix, weight_matrices
from vanishgrad.records import (
    GRADIENT_COLUMNS,
    GRADIENTS_FILE,
    METRIC_COLUMNS,
    METRICS_FILE,
    SCHEMA_VERSION,
    Cell,
    Table,
    frame,
    write_diagnosis,
    write_run,
)

if TYPE_CHECKING:
    import pandas as pd


class Hook:
    """A hook that copies and pickles of the model do not take along."""

    def __init__(self, call: Callable[..., None] | None = None) -> None:
        self._call = call

    def __call__(self, *args: Any) -> None:
        if self._call is not None:
            self._call(*args)

    def __reduce__(self) -> tuple[type[Hook], tuple[()]]:
        return Hook, ()


def in_order_of_execution(
    matrices: Sequence[WeightMatrix], entered: Mapping[nn.Module, int]
) -> list[WeightMatrix]:
    """The same matrices with layers numbered in the order in which a pass entered their modules.

    A module that is never called itself, such as the output projection of torch's attention, follows the one
    that was registered before it.
    """
    places: dict[nn.Module, int] = {}
    last = -1
    for matrix in matrices:
        last = places[matrix.module] = entered.get(matrix.module, last)
    numbers = {module: number for number, module in enumerate(sorted(places, key=places.__getitem__), 1)}
    return [replace(matrix, layer=numbers[matrix.module]) for matrix in matrices]


LAYER, NORM = GRADIENT_COLUMNS.index("layer"), METRIC_COLUMNS.index("grad_norm")


class GradientMonitor:
    """Records every layer's gradients while a model trains; a context around any training loop.

    A step is one step of a `torch.optim.Optimizer` that has parameters of the model: accumulated backward
    passes give one row per layer, and so do several optimizers that share a backward pass. Gradients are
    measured as the optimizer receives them, `delta_norm` from the loss as it was scaled; with a closure, at
    its first call. When one graph is walked back several times, `delta_norm` is that of the last time. Passes
    without a backward pass and steps that are skipped leave no trace, and the training itself is left as it
    is, bit by bit.

    Layers count in the order in which the first measured pass enters them. Construct the monitor when the
    model has its device and type: weights are compared with those of this moment.

    Arguments:
        model: any module.
        every: optimizer steps between measured ones; step 0 is the first.

    Raises:
        SettingError: when `every` is not positive, or the model has no weight matrix (yet).

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from vanishgrad import GradientMonitor
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> x, y = torch.randn(16, 4), torch.randn(16, 1)
        >>> with GradientMonitor(model, every=10) as monitor:
        ...     for _ in range(20):
        ...         optimizer.zero_grad()
        ...         nn.functional.mse_loss(model(x), y).backward()
        ...         _ = optimizer.step()
        >>> monitor.frame()[["step", "layer", "name"]].values.tolist()
        [[0, 1, '0'], [0, 2, '2'], [10, 1, '0'], [10, 2, '2']]
    """

    def __init__(self, model: nn.Module, every: int = 10) -> None:
        instance_of("GradientMonitor", model, nn.Module, "any torch.nn.Module")
        at_least("every", every, 1)
        kind = type(model).__name__
        lazy = any(is_lazy(parameter) for parameter in model.parameters())
        require(not lazy, f"model={kind}: run one batch through its lazy modules before monitoring")
        require(bool(weight_matrices(model)), f"model={kind}: has no weight matrix to measure")
        self.model, self.every, self.step = model, every, 0
        self._measurement = Measurement(model, listen=True)
        self._own = set(model.parameters())
        self._trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._numbered = hasattr(model, "layer_of")
        self._entered: dict[nn.Module, int] = {}
        self._stepped: list[Optimizer] = []  # with the gradients that are there now
        self._measured: int | None = None  # the step whose gradients were measured, until the next begins
        self._gradients: dict[int, list[tuple[Cell, ...]]] = {}
        self._metrics: dict[int, tuple[Cell, ...]] = {}
        self._handles: list[RemovableHandle] = []
        self._saved = set[Path]()
        self._started = time.perf_counter()

    def __enter__(self) -> GradientMonitor:
        self._handles = [
            self.model.register_forward_pre_hook(Hook(self._before_forward)),
            self.model.register_forward_hook(Hook(self._after_forward), always_call=True),
            register_optimizer_step_pre_hook(self._before_step),
            register_optimizer_step_post_hook(self._after_step),
        ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._measurement.tape.stop()
        self._measurement.tape.clear()

    @property
    def due(self) -> bool:
        """Whether the next optimizer step is measured."""
        return self.step % self.every == 0

    def frame(self) -> pd.DataFrame:
        """The measurements so far, with the columns of gradients.csv."""
        return frame(chain.from_iterable(self._gradients.values()), GRADIENT_COLUMNS)

    def diagnose(self) -> Diagnosis:
        """What is wrong with the model so far, with evidence and remedies."""
        watch = OnlineDiagnosis(self._setting, answers=self._answers)
        for step, rows in self._gradients.items():
            watch.add(rows, [self._metrics[step]])
        return watch.diagnosis("diverged" if self._diverged else "running")

    def save(self, folder: Path | str, *, overwrite: bool = False) -> Path:
        """Write a run folder that `vanishgrad report` reads; returns it.

        Arguments:
            folder: its path; saved in again, it is brought up to date.
            overwrite: whether a run that is in it already goes, where this monitor did not write it.

        Raises:
            SettingError: when it holds a run or a sweep, is being written by another process or cannot be
                written. The measurements stay: save them elsewhere.
        """
        target = Path(folder)
        own = target.resolve() in self._saved
        with new_folder("folder", target, "run", overwrite=overwrite or own):
            if overwrite and not own:
                vacate(target, "run")
            self._write_folder(target)
        self._saved.add(target.resolve())
        return target

    def _write_folder(self, target: Path) -> None:
        for file, columns, rows in (
            (GRADIENTS_FILE, GRADIENT_COLUMNS, chain.from_iterable(self._gradients.values())),
            (METRICS_FILE, METRIC_COLUMNS, self._metrics.values()),
        ):
            table = Table(target / file, columns)
            table.append(rows)
            table.close()
        write_run(target, self._record(target.resolve().name))
        write_diagnosis(target, self.diagnose())

    @property
    def _setting(self) -> dict[str, Any]:
        """What is known of the model."""
        activation = activation_of(self.model)
        act = {} if activation is None else {"act": {"name": activation}}
        return {"model": {"name": type(self.model).__name__}} | act

    @property
    def _answers(self) -> dict[str, bool]:
        """What the slopes say of its activations."""
        bounded = is_bounded(self.model)
        return {} if bounded is None else {"act.bounded": bounded}

    @property
    def _diverged(self) -> list[int]:
        """The measured steps at which the whole gradient was not finite."""
        return [step for step, row in self._metrics.items() if not math.isfinite(float(row[NORM] or 0))]

    def _record(self, name: str) -> dict[str, Any]:
        setting, diverged = {"name": name} | self._setting, self._diverged
        return {
            "schema_version": SCHEMA_VERSION, "status": "diverged" if diverged else "completed",
            "choices": setting, "effective": setting, "answers": self._answers, "config": {},
            "overrides": [], "seed": None,
            "parameters": sum(p.numel() for p in self._trainable), "steps": self.step,
            "seconds": time.perf_counter() - self._started, "metrics": {"final": {}, "best": {}},
            "diverged_at": {"step": diverged[0]} if diverged else None, "error": None,
            "versions": {"torch": torch.__version__}, "device": str(next(self.model.parameters()).device),
        }  # fmt: skip

    def _before_forward(self, module: nn.Module, inputs: Any) -> None:
        if not torch.is_grad_enabled():
            return
        self._begin()
        if self.due and self._measured is None:
            self._forget_dropped()
            self._measurement.tape.start()
            if not self._numbered:
                self._entered = {module: 0}
                self._handles.append(register_module_forward_pre_hook(self._enter))

    def _enter(self, module: nn.Module, inputs: Any) -> None:
        self._entered.setdefault(module, len(self._entered))

    def _after_forward(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self._measurement.tape.stop()
        if self._entered:
            self._handles.pop().remove()
            matrices = in_order_of_execution(self._measurement.matrices, self._entered)
            self._measurement.matrices, self._entered = matrices, {}
            self._numbered = output is not None  # it is None when the pass was broken off

    def _begin(self) -> None:
        """What comes now belongs to a new step if the gradients of the last one have been used."""
        if self._stepped:
            self._stepped.clear()
            self._measured = None

    def _forget_dropped(self) -> None:
        """Forget passes whose gradients were dropped: a skipped step, or an attack on the inputs."""
        tape = self._measurement.tape
        heard = any(awaited.gradient is not None for awaited in tape.recorded.awaited)
        if heard and all(parameter.grad is None for parameter in self._trainable):
            tape.clear()

    def _owns(self, optimizer: Optimizer) -> bool:
        return any(
            parameter in self._own for group in optimizer.param_groups for parameter in group["params"]
        )

    def _before_step(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        if not self._owns(optimizer):
            return None
        if optimizer in self._stepped:
            self._begin()
        if not self._stepped:
            self._measured = None  # of a step that was broken off
        if len(args) > 1 and callable(args[1]):
            return (args[0], self._heard(args[1]), *args[2:]), kwargs
        if callable(kwargs.get("closure")):
            return args, kwargs | {"closure": self._heard(kwargs["closure"])}
        self._measure()
        return None

    def _heard(self, closure: Callable[[], Any]) -> Callable[[], Any]:
        """The closure, which measures the gradients that its first call leaves."""

        def call() -> Any:
            loss = closure()
            self._measure()
            return loss

        return call

    def _measure(self) -> None:
        """Measure the gradients, once for each step that is due."""
        if self.due and not self._stepped and self._measured is None:
            self._measured = self.step
            outputs = self._measurement.tape.recorded.outputs
            outputs[:] = [record for record in outputs if record.gradient is not None]
            self._measurement.gradients([_dense(parameter.grad) for parameter in self._trainable])

    def _after_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if not self._owns(optimizer):
            return
        if not self._stepped:
            self.step += 1
        self._stepped.append(optimizer)
        if self._measured is not None:
            self._write(self._measured, optimizer.param_groups[0].get("lr"))

    def _write(self, step: int, lr: float | Tensor | None) -> None:
        """The rows of the step, in place of those before another optimizer's part of it."""
        rows, (norm,) = self._measurement.rows(step, 0, extra=self._measurement.grad_norms)
        self._gradients[step] = sorted(rows, key=itemgetter(LAYER))
        rate, seconds = None if lr is None else float(lr), time.perf_counter() - self._started
        self._metrics[step] = (step, 0, rate, None, None, None, None, None, norm, None, seconds)


def _dense(gradient: Tensor | None) -> Tensor | None:
    """The gradient, or the part of a sparse one that is there, which has the same norm."""
    return gradient.coalesce().values() if gradient is not None and gradient.is_sparse else gradient
