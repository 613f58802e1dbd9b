"""How many units or channels each hidden layer reads and gives, and where maps shrink."""

from __future__ import annotations

from dataclasses import dataclass

from vanishgrad.choices.residual import DenseShortcut
from vanishgrad.run import Run


@dataclass(frozen=True)
class Shape:
    """What a hidden layer reads and gives: units, or channels of maps whose sides it divides by `stride`."""

    inputs: int
    outputs: int
    stride: int = 1


def shapes(run: Run, inputs: int, stages: int = 1) -> list[Shape]:
    """Of each hidden layer, from layer 1; the last entry reads what the hidden layers leave.

    Blocks, or in a plain network the same layers, are shared out evenly to the stages, a remainder to the
    last one; where there are fewer blocks than stages, each is a stage and the later stages are left out.
    A further stage begins with a stride of 2. It doubles the channels, but for dense blocks, which add
    `width` channels each in any stage (DenseNet's growth).

    Arguments:
        run: the setting.
        inputs: units or channels of the example.
        stages: parts of equal depth.
    """
    dense = isinstance(run.residual, DenseShortcut)
    found, stream, stage = [], inputs, 0
    if run.depth:
        found, stream = [Shape(inputs, run.width)], run.width
    per_stage = max(1, len(run.spans) // stages)
    for number, span in enumerate(run.spans):
        before, stage = stage, min(number // per_stage, stages - 1)
        width = run.width if dense else run.width * 2**stage
        found.append(Shape(stream, width, stride=1 + stage - before))
        found.extend(Shape(width, width) for _ in span[1:])
        stream = stream + width if dense else width
    return [*found, Shape(stream, run.data.outputs)]
