"""The loss around a trained network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from vanishgrad.choices.data import load
from vanishgrad.choices.normalization import BatchNorm
from vanishgrad.engine import train
from vanishgrad.engine.computed_arrays import EXAMPLES, POINTS, REACH, principal, write_landscape
from vanishgrad.engine.computed_arrays import _filter_normalized as filter_normalized
from vanishgrad.engine.run_folder import load_trained
from vanishgrad.errors import SettingError
from vanishgrad.run import Run


def trained(folder: Path, **given: object) -> Path:
    run = Run(**({"depth": 2, "width": 8, "max_steps": 20, "snapshots": 5, "act": None} | given))  # type: ignore[arg-type]
    train(run, out=folder)
    return folder


@pytest.fixture(scope="module")
def landscape(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    folder = trained(tmp_path_factory.mktemp("runs") / "run")
    write_landscape(folder)
    with np.load(folder / "landscape.npz") as arrays:
        return folder, dict(arrays)


def test_both_planes_go_through_the_trained_network(landscape: tuple[Path, dict[str, np.ndarray]]) -> None:
    folder, arrays = landscape
    found = load_trained(folder)
    data = load(found.run.data)
    with torch.no_grad():
        loss = nn.functional.cross_entropy(found.model(data.train_x[:EXAMPLES]), data.train_y[:EXAMPLES])
    centre = POINTS // 2
    assert abs(arrays["random_x"][centre]) < 1e-12
    assert arrays["random_loss"][centre, centre] == pytest.approx(float(loss), rel=1e-5)
    assert arrays["random_x"][-1] == REACH
    assert arrays["path_loss"].min() <= float(loss) * 1.2


def test_the_path_goes_from_the_first_snapshot_to_the_origin(
    landscape: tuple[Path, dict[str, np.ndarray]],
) -> None:
    _, arrays = landscape
    assert arrays["steps"].tolist() == [0, 5, 10, 15, 20]
    assert arrays["way"][-1] == pytest.approx(np.zeros(2), abs=1e-12)
    assert arrays["way"][0, 0] > 0
    for side, name in enumerate(("path_x", "path_y")):
        assert arrays[name][0] < arrays["way"][:, side].min()
        assert arrays[name][-1] > arrays["way"][:, side].max()
    assert 0.8 < arrays["shares"].sum() <= 1 + 1e-9


def test_the_loss_at_the_start_of_the_path_is_that_of_the_first_snapshot(
    landscape: tuple[Path, dict[str, np.ndarray]],
) -> None:
    """The first snapshot lies close to the plane: the nearest point of the grid has nearly its loss."""
    folder, arrays = landscape
    found = load_trained(folder)
    data = load(found.run.data)
    state = torch.load(folder / "snapshots" / "0.pt", weights_only=True)
    found.model.load_state_dict(state["model"])
    with torch.no_grad():
        loss = nn.functional.cross_entropy(found.model(data.train_x[:EXAMPLES]), data.train_y[:EXAMPLES])
    i, j = (
        int(np.abs(arrays[f"path_{axis}"] - place).argmin())
        for axis, place in zip("xy", arrays["way"][0], strict=True)
    )
    assert arrays["path_loss"][j, i] == pytest.approx(float(loss), rel=0.15)


def test_principal_directions_are_those_of_a_singular_value_decomposition() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.linalg.qr(torch.randn(50, 2, generator=generator, dtype=torch.float64))[0].T
    places = torch.tensor([[6.0, 0.0], [3.0, 2.0], [1.0, -2.0], [0.0, 0.0]], dtype=torch.float64)
    directions, shares = principal(places @ torch.stack([first, second]))
    assert directions @ directions.T == pytest.approx(np.eye(2), abs=1e-12)
    values = np.linalg.eigvalsh((places.T @ places).numpy())[::-1]
    assert shares.numpy() == pytest.approx(values / values.sum())


def test_a_network_that_did_not_move_has_a_plane_all_the_same() -> None:
    directions, shares = principal(torch.zeros(4, 10, dtype=torch.float64))
    assert shares.tolist() == [0, 0]
    assert torch.isfinite(directions).all()


def test_random_directions_have_the_length_of_each_filter_and_leave_biases_alone(tmp_path: Path) -> None:
    model = load_trained(trained(tmp_path / "run", max_steps=1)).model
    centre = nn.utils.parameters_to_vector(model.parameters()).detach().double()
    direction = filter_normalized(model, centre, 0)[0]
    nn.utils.vector_to_parameters(direction.float(), model.parameters())
    moved = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    nn.utils.vector_to_parameters(centre.float(), model.parameters())
    for name, weight in model.named_parameters():
        if weight.dim() == 1:
            assert not moved[name].any()
        else:
            assert moved[name].norm(dim=1).numpy() == pytest.approx(
                weight.detach().norm(dim=1).numpy(), rel=1e-5
            )


def test_normalization_is_over_the_batch_as_in_training(tmp_path: Path) -> None:
    folder = trained(tmp_path / "run", norm=BatchNorm(), max_steps=6)
    write_landscape(folder)
    with np.load(folder / "landscape.npz") as arrays:
        loss = float(arrays["random_loss"][POINTS // 2, POINTS // 2])
    found = load_trained(folder)
    data = load(found.run.data)
    found.model.train()
    with torch.no_grad():
        expected = nn.functional.cross_entropy(found.model(data.train_x[:EXAMPLES]), data.train_y[:EXAMPLES])
    assert loss == pytest.approx(float(expected), rel=1e-5)


def test_a_run_with_too_few_snapshots_is_refused(tmp_path: Path) -> None:
    folder = trained(tmp_path / "run", snapshots=2, max_steps=2)
    with pytest.raises(SettingError, match="has 2 snapshots; the landscape needs 3, from snapshots=N"):
        write_landscape(folder)
