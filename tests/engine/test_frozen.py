"""pretrain.freeze=true: only the output layer is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vanishgrad.choices.activation import ELU, Sigmoid
from vanishgrad.choices.data import Digits
from vanishgrad.choices.optimizer import SGD, Adam
from vanishgrad.choices.pretraining import Autoencoder, NoPretraining
from vanishgrad.choices.regularization import L2, WeightDecay
from vanishgrad.engine import train
from vanishgrad.run import Run

FROZEN = Run(
    depth=2, width=8, act=Sigmoid(), max_steps=6, log_every=2, batch_size=32,
    pretrain=Autoencoder(epochs=1, freeze=True), data=Digits(train_size=64, scale="unit"),
)  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [{}, {"act": ELU()}, {"optim": SGD(0.9)}, {"optim": Adam()}, {"reg": L2(0.1)}, {"reg": WeightDecay(0.1)}],
    ids=str,
)
def test_hidden_weights_stay_and_the_output_learns(changes: dict[str, object]) -> None:
    run = replace(FROZEN, **changes)  # type: ignore[arg-type]
    trained, untrained = train(run), train(replace(run, max_steps=0))
    for name, value in trained.model.named_parameters():
        same = torch.equal(value, untrained.model.get_parameter(name))
        assert same == (not name.startswith("output")), name


def test_frozen_layers_have_gradient_zero_and_no_update() -> None:
    rows = train(FROZEN).gradients
    hidden = rows[rows["layer"] < 3]
    assert (hidden[["grad_norm", "bias_grad_norm", "weight_drift"]] == 0).all(axis=None)
    assert (hidden["update_ratio"].dropna() == 0).all()
    assert (rows[rows["layer"] == 3]["grad_norm"] > 0).all()
    assert (hidden["delta_norm"] > 0).all()


def test_the_global_norm_is_the_output_layers() -> None:
    result = train(FROZEN)
    output = result.gradients[result.gradients["layer"] == 3].set_index("step")
    total = (output["grad_norm"] ** 2 + output["bias_grad_norm"] ** 2) ** 0.5
    norms = result.metrics.dropna(subset="grad_norm").set_index("step")["grad_norm"]
    assert norms.loc[total.index].tolist() == pytest.approx(total.tolist(), rel=1e-6)


def test_a_pretraining_that_diverged_is_named(tmp_path: Path) -> None:
    result = train(replace(FROZEN, act=ELU(), pretrain=Autoencoder(epochs=2, lr=1e29)), tmp_path / "run")
    assert result.status == "diverged"
    assert result.diverged_at == {"step": 0, "layer": 1, "epoch": 1, "what": "pretraining_loss"}
    sentences = [one.sentence for one in result.diagnosis if one.finding == "diverged"]
    said = "In pretraining, at epoch 1, the loss of layer 1 stopped being finite"
    assert sentences == [f"{said}; a smaller pretrain.lr keeps it."]


def test_the_output_layer_starts_as_that_of_the_untreated_twin() -> None:
    treated = train(replace(FROZEN, max_steps=0))
    twin = train(replace(FROZEN, max_steps=0, pretrain=NoPretraining()))
    assert torch.equal(
        treated.model.get_parameter("output.weight"), twin.model.get_parameter("output.weight")
    )
    assert not torch.equal(
        treated.model.get_parameter("linear_1.weight"), twin.model.get_parameter("linear_1.weight")
    )
