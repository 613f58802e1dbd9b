"""A monitor for anybody's model in anybody's training loop."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils.hooks import RemovableHandle

from vanishgrad.errors import at_least
from vanishgrad.monitor.measurement import Measurement
from vanishgrad.records import (
    GRADIENT_COLUMNS,
    GRADIENTS_FILE,
    METRIC_COLUMNS,
    METRICS_FILE,
    SCHEMA_VERSION,
    Cell,
    Table,
    frame,
    write_run,
)

if TYPE_CHECKING:
    import pandas as pd


class GradientMonitor:
    """Records every layer's gradients while a model trains; a context around any training loop.

        with GradientMonitor(model, every=10) as monitor:
            for x, y in loader:
                loss = criterion(model(x), y); loss.backward(); optimizer.step(); optimizer.zero_grad()
        monitor.frame()

    A step is one optimizer step that changes parameters of the model: accumulated backward passes give one
    row per layer. Gradients are measured as the optimizer receives them. Evaluations without gradients are
    ignored, and the training itself is left as it is, bit by bit.

    Arguments:
        model: any module.
        every: optimizer steps between measured ones; step 0 is the first.

    Raises:
        SettingError: when `every` is not positive.
    """

    def __init__(self, model: nn.Module, every: int = 10) -> None:
        at_least("every", every, 1)
        self.model, self.every, self.step = model, every, 0
        self._measurement = Measurement(model, listen=True)
        self._own = {parameter for parameter in model.parameters() if parameter.requires_grad}
        self._gradients: list[Sequence[Cell]] = []
        self._metrics: list[Sequence[Cell]] = []
        self._handles: list[RemovableHandle] = []
        self._started = time.perf_counter()

    def __enter__(self) -> GradientMonitor:
        self._handles = [
            self.model.register_forward_pre_hook(self._before_forward),
            self.model.register_forward_hook(self._after_forward, always_call=True),
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
        return frame(self._gradients, GRADIENT_COLUMNS)

    def save(self, folder: Path | str) -> Path:
        """Write a run folder that `vanishgrad report` reads; returns it."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        for file, columns, rows in (
            (GRADIENTS_FILE, GRADIENT_COLUMNS, self._gradients),
            (METRICS_FILE, METRIC_COLUMNS, self._metrics),
        ):
            table = Table(target / file, columns)
            table.append(rows)
            table.close()
        write_run(target, self._record(target.name))
        return target

    def _record(self, name: str) -> dict[str, Any]:
        setting = {"name": name, "model": {"name": type(self.model).__name__}}
        return {
            "schema_version": SCHEMA_VERSION, "status": "completed", "choices": setting, "effective": setting,
            "config": {}, "overrides": [], "seed": None, "parameters": sum(p.numel() for p in self._own),
            "steps": self.step, "seconds": time.perf_counter() - self._started,
            "metrics": {"final": {}, "best": {}}, "diverged_at": None, "error": None,
            "versions": {"torch": torch.__version__}, "device": str(next(self.model.parameters()).device),
        }  # fmt: skip

    def _before_forward(self, module: nn.Module, inputs: Any) -> None:
        if self.due and torch.is_grad_enabled():
            self._measurement.tape.start()

    def _after_forward(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self._measurement.tape.stop()

    def _owns(self, optimizer: Optimizer) -> bool:
        return any(
            parameter in self._own for group in optimizer.param_groups for parameter in group["params"]
        )

    def _before_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if self.due and self._owns(optimizer):
            trainable = (parameter for parameter in self.model.parameters() if parameter.requires_grad)
            self._measurement.gradients([parameter.grad for parameter in trainable])

    def _after_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if not self._owns(optimizer):
            return
        if self.due:
            rows, (norm,) = self._measurement.rows(self.step, 0, beside=self._measurement.grad_norm[None])
            self._gradients += rows
            lr = float(optimizer.param_groups[0]["lr"])
            seconds = time.perf_counter() - self._started
            self._metrics.append((self.step, 0, lr, None, None, None, None, None, norm, None, seconds))
        self.step += 1
