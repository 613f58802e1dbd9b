"""A restricted Boltzmann machine of 4 visible and 3 hidden units against exact, enumerated values."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from vanishgrad.choices.pretraining import (
    BoltzmannLayer,
    Statistics,
    contrastive_divergence,
    free_energy,
    hidden_given,
    statistics,
    visible_given,
)
from vanishgrad.errors import SettingError

VISIBLE, HIDDEN = 4, 3
Machine = tuple[Tensor, Tensor, Tensor]


def states(units: int) -> Tensor:
    """All binary states, `(2 ** units, units)`."""
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=units)), dtype=torch.float64)


V, H = states(VISIBLE), states(HIDDEN)


@pytest.fixture
def machine() -> Machine:
    """W `(hidden, visible)`, a and b, large enough that one Gibbs step is far from equilibrium."""
    generator = torch.Generator().manual_seed(3)
    shapes = [(HIDDEN, VISIBLE), (VISIBLE,), (HIDDEN,)]
    W, a, b = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    return 1.5 * W, a, b


@pytest.fixture
def data() -> Tensor:
    """Six examples, `(6, visible)`, some of their units probabilities and not yet binary."""
    generator = torch.Generator().manual_seed(4)
    v = torch.rand(6, VISIBLE, generator=generator, dtype=torch.float64)
    return torch.where(v > 0.5, (v > 0.75).double(), v)


def log_weights(W: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """-E(v, h) of every joint state, `(visible states, hidden states)`, term by term."""
    return torch.stack([torch.stack([a @ v + b @ h + h @ W @ v for h in H]) for v in V])


def data_distribution(data: Tensor) -> Tensor:
    """Probability of every visible state when the examples are probabilities, `(visible states,)`."""
    each = torch.stack([torch.where(V == 1, example, 1 - example).prod(1) for example in data])
    return each.mean(0)


def log_likelihood(data: Tensor, W: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Mean log p(v) under the machine, v distributed like the data."""
    joint = log_weights(W, a, b)
    return data_distribution(data) @ joint.logsumexp(1) - joint.flatten().logsumexp(0)


def expected(v_distribution: Tensor, joint: Tensor) -> Statistics:
    """<h v>, <v>, <h> with v from a distribution and h from p(h | v)."""
    both = v_distribution[:, None] * joint.softmax(1)
    return Statistics(torch.einsum("ij,jh,iv->hv", both, H, V), both.sum(1) @ V, both.sum(0) @ H)


def exact_gradient(data: Tensor, machine: Machine) -> Tensor:
    """Of the log-likelihood by automatic differentiation through the enumeration, flat."""
    leaves = [tensor.clone().requires_grad_() for tensor in machine]
    return flat(torch.autograd.grad(log_likelihood(data, *leaves), leaves))


def exact_divergence(data: Tensor, machine: Machine, k: int) -> Tensor:
    """The expectation of the CD-k estimate, from the Gibbs kernel as a matrix over visible states, flat."""
    joint = log_weights(*machine)
    kernel = joint.softmax(1) @ joint.softmax(0).t()
    start = data_distribution(data)
    end = start @ torch.linalg.matrix_power(kernel, k)
    return flat(expected(start, joint)) - flat(expected(end, joint))


def flat(tensors: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])


def test_the_free_energy_sums_over_all_hidden_states(machine: Machine) -> None:
    torch.testing.assert_close(free_energy(V, *machine), -log_weights(*machine).logsumexp(1))


def test_conditionals_are_those_of_the_joint_distribution(machine: Machine) -> None:
    W, a, b = machine
    joint = log_weights(W, a, b)
    torch.testing.assert_close(hidden_given(V, W, b), joint.softmax(1) @ H)
    torch.testing.assert_close(visible_given(H, W, a), joint.softmax(0).t() @ V)


def test_statistics_are_the_slopes_of_the_free_energy(machine: Machine) -> None:
    leaves = [tensor.clone().requires_grad_() for tensor in machine]
    slopes = torch.autograd.grad(-free_energy(V, *leaves).mean(), leaves)
    W, _, b = machine
    torch.testing.assert_close(flat(statistics(V, hidden_given(V, W, b))), flat(slopes))


