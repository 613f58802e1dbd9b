"""What families of networks share: the shapes of their layers, and the refusals of several of them."""

from __future__ import annotations

from dataclasses import dataclass

from vanishgrad.choices.protocol import Setting
from vanishgrad.errors import one_of, require

LARGEST_BIAS = 1e30  # a float32 can hold it
GATED = "model={}: gates multiply states, whose distribution is not Gaussian; not covered by the theory"


@dataclass(frozen=True)
class Shape:
    """What a hidden layer reads and gives: units, or channels of maps whose sides it divides by `stride`."""

    inputs: int
    outputs: int
    stride: int = 1


def shapes(setting: Setting, inputs: int, stages: int = 1) -> list[Shape]:
    """Of each hidden layer, from layer 1; the last entry reads what the hidden layers leave.

    Blocks, or in a plain network the same layers, are shared out evenly to the stages, a remainder to the
    last one; where there are fewer blocks than stages, each is a stage and the later stages are left out.
    A further stage begins with a stride of 2. It doubles the channels, but for dense blocks, which add
    `width` channels each in any stage (DenseNet's growth).

    Arguments:
        setting: the setting.
        inputs: units or channels of the example.
        stages: parts of equal depth.
    """
    dense, layers = setting.residual.concatenates, []
    stream, stage = inputs, 0
    if setting.depth:
        layers, stream = [Shape(inputs, setting.width)], setting.width
    per_stage = max(1, len(setting.spans) // stages)
    for number, span in enumerate(setting.spans):
        before, stage = stage, min(number // per_stage, stages - 1)
        width = setting.width if dense else setting.width * 2**stage
        layers.append(Shape(stream, width, stride=1 + stage - before))
        layers.extend(Shape(width, width) for _ in span[1:])
        stream = stream + width if dense else width
    return [*layers, Shape(stream, setting.data.outputs)]


def check_forget_bias(value: float) -> None:
    """Refuse a forget bias that a float32 cannot hold."""
    require(
        abs(value) <= LARGEST_BIAS,
        f"model.forget_bias={value}: must be from -{LARGEST_BIAS:g} to {LARGEST_BIAS:g}",
    )


def check_recurrent_init(value: str | None, *choices: str) -> None:
    """Refuse an initialization of the recurrent weights that is none of `choices`."""
    if value is not None:
        one_of("model.recurrent_init", value, (*choices, "null"))


def refuse_over_time(setting: Setting, norms: str) -> None:
    """Refuse what networks over time have no place for.

    Arguments:
        setting: the run.
        norms: the choices of `norm` that there are, in words.
    """
    model, norm = f"model={setting.model.name}", setting.norm
    require(setting.depth >= 1, f"depth={setting.depth} with {model}: needs at least one layer; use 1")
    require(
        not setting.residual.shortcuts,
        f"residual={setting.residual.name} with {model}: shortcuts go around hidden layers of mlp and cnn; "
        "use residual=none",
    )
    plain = not norm.normalizes and not norm.acts_on_weights
    require(
        plain or (norms != "none" and norm.over_time),
        f"norm={norm.name} with {model}: its statistics would differ from time step to time step; "
        f"use norm={norms}",
    )
    require(
        plain or norm.position == "pre",
        f"norm.position=post with {model}: the norm stands inside the cell, before its activations; use pre",
    )
    norm.module(setting.width)  # refuses a width of 1
    require(
        not setting.init.measures_data,
        f"init={setting.init.name} with {model}: a recurrent matrix is used at every time step, with another "
        "variance each; use another init",
    )
    require(
        not setting.recompute_every,
        f"recompute_every={setting.recompute_every} with {model}: counts hidden layers of mlp and cnn; use 0",
    )


def refuse_measurements(setting: Setting) -> None:
    """Refuse measurements that are made of hidden layers with their activations."""
    for key in ("dead_every", "input_gradients"):
        require(
            not getattr(setting, key),
            f"{key}={getattr(setting, key)} with model={setting.model.name}: is for mlp and cnn; use 0",
        )
