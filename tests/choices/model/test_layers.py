"""Which parameters of any module are weight matrices, and what belongs to them."""

import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from vanishgrad.modules.weights import WeightMatrix, weight_matrices


def described(matrices: list[WeightMatrix]) -> list[tuple[int, str, tuple[int, ...], bool]]:
    return [(m.layer, m.name, tuple(m.weight.shape), m.bias is not None) for m in matrices]


def test_each_module_with_weights_is_a_layer_of_its_own() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3, bias=False)
    )
    assert described(weight_matrices(model)) == [(1, "0", (2, 1, 3, 3), True), (2, "4", (3, 8), False)]


def test_the_matrices_of_a_recurrent_layer_share_it_and_have_their_own_biases() -> None:
    matrices = weight_matrices(nn.Sequential(nn.Linear(3, 4), nn.LSTM(4, 2)))
    assert described(matrices) == [
        (1, "0", (4, 3), True),
        (2, "1.weight_ih_l0", (8, 4), True),
        (2, "1.weight_hh_l0", (8, 2), True),
    ]
    lstm = matrices[2].module
    assert matrices[2].bias is lstm.bias_hh_l0


def test_a_matrix_of_another_name_is_not_its_own_bias() -> None:
    class Mixer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kernel = nn.Parameter(torch.zeros(2, 3))

    assert described(weight_matrices(Mixer())) == [(1, "kernel", (2, 3), False)]


def test_a_normalized_weight_counts_once_with_its_effective_value() -> None:
    linear = nn.Linear(3, 2)
    before = linear.weight.detach().clone()
    (matrix,) = weight_matrices(nn.Sequential(weight_norm(linear)))
    assert (matrix.layer, matrix.name) == (1, "0")
    torch.testing.assert_close(matrix.weight.detach(), before)
    assert matrix.parametrization is not None
    assert matrix.bias is linear.bias


def test_a_model_without_weights_has_none() -> None:
    assert weight_matrices(nn.Sequential(nn.ReLU(), nn.LayerNorm(3))) == []
