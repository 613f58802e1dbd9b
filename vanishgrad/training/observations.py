"""What a run records beside gradients and metrics, each at steps of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vanishgrad.choices.data import MovingDigits, Text
from vanishgrad.choices.data.corpus import vocabulary
from vanishgrad.choices.loss import BCE
from vanishgrad.choices.model import CNN, MLP
from vanishgrad.choices.pretraining import NoPretraining
from vanishgrad.data import Dataset
from vanishgrad.errors import SettingError
from vanishgrad.models.build import AnyNetwork
from vanishgrad.models.generate import generate
from vanishgrad.models.recurrent import Recurrent
from vanishgrad.records import (
    DEAD_UNITS_FILE,
    FILTERS_ARRAYS,
    FRAMES_FILE,
    INPUT_GRADIENTS_FILE,
    SAMPLE_FILE,
    replace_file,
    write_arrays,
)
from vanishgrad.run import Run
from vanishgrad.streams import stream
from vanishgrad.training.dead_units import dead_rows
from vanishgrad.training.frames import frame_rows, save_frames
from vanishgrad.training.input_gradients import correlation_rows
from vanishgrad.training.pretraining import first_layer_filters
from vanishgrad.training.recorder import Recorder

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
    def known(self) -> dict[str, Any]:
        """What a checkpoint needs to be used without the data."""
        return {"vocabulary": vocabulary(self.run.data.path)} if isinstance(self.run.data, Text) else {}

    def before(self, step: int, last: bool, model: AnyNetwork) -> None:
        """Look at the network as it is before a step."""
        inputs, every, points = self.data.train_x, self.run.dead_every, self.run.input_gradients
        if every and (last or step % every == 0):
            self.recorder.beside({DEAD_UNITS_FILE: dead_rows(step, model, inputs)})
        if points and (last or step == 0):
            self.recorder.beside({INPUT_GRADIENTS_FILE: correlation_rows(step, model, inputs, points)})

    def evaluated(self, step: int, model: AnyNetwork) -> None:
        """Look at what it gives on the held-out data."""
        if isinstance(self.run.data, MovingDigits) and isinstance(self.run.criterion, BCE):
            self.recorder.beside({FRAMES_FILE: frame_rows(step, model, self.data)})

    def filters(self, when: str, model: AnyNetwork) -> None:
        """Remember the first layer's weights as images: at the start, pretrained, or trained."""
        shows = isinstance(self.run.model, CNN) or not isinstance(self.run.pretrain, NoPretraining)
        image = isinstance(self.run.model, MLP | CNN) and len(self.run.data.shape) == 3
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
        if isinstance(self.run.data, MovingDigits):
            save_frames(folder, model, self.data, self.run.criterion)
        if isinstance(self.run.data, Text):
            self._save_sample(folder, model, self.run.data)

    def _save_sample(self, folder: Path, model: AnyNetwork, data: Text) -> None:
        assert isinstance(model, Recurrent)
        noise = stream(self.run.seed, "sample")
        try:
            text = generate(model, vocabulary(data.path), "", SAMPLE_LENGTH, SAMPLE_TEMPERATURE, noise)
        except SettingError:
            return  # outputs that are not finite choose no character, and the run is a result all the same
        replace_file(folder / SAMPLE_FILE, text.encode())
