"""Units that are dead on the whole training set."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from vanishgrad.choices.data.dataset import Dataset
from vanishgrad.choices.data.video import mean_frame_loss
from vanishgrad.choices.model.build import AnyNetwork
from vanishgrad.choices.model.recurrent import Recurrent
from vanishgrad.choices.protocol import Loss
from vanishgrad.choices.residual import HighwayBlock
from vanishgrad.engine.evaluate import examples_per_pass
from vanishgrad.engine.pretrain import first_layer_filters
from vanishgrad.engine.recorder import Recorder
from vanishgrad.engine.text import generate
from vanishgrad.errors import SettingError
from vanishgrad.files import replace_file
from vanishgrad.measure.activations import is_activation, slope
from vanishgrad.modules.dropout import evaluation_mode, unchanged
from vanishgrad.modules.observer import Sequence, Unrolled
from vanishgrad.records import (
    DEAD_UNITS_FILE,
    FILTERS_ARRAYS,
    FRAMES_ARRAYS,
    FRAMES_FILE,
    INPUT_GRADIENTS_FILE,
    SAMPLE_FILE,
    Cell,
    write_arrays,
)
from vanishgrad.run import Run
from vanishgrad.streams import stream

CHUNK = 1024  # examples per forward pass


class Alive:
    """An observer that remembers which units of each activation had a slope on some example."""

    def __init__(self) -> None:
        self.units: dict[nn.Module, Tensor] = {}

    def module(self, module: nn.Module, inputs: Tensor, output: Tensor) -> None:
        if is_activation(module):
            alive = (slope(module, inputs) != 0).any(0)
            self.units[module] = self.units.get(module, alive) | alive

    def fork(self, block: nn.Module, direct: Tensor, into: Tensor) -> None:
        return None

    def unrolled(self, layer: Unrolled) -> None:
        return None


def dead_rows(step: int, model: nn.Module, inputs: Tensor) -> list[tuple[Cell, ...]]:
    """Rows of dead_units.csv: the fraction of units whose slope is exactly 0 on every one of the `inputs`.

    In evaluation mode, one row per hidden activation, numbered from the input; a unit of a convolution is
    one place of one channel.
    """
    alive, sequences = Alive(), _with_hidden_activations(model)
    for sequence in sequences:
        sequence.observer = alive
    try:
        with evaluation_mode(model):
            for chunk in inputs.split(CHUNK):
                model(chunk)
    finally:
        for sequence in sequences:
            sequence.observer = None
    return [
        (step, layer, units.numel(), 1 - float(units.double().mean()))
        for layer, units in enumerate(alive.units.values(), 1)
    ]


def _with_hidden_activations(model: nn.Module) -> list[Sequence]:
    """The sequences inside `model` but for the gates of highway blocks, whose sigmoids are no layer's."""
    gates = {block.gate for block in model.modules() if isinstance(block, HighwayBlock)}
    return [part for part in model.modules() if isinstance(part, Sequence) and part not in gates]


SHOWN = 4  # sequences kept to look at


def frame_predictions(model: nn.Module, given: Tensor, true: Tensor) -> Tensor:
    """What the network gives for the frames `true` that follow `given`, `(n, predicted, 1, side, side)`."""
    with evaluation_mode(model):
        return torch.cat([model(chunk) for chunk in given.split(examples_per_pass(given, true))])


def frame_rows(step: int, model: nn.Module, data: Dataset) -> list[tuple[Cell, ...]]:
    """Rows of frames.csv, for a network that gives logits.

    They hold the held-out cross-entropy of each predicted frame, summed over pixels, in nats. Beside it stand
    that of always answering the mean training frame, and the least that is possible: a grey pixel has an
    entropy of its own.
    """
    logits = frame_predictions(model, data.val_x, data.val_y).cpu().double()
    true = data.val_y.cpu().double()
    lost = F.binary_cross_entropy_with_logits(logits, true, reduction="none")
    entropy = -(torch.xlogy(true, true) + torch.xlogy(1 - true, 1 - true))
    columns = (_per_frame(lost), mean_frame_loss(data.train_y.cpu(), data.val_y.cpu()), _per_frame(entropy))
    return [(step, frame, *row) for frame, row in enumerate(torch.stack(columns, 1).tolist(), 1)]


def _per_frame(pixels: Tensor) -> Tensor:
    """Sum over the pixels, mean over sequences: `(n, frames, 1, side, side) -> (frames,)`."""
    return pixels.sum((2, 3, 4)).mean(0)


def save_frames(folder: Path, model: nn.Module, data: Dataset, loss: Loss) -> None:
    """frames.npz: some held-out sequences, what was given, what followed and what was predicted.

    What a network gives is a logit to the binary cross-entropy, and a pixel to the squared error.
    """
    given, true = data.val_x[:SHOWN], data.val_y[:SHOWN]
    outputs = frame_predictions(model, given, true)
    predicted = loss.values(outputs)
    write_arrays(
        folder / FRAMES_ARRAYS, given=given.cpu().numpy(), true=true.cpu().numpy(),
        predicted=predicted.cpu().numpy(),
    )  # fmt: skip


