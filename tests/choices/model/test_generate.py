"""Text from a character model: which characters, in which proportions, and what is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch

from vanishgrad import Run, build
from vanishgrad.choices.data import Text
from vanishgrad.choices.model.recurrent import GRU, LSTM, RNN, Recurrent
from vanishgrad.choices.protocol import Model
from vanishgrad.choices.regularization import Dropout
from vanishgrad.engine.text import generate
from vanishgrad.errors import SettingError
from vanishgrad.streams import stream

VOCABULARY = "\n abc"


@pytest.fixture
def corpus(tmp_path: Path) -> str:
    path = tmp_path / "corpus.txt"
    path.write_text("a b\nc " * 10, encoding="utf-8")
    return str(path)


def network(corpus: str, model: Model, scale: float = 4.0, dropout: bool = False) -> Recurrent:
    """An untrained network with opinions: weights `scale` times as large as they start."""
    reg = Dropout(0.5) if dropout else Run().reg
    run = Run(model=model, data=Text(corpus), width=8, depth=2, dtype="float64", reg=reg, batch_size=1)
    ours = build(run)
    assert isinstance(ours, Recurrent)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.mul_(scale)
    return ours


def likeliest(model: Recurrent, text: str) -> str:
    """The likeliest next character, from the whole text read at once."""
    with torch.no_grad():
        outputs = model(torch.tensor([[VOCABULARY.index(c) for c in text]]))
    return VOCABULARY[int(outputs[0, -1].argmax())]


@pytest.mark.parametrize("model", [RNN(), LSTM(peepholes=True), GRU()], ids=lambda model: model.name)
def test_temperature_0_writes_what_is_likeliest_after_all_the_text_so_far(model: Model, corpus: str) -> None:
    ours, text = network(corpus, model), "ab c"
    for _ in range(30):
        text += likeliest(ours, text)
    assert generate(ours, VOCABULARY, "ab c", 30, 0.0, stream(0)) == text[4:]


def test_an_empty_prompt_is_a_line_end_or_the_first_character(corpus: str) -> None:
    ours = network(corpus, LSTM())
    assert generate(ours, VOCABULARY, "", 20, 0.7, stream(0)) == generate(
        ours, VOCABULARY, "\n", 20, 0.7, stream(0)
    )
    letters = "vwxyz"
    assert generate(ours, letters, "", 20, 0.7, stream(0)) == generate(ours, letters, "v", 20, 0.7, stream(0))


def test_text_depends_on_the_seed_alone(corpus: str) -> None:
    ours = network(corpus, LSTM(), scale=1.0)
    texts = [generate(ours, VOCABULARY, "a", 50, 1.0, stream(seed)) for seed in (0, 0, 1)]
    assert texts[0] == texts[1] != texts[2]
    assert [len(text) for text in texts] == [50] * 3
    assert generate(ours, VOCABULARY, "a", 0, 1.0, stream(0)) == ""


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_characters_come_in_the_proportions_of_softmax(temperature: float, corpus: str) -> None:
    """With zero weights every character is drawn from the same distribution, that of the output's biases."""
    ours = network(corpus, LSTM(), scale=0.0)
    logits = torch.tensor([0.0, 1.0, -1.0, 0.5, 2.0], dtype=torch.float64)
    with torch.no_grad():
        ours.output.bias.copy_(logits)
    chances = (logits / temperature).exp()
    counts = Counter(generate(ours, VOCABULARY, "a", 1500, temperature, stream(0)))
    for character, chance in zip(VOCABULARY, (chances / chances.sum()).tolist(), strict=True):
        spread = (chance * (1 - chance) / 1500) ** 0.5
        assert counts[character] / 1500 == pytest.approx(chance, abs=4 * spread)


def test_a_temperature_near_0_is_temperature_0(corpus: str) -> None:
    ours = network(corpus, GRU())
    cold = generate(ours, VOCABULARY, "a", 40, 1e-300, stream(0))
    assert cold == generate(ours, VOCABULARY, "a", 40, 0.0, stream(0))


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_read_in_evaluation_mode_and_left_as_it_was(training: bool, corpus: str) -> None:
    plain, ours = network(corpus, LSTM()), network(corpus, LSTM(), dropout=True).train(training)
    assert generate(ours, VOCABULARY, "a", 40, 0.0, stream(0)) == generate(
        plain, VOCABULARY, "a", 40, 0.0, stream(0)
    )
    assert all(module.training is training for module in ours.modules())
    assert all(parameter.grad is None for parameter in ours.parameters())
    with pytest.raises(SettingError):
        generate(ours, VOCABULARY, "?", 1, 0.0, stream(0))
    assert ours.training is training


def test_characters_that_the_model_never_saw_are_named(corpus: str) -> None:
    with pytest.raises(SettingError, match=r"prompt='azbé': .* 'z' 'é'; .* 5 characters"):
        generate(network(corpus, LSTM()), VOCABULARY, "azbé", 5, 1.0, stream(0))


@pytest.mark.parametrize("temperature", [-0.1, float("nan"), float("inf")])
def test_a_temperature_that_is_none_is_refused(temperature: float, corpus: str) -> None:
    with pytest.raises(SettingError, match="temperature="):
        generate(network(corpus, LSTM()), VOCABULARY, "a", 5, temperature, stream(0))


def test_a_negative_length_is_refused(corpus: str) -> None:
    with pytest.raises(SettingError, match="length=-1"):
        generate(network(corpus, LSTM()), VOCABULARY, "a", -1, 1.0, stream(0))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_model_that_diverged_is_said_to_have(temperature: float, corpus: str) -> None:
    ours = network(corpus, LSTM())
    with torch.no_grad():
        ours.output.bias.fill_(torch.nan)
    ours.train()
    with pytest.raises(SettingError, match="not finite"):
        generate(ours, VOCABULARY, "a", 5, temperature, stream(0))
    assert ours.training
