"""The sweep that `benchmark_sweep.py` times, as users of Ray Tune write it: a loop that measures nothing.

python scripts/ray_tune_sweep.py --folder /tmp/ray_sweep [--width 32] [--steps 1000] [--seeds 8]
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vanishgrad.choices.data import Digits, load

GRID = {"act": ["tanh", "relu"], "init": ["xavier", "he"], "lr": [0.05, 0.1]}
ACTS = {"tanh": nn.Tanh, "relu": nn.ReLU}
INITS: dict[str, Callable[[Tensor], Tensor]] = {
    "xavier": nn.init.xavier_normal_,
    "he": nn.init.kaiming_normal_,
}


def network(act: str, init: str, width: int, depth: int) -> nn.Sequential:
    """A perceptron for the digits."""
    parts: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in pairwise([64, *[width] * depth]):
        parts += [nn.Linear(fan_in, fan_out), ACTS[act]()]
    model = nn.Sequential(*parts, nn.Linear(width, 10))
    for module in model:
        if isinstance(module, nn.Linear):
            INITS[init](module.weight)
            nn.init.zeros_(module.bias)
    return model


def trained(setting: Mapping[str, Any], width: int, depth: int, batch: int, steps: int) -> dict[str, float]:
    """Train one run; its accuracy on the held-out digits."""
    torch.set_num_threads(1)
    torch.manual_seed(setting["seed"])
    data, model = load(Digits()), network(setting["act"], setting["init"], width, depth)
    optimizer, done = torch.optim.SGD(model.parameters(), lr=setting["lr"]), 0
    while done < steps:
        for rows in torch.randperm(len(data.train_x)).split(batch)[: steps - done]:
            optimizer.zero_grad()
            F.cross_entropy(model(data.train_x[rows]), data.train_y[rows]).backward()
            optimizer.step()
            done += 1
    with torch.no_grad():
        right = model(data.val_x).argmax(1) == data.val_y
    return {"accuracy": float(right.double().mean())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    defaults = {"width": 32, "depth": 20, "batch": 64, "steps": 1000, "seeds": 8, "cores": 2}
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--folder", required=True)
    given = parser.parse_args()
    os.environ["RAY_TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    import ray
    from ray import tune

    ray.init("local", num_cpus=given.cores, include_dashboard=False, log_to_driver=False)
    size = {name: getattr(given, name) for name in ("width", "depth", "batch", "steps")}
    grid = {name: tune.grid_search(values) for name, values in GRID.items()}
    results = tune.Tuner(
        tune.with_resources(tune.with_parameters(trained, **size), {"cpu": 1}),
        param_space={**grid, "seed": tune.grid_search(list(range(given.seeds)))},
        run_config=tune.RunConfig(storage_path=given.folder, verbose=0),
    ).fit()
    ray.shutdown()
    if results.errors:
        sys.exit(str(results.errors[0]))
    print(f"{len(results)} runs")


if __name__ == "__main__":
    main()