def test_data_less_model_is_the_gradient_of_the_log_likelihood(machine: Machine, data: Tensor) -> None:
    joint = log_weights(*machine)
    model = joint.flatten().softmax(0).view_as(joint).sum(1)
    difference = flat(expected(data_distribution(data), joint)) - flat(expected(model, joint))
    torch.testing.assert_close(difference, exact_gradient(data, machine))


def test_contrastive_divergence_approaches_the_gradient_as_k_grows(machine: Machine, data: Tensor) -> None:
    gradient = exact_gradient(data, machine)
    errors = [
        float((exact_divergence(data, machine, k) - gradient).norm() / gradient.norm())
        for k in (1, 2, 5, 20, 100)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0.1
    assert errors[-1] < 1e-3


@pytest.mark.parametrize("k", [1, 2, 20])
def test_the_sampled_estimate_agrees_with_its_exact_expectation(
    machine: Machine, data: Tensor, k: int
) -> None:
    generator = torch.Generator().manual_seed(5)
    many = data.repeat(500, 1)
    estimates = torch.stack([flat(contrastive_divergence(many, *machine, k, generator)) for _ in range(40)])
    error = estimates.std(0) / 40**0.5
    off = (estimates.mean(0) - exact_divergence(data, machine, k)).abs()
    assert (off < 4 * error).all()
    assert (error < 0.01).all()


def layer(machine: Machine) -> nn.Linear:
    W, _, b = machine
    linear = nn.Linear(VISIBLE, HIDDEN).double()
    linear.load_state_dict({"weight": W, "bias": b})
    return linear


def test_the_loss_is_the_cross_entropy_of_the_reconstruction(machine: Machine, data: Tensor) -> None:
    W, _, b = machine
    learner = BoltzmannLayer(layer(machine), data, k=1, lr=0.1)
    restored = torch.sigmoid(torch.sigmoid(data @ W.t() + b) @ W + learner.a)
    entropy = -(data * restored.log() + (1 - data) * (1 - restored).log())
    torch.testing.assert_close(learner.loss(data, torch.Generator()), entropy.sum(1).mean())


def test_learning_raises_the_likelihood_of_the_data() -> None:
    generator = torch.Generator().manual_seed(6)
    stripes = torch.tensor([[1, 1, 0, 0], [0, 0, 1, 1]], dtype=torch.float64).repeat(50, 1)
    W = 0.1 * torch.randn(HIDDEN, VISIBLE, generator=generator, dtype=torch.float64)
    linear = layer((W, torch.zeros(VISIBLE), torch.zeros(HIDDEN)))
    learner = BoltzmannLayer(linear, stripes, k=1, lr=0.5)
    before = log_likelihood(stripes, learner.W, learner.a, learner.b)
    for _ in range(300):
        learner.update_(stripes, generator)
    after = log_likelihood(stripes, linear.weight.detach(), learner.a, linear.bias.detach())
    assert before < -2.5  # four coins: log(1/16)
    assert after > -1.2  # at best log(1/2)


def test_the_visible_bias_starts_at_the_log_odds_and_stays_finite(machine: Machine) -> None:
    v = torch.tensor([[0, 1, 1, 0], [0, 1, 0, 0], [0, 1, 0, 0.5]], dtype=torch.float64)
    p = torch.sigmoid(BoltzmannLayer(layer(machine), v, k=1, lr=0.1).a)
    torch.testing.assert_close(p, torch.tensor([0.5, 3.5, 1.5, 1.0], dtype=torch.float64) / 4)


@pytest.mark.parametrize("wrong", [-0.01, 1.01, float("nan")])
def test_inputs_that_are_no_probabilities_are_refused(machine: Machine, data: Tensor, wrong: float) -> None:
    data[2, 1] = wrong
    with pytest.raises(SettingError, match=r"pretrain=rbm with inputs .*data\.scale=unit"):
        BoltzmannLayer(layer(machine), data, k=1, lr=0.1)