LINES = 8  # segments between training inputs that are averaged over


def correlation_rows(step: int, model: nn.Module, inputs: Tensor, points: int) -> list[tuple[Cell, ...]]:
    """Rows of input_gradients.csv: the correlation of input gradients at points `lag` apart on a line.

    A line runs from one training input to the next, with `points` equal steps; at each point the gradient
    of the sum of outputs with respect to the input is taken, and gradients are compared by their cosine,
    averaged over all pairs of points so far apart and over the lines. White noise has 0 at every lag but 0;
    the smooth gradient of a shallow network falls slowly. Batch statistics are those of the line.

    Arguments:
        step: updates done.
        model: the network; left as it is.
        inputs: two training inputs or more, `(n, *shape)`; the first ones are used.
        points: per line.
    """
    lines = [_line(inputs[k], inputs[k + 1], points) for k in range(min(LINES, len(inputs) - 1))]
    with unchanged(model):
        means = torch.stack([_correlations(_input_gradients(model, line)) for line in lines]).nanmean(0)
    return [(step, lag, None if math.isnan(mean) else mean) for lag, mean in enumerate(means.tolist())]


def _line(start: Tensor, end: Tensor, points: int) -> Tensor:
    """`(points, *shape)` from `start` to `end`."""
    share = torch.linspace(0, 1, points, dtype=start.dtype, device=start.device)
    return torch.lerp(start, end, share.view(-1, *[1] * start.ndim))


def _input_gradients(model: nn.Module, line: Tensor) -> Tensor:
    """d(sum of outputs)/d(input) at every point, `(points, features)`."""
    leaf = line.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(leaf).sum(), leaf)
    return gradient.flatten(1).double()


def _correlations(gradients: Tensor) -> Tensor:
    """Mean cosine of all pairs of rows `lag` apart, by lag from 0 to half the rows; NaN where all are 0."""
    lengths = gradients.norm(dim=1, keepdim=True)
    cosines = gradients / lengths
    table = cosines @ cosines.T
    return torch.stack([table.diagonal(lag).nanmean() for lag in range(len(gradients) // 2 + 1)])


SAMPLE_LENGTH, SAMPLE_TEMPERATURE = 600, 0.8


class Observations:
    """Dead units, input gradients, learned filters, predicted frames, sampled text.

    Arguments:
        run: the setting, which says what of this is wanted.
        data: its examples, on the device.
        recorder: where it goes.
    """

    def __init__(self, run: Run, data: Dataset, recorder: Recorder) -> None:
        self.run, self.data, self.recorder = run, data, recorder
        self._filters: dict[str, NDArray[np.float32]] = {}

    @property
    def remembered(self) -> dict[str, Any]:
        """What a checkpoint needs to be used without the data."""
        return self.run.data.remembered()

    def before(self, step: int, last: bool, model: AnyNetwork) -> None:
        """Look at the network as it is before a step."""
        inputs, every, points = self.data.train_x, self.run.dead_every, self.run.input_gradients
        if every and (last or step % every == 0):
            self.recorder.append({DEAD_UNITS_FILE: dead_rows(step, model, inputs)})
        if points and (last or step == 0):
            self.recorder.append({INPUT_GRADIENTS_FILE: correlation_rows(step, model, inputs, points)})

    def evaluated(self, step: int, model: AnyNetwork) -> None:
        """Look at what it gives on the held-out data."""
        if self.run.data.frames and self.run.criterion.bits:
            self.recorder.append({FRAMES_FILE: frame_rows(step, model, self.data)})

    def filters(self, when: str, model: AnyNetwork) -> None:
        """Remember the first layer's weights as images: at the start, pretrained, or trained."""
        shows = self.run.model.convolutions or self.run.pretrain.pretrains
        image = self.run.model.feedforward and len(self.run.data.shape) == 3
        if shows and image and self.run.depth and self.recorder.folder is not None:
            self._filters[when] = first_layer_filters(model, self.run).cpu().float().numpy().copy()

    def finish(self, model: AnyNetwork) -> None:
        """Leave in the run folder what is to be looked at."""
        folder = self.recorder.folder
        if folder is None:
            return
        self.filters("trained", model)
        if self._filters:
            write_arrays(folder / FILTERS_ARRAYS, **self._filters)
        if self.run.data.frames:
            save_frames(folder, model, self.data, self.run.criterion)
        if self.run.data.running_text:
            self._save_sample(folder, model)

    def _save_sample(self, folder: Path, model: AnyNetwork) -> None:
        assert isinstance(model, Recurrent)
        noise = stream(self.run.seed, "sample")
        try:
            text = generate(
                model, self.remembered["vocabulary"], "", SAMPLE_LENGTH, SAMPLE_TEMPERATURE, noise
            )
        except SettingError:
            return  # outputs that are not finite choose no character, and the run is a result all the same
        replace_file(folder / SAMPLE_FILE, text.encode())
