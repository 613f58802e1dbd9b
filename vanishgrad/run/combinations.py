"""Whether the choices of a run make sense together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vanishgrad.choices.activation import Sigmoid
from vanishgrad.choices.data import Adding, CopyMemory, MovingDigits, TemporalOrder, Text
from vanishgrad.choices.initialization import LSUV, Critical, Gaussian, Normal, Zeros, edge_of_chaos
from vanishgrad.choices.model import CNN, GRU, LSTM, MLP, RNN, ConvLSTM
from vanishgrad.choices.normalization import BatchNorm, InstanceNorm, LayerNorm, NoNorm, WeightNorm
from vanishgrad.choices.pretraining import RBM, NoPretraining
from vanishgrad.choices.residual import Fixup, NoResidual
from vanishgrad.errors import require

if TYPE_CHECKING:
    from vanishgrad.run.experiment import Run


def check_combinations(run: Run) -> None:
    """Refuse, with the reason, what makes no sense together."""
    _check_data(run)
    _check_loss(run)
    match run.model:
        case RNN() | LSTM() | GRU() | ConvLSTM():
            _check_over_time(run)
        case CNN():
            _check_images(run)
            run.norm.module(run.width, spatial=2)  # refuses what cannot normalize this width
        case _:
            run.norm.module(run.width)
    require(
        not (isinstance(run.norm, BatchNorm) and run.batch_size == 1),
        "norm=batch with batch_size=1: one example has no variance; use at least 2, or norm=layer",
    )
    _check_fixup(run)
    if isinstance(run.init, Critical):
        edge_of_chaos(run.act)  # refuses an activation without a critical point
    _check_weight_norm(run)
    _check_pretraining(run)
    _check_measurements(run)


def _check_data(run: Run) -> None:
    """Whether the model can read the data and answer in its form."""
    model, data, shape = f"model={run.model.name}", f"data={run.data.name}", run.data.shape
    match run.model:
        case CNN():
            require(
                len(shape) == 3,
                f"{model} with {data}: needs images, channels x height x width; use data=digits, mnist, "
                "fashion_mnist or cifar10, without data.sequence",
            )
        case RNN() | LSTM() | GRU():
            require(
                isinstance(run.data, Text) or len(shape) in (2, 3) or run.data.symbols is not None,
                f"{model} with {data}: needs a sequence; use data=adding, copy, temporal_order, text, or "
                "images, which are read row by row",
            )
        case ConvLSTM():
            require(
                isinstance(run.data, MovingDigits),
                f"{model} with {data}: predicts frames from frames; use data=moving_digits",
            )
            _check_patches(run.model, run.data)
        case _:
            require(
                not isinstance(run.data, MovingDigits),
                f"{model} with {data}: answers once per example, not with frames; use model=conv_lstm",
            )
            require(
                not isinstance(run.data, CopyMemory | TemporalOrder | Text),
                f"{model} with {data}: reads numbers, not symbols one after the other; use model=rnn, "
                "lstm or gru",
            )


def _check_loss(run: Run) -> None:
    """Whether the loss has a meaning for the targets."""
    loss = "" if run.loss is None else run.loss.name
    refused = ("cross_entropy", "bce") if isinstance(run.data, Adding) else ("cross_entropy",)
    require(
        not (isinstance(run.data, Adding | MovingDigits) and loss in refused),
        f"loss={loss} with data={run.data.name}: its targets are values, not classes"
        f"{', up to 2' if loss == 'bce' else ''}; "
        f"use loss=mse{'' if isinstance(run.data, Adding) else ' or bce'}",
    )


def _check_patches(model: ConvLSTM, data: object) -> None:
    assert isinstance(data, MovingDigits)
    require(
        data.side % model.patch == 0,
        f"model.patch={model.patch}: must divide the frame's side of {data.side} pixels",
    )


def _check_over_time(run: Run) -> None:
    """What recurrent networks have no place for."""
    model = f"model={run.model.name}"
    require(run.depth >= 1, f"depth={run.depth} with {model}: needs at least one layer; use 1")
    require(
        isinstance(run.residual, NoResidual),
        f"residual={run.residual.name} with {model}: shortcuts go around hidden layers of mlp and cnn; "
        "use residual=none",
    )
    allowed = NoNorm if isinstance(run.model, ConvLSTM) else NoNorm | LayerNorm
    choices = "none" if isinstance(run.model, ConvLSTM) else "none or layer"
    require(
        isinstance(run.norm, allowed),
        f"norm={run.norm.name} with {model}: its statistics would differ from time step to time step; "
        f"use norm={choices}",
    )
    require(
        isinstance(run.norm, NoNorm) or run.norm.position == "pre",
        f"norm.position=post with {model}: the norm stands inside the cell, before its activations; use pre",
    )
    run.norm.module(run.width)  # refuses a width of 1
    require(
        not isinstance(run.init, LSUV),
        f"init=lsuv with {model}: a recurrent matrix is used at every time step, with another variance each; "
        "use another init",
    )
    require(
        not run.recompute_every,
        f"recompute_every={run.recompute_every} with {model}: counts hidden layers of mlp and cnn; use 0",
    )


def _check_images(run: Run) -> None:
    """Whether every stage has an image left, and the network the layers for it."""
    assert isinstance(run.model, CNN)
    stages = run.model.stages
    side = min(run.data.shape[1:])
    require(
        2 ** (stages - 1) <= side,
        f"model.stages={stages}: halves images of side {side} more often than it can; use fewer",
    )
    halved = 2 ** (min(stages, run.span_count) - 1)
    require(
        not isinstance(run.norm, InstanceNorm) or halved < side,
        f"norm=instance with model.stages={stages}: the maps of the last stage are 1x1 pixels, whose only "
        "value is always 0; use fewer stages",
    )


def _check_fixup(run: Run) -> None:
    if not isinstance(run.residual, Fixup):
        return
    require(
        all(len(block) >= 2 for block in run.blocks),
        f"residual=fixup with depth={run.depth}: leaves a block of one layer, whose scale "
        "blocks^(-1/(2m-2)) does not exist; use depth of at least 3",
    )
    require(
        not isinstance(run.init, LSUV),
        "residual=fixup with init=lsuv: unit variance undoes fixup's branch scaling; use another init",
    )


def _check_weight_norm(run: Run) -> None:
    zero = (
        isinstance(run.init, Zeros)
        or (isinstance(run.init, Gaussian) and run.init.sigma_w == 0)
        or (isinstance(run.init, Normal) and run.init.std == 0)
        or isinstance(run.residual, Fixup)
    )
    require(
        not (isinstance(run.norm, WeightNorm) and zero),
        "norm=weight with weights that start at 0: g v / ||v|| needs a direction; "
        "use another init, and another residual than fixup",
    )


def _check_pretraining(run: Run) -> None:
    """Pretraining stacks plain hidden layers; a restricted Boltzmann machine has its own ideas of them."""
    if isinstance(run.pretrain, NoPretraining):
        return
    pretrain = f"pretrain={run.pretrain.name}"
    require(
        isinstance(run.model, MLP) and run.depth >= 1,
        f"{pretrain} with model={run.model.name} depth={run.depth}: trains the hidden layers of an mlp one "
        "by one; use model=mlp with at least one",
    )
    require(
        isinstance(run.norm, NoNorm) and isinstance(run.residual, NoResidual),
        f"{pretrain} with norm={run.norm.name} residual={run.residual.name}: a layer is trained alone, as "
        "act(W x + b); use norm=none residual=none",
    )
    if isinstance(run.pretrain, RBM):
        require(
            isinstance(run.act, Sigmoid),
            f"pretrain=rbm with act={run.act.name}: a binary unit is on with probability sigmoid(W x + b); "
            "use act=sigmoid, or pretrain=autoencoder",
        )
        require(
            getattr(run.data, "scale", "unit") == "unit",
            "pretrain=rbm with data.scale=standard: its inputs are probabilities; use data.scale=unit",
        )


def _check_measurements(run: Run) -> None:
    plain = isinstance(run.model, MLP | CNN)
    for key in ("dead_every", "input_gradients"):
        require(
            plain or not getattr(run, key),
            f"{key}={getattr(run, key)} with model={run.model.name}: is for mlp and cnn; use 0",
        )
    require(
        run.input_gradients == 0 or run.input_gradients >= 8,
        f"input_gradients={run.input_gradients}: correlations need at least 8 points; or 0 for none",
    )
