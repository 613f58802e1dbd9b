"""The same seed gives the same files; a treated run shares all it can with its untreated twin."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from vanishgrad.choices.activation import Sigmoid
from vanishgrad.choices.clipping import ClipByNorm
from vanishgrad.choices.normalization import BatchNorm, LayerNorm
from vanishgrad.choices.optimizer import Adam
from vanishgrad.choices.regularization import L2, Dropout, WeightDecay
from vanishgrad.choices.residual import IdentityShortcut
from vanishgrad.engine import train
from vanishgrad.engine.trainer import Trainer
from vanishgrad.run import Run


def without_times(folder: Path) -> dict[str, Any]:
    """The content of a run folder without its times, checkpoints loaded."""
    metrics = [line.rsplit(",", 1)[0] for line in (folder / "metrics.csv").read_text().splitlines()]
    record = json.loads((folder / "run.json").read_text())
    assert record.pop("seconds") > 0
    checkpoint = torch.load(folder / "checkpoint.pt", weights_only=True)
    return {
        "files": sorted(path.name for path in folder.iterdir()),
        "gradients": (folder / "gradients.csv").read_bytes(),
        "metrics": metrics,
        "record": record,
        "checkpoint": [
            (key, value.flatten().tolist() if isinstance(value, Tensor) else value)
            for key, value in flat(checkpoint)
        ],
    }


def flat(tree: Any, key: str = "") -> list[tuple[str, Any]]:
    if isinstance(tree, dict):
        return [leaf for name, branch in tree.items() for leaf in flat(branch, f"{key}/{name}")]
    if isinstance(tree, list):
        return [leaf for name, branch in enumerate(tree) for leaf in flat(branch, f"{key}/{name}")]
    return [(key, tree)]


@pytest.mark.parametrize(
    "changes",
    [{}, {"norm": BatchNorm(), "reg": Dropout(0.3), "optim": Adam()}, {"batch_size": "full"}],
    ids=str,
)
def test_the_same_seed_gives_the_same_files(changes: dict[str, Any], small: Run, tmp_path: Path) -> None:
    run = replace(small, log_every=1, **changes)
    train(run, tmp_path / "a")
    train(replace(run, seed=5), tmp_path / "other")
    train(run, tmp_path / "b")
    first, second = without_times(tmp_path / "a"), without_times(tmp_path / "b")
    assert first == second
    other = without_times(tmp_path / "other")
    assert other["gradients"] != first["gradients"]
    assert other["metrics"] != first["metrics"]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Callable[[Run], tuple[dict[str, Tensor], list[Tensor]]]:
    """Initial parameters, by the last part of their name, and the batches of a run, inputs before targets."""
    batches: list[Tensor] = []
    initial: dict[str, Tensor] = {}
    start, step = Trainer.__init__, Trainer.forward_backward

    def spying_start(self: Trainer, *arguments: Any) -> None:
        start(self, *arguments)
        for name, parameter in self.models[0].named_parameters():
            module, attribute = name.split(".")[-2:]
            initial[f"{module}.{attribute}"] = parameter.detach().clone()

    def spying_step(self: Trainer, inputs: Tensor, targets: Tensor, *rest: Any) -> Any:
        batches.extend([inputs[0].clone(), targets[0].clone()])
        return step(self, inputs, targets, *rest)

    def spy(run: Run) -> tuple[dict[str, Tensor], list[Tensor]]:
        batches.clear()
        initial.clear()
        train(run)
        return dict(initial), list(batches)

    monkeypatch.setattr(Trainer, "__init__", spying_start)
    monkeypatch.setattr(Trainer, "forward_backward", spying_step)
    return spy


TREATMENTS = {
    "dropout": {"reg": Dropout(0.5)}, "weight_decay": {"reg": WeightDecay(0.1)}, "l2": {"reg": L2(0.1)},
    "batchnorm": {"norm": BatchNorm()}, "layernorm": {"norm": LayerNorm()},
    "clipping": {"clip": ClipByNorm(0.1)},
    "residual": {"residual": IdentityShortcut()}, "adam": {"optim": Adam()}, "sigmoid": {"act": Sigmoid()},
    "deeper": {"depth": 6}, "rate": {"lr": 0.01}, "measured": {"log_every": 1},
    "recompute": {"recompute_every": 1},
}  # fmt: skip


@pytest.mark.parametrize("treatment", TREATMENTS.values(), ids=TREATMENTS)
def test_a_treated_run_and_its_twin_share_initial_weights_and_batches(
    treatment: dict[str, Any],
    small: Run,
    seen: Callable[[Run], tuple[dict[str, Tensor], list[Tensor]]],
) -> None:
    run = replace(small, depth=4)
    weights, batches = seen(run)
    treated_weights, treated_batches = seen(replace(run, **treatment))
    assert len(batches) == len(treated_batches) == 14
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(batches, treated_batches, strict=True))
    shared = [name for name in weights if name in treated_weights]
    assert len(shared) == len(weights) == 10
    assert all(torch.equal(weights[name], treated_weights[name]) for name in shared)


def test_another_seed_has_other_weights_and_another_order(
    small: Run, seen: Callable[[Run], tuple[dict[str, Tensor], list[Tensor]]]
) -> None:
    weights, batches = seen(small)
    others, other_batches = seen(replace(small, seed=1))
    assert not any(torch.equal(weights[name], others[name]) for name in weights)
    assert not torch.equal(batches[0], other_batches[0])


def test_every_epoch_takes_whole_batches_in_a_new_order(
    small: Run, seen: Callable[[Run], tuple[dict[str, Tensor], list[Tensor]]]
) -> None:
    _, both = seen(replace(small, max_steps=8))
    inputs = both[0::2]
    assert {len(one) for one in inputs} == {16}
    epochs = [torch.cat(inputs[start : start + 4]).flatten(1) for start in (0, 4)]
    assert not torch.equal(*epochs)
    for epoch in epochs:
        assert len(torch.unique(epoch, dim=0)) == 64  # each example at most once
