"""Truncated back-propagation through a running text, against one long pass and against a walk by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vanishgrad.choices.activation import Identity
from vanishgrad.choices.data import Text, load
from vanishgrad.choices.loss import BCE, MSE
from vanishgrad.choices.model.build import build
from vanishgrad.choices.model.recurrent import GRU, LSTM, RNN, Recurrent
from vanishgrad.engine import check, train
from vanishgrad.engine.plan import pieces, steps_of
from vanishgrad.engine.text import evaluate_text, per_character
from vanishgrad.errors import SettingError
from vanishgrad.records import read_run
from vanishgrad.run import Run


@pytest.fixture
def story(tmp_path: Path) -> Run:
    file = tmp_path / "story.txt"
    file.write_text("the cat sat on the mat, and the dog sat on the log. " * 12)
    data = Text(path=str(file), length=5)
    return Run(
        model=LSTM(), width=6, batch_size=3, max_steps=4, lr=0.5, log_every=1, dtype="float64", data=data
    )


def test_a_step_reads_on_where_the_last_one_ended_at_every_place() -> None:
    text = torch.arange(33)
    found = list(pieces(text, text + 1, size=2, length=5))
    assert [batch.first for batch in found] == [True, False, False]
    assert torch.equal(torch.cat([batch.inputs for batch in found], 1), torch.stack([text[:15], text[15:30]]))
    assert all(torch.equal(batch.targets, batch.inputs + 1) for batch in found)


def test_an_epoch_is_one_reading_of_the_text(story: Run) -> None:
    characters = len(load(story.data).train_x)
    assert steps_of(replace(story, max_steps=None, epochs=2), characters) == (
        2 * (characters // 3 // 5), characters // 3 // 5,
    )  # fmt: skip


def test_the_state_is_carried_and_its_gradient_is_not(story: Run) -> None:
    """Four steps by hand: the losses are those of the run, which starts each step from the detached state."""
    model, data = build(story), load(story.data)
    assert isinstance(model, Recurrent)
    state, losses = None, []
    for batch in pieces(data.train_x, data.train_y, 3, 5):
        outputs, state = model.unroll(batch.inputs, state)
        loss = torch.nn.functional.cross_entropy(outputs.reshape(15, -1), batch.targets.reshape(15))
        losses.append(loss.item())
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                parameter -= 0.5 * gradient
        state = [tuple(part.detach() for part in layer) for layer in state]
        if len(losses) == 5:
            break
    found = train(story).metrics.set_index("step")["train_loss"]
    assert found.loc[0:4].tolist() == pytest.approx(losses, rel=1e-7)


def test_each_epoch_begins_without_a_memory(story: Run) -> None:
    run = replace(story, lr=1e-12)
    per_epoch = steps_of(run, len(load(run.data).train_x))[1]
    found = train(replace(run, max_steps=per_epoch)).metrics.set_index("step")["train_loss"]
    assert found[0] == pytest.approx(found[per_epoch], rel=1e-7)
    assert found[0] != pytest.approx(found[1], rel=1e-7)


@pytest.mark.parametrize("cell", [RNN(), LSTM(), GRU()], ids=str)
def test_evaluation_in_pieces_is_that_of_one_pass(story: Run, cell: RNN | LSTM | GRU) -> None:
    run = replace(story, model=cell)
    model, data = build(run), load(run.data)
    assert isinstance(model, Recurrent)
    x, y = data.val_x[:50], data.val_y[:50]
    loss, accuracy = evaluate_text(model, run.criterion, x, y, length=50)
    outputs = model(x[None])
    expected = torch.nn.functional.cross_entropy(outputs[0], y).item()
    assert loss == pytest.approx(expected, rel=1e-9)
    assert accuracy == pytest.approx(float((outputs[0].argmax(1) == y).double().mean()))
    places = [
        evaluate_text(model, run.criterion, data.val_x, data.val_y, length=length)[0] for length in (1, 2)
    ]
    assert places[0] == pytest.approx(places[1], rel=0.2)


def test_a_text_shorter_than_a_piece_is_read_in_one(story: Run) -> None:
    model, data = build(story), load(story.data)
    x, y = data.val_x[:4], data.val_y[:4]
    found = evaluate_text(model, story.criterion, x, y, length=5)
    assert found == evaluate_text(model, story.criterion, x, y, length=4)
    assert found[0] == pytest.approx(story.criterion(model(x[None]), y[None]).item(), rel=1e-9)


def test_outputs_that_are_not_finite_foretell_nothing(story: Run) -> None:
    model, data = build(story), load(story.data)
    with torch.no_grad():
        model.get_parameter("output.bias").fill_(math.nan)
    loss, accuracy = evaluate_text(model, story.criterion, data.val_x, data.val_y, length=5)
    assert math.isnan(loss)
    assert accuracy is not None
    assert math.isnan(accuracy)


def test_a_network_that_diverged_is_a_result_without_a_sample(story: Run, tmp_path: Path) -> None:
    run = replace(story, model=RNN(), act=Identity(), lr=1e200, max_steps=20)
    result = train(run, tmp_path / "run")
    assert result.status == read_run(tmp_path / "run")["status"] == "diverged"
    assert not (tmp_path / "run" / "sample.txt").exists()


def test_bits_and_perplexity_of_a_uniform_guess() -> None:
    assert per_character(math.log(32)) == {
        "bits_per_character": pytest.approx(5.0), "perplexity": pytest.approx(32.0),
    }  # fmt: skip


def test_the_perplexity_of_a_loss_that_no_float_holds_is_infinite() -> None:
    assert per_character(699.9)["perplexity"] == math.exp(699.9)
    assert per_character(1e4)["perplexity"] == per_character(math.inf)["perplexity"] == math.inf
    assert per_character(1e4)["bits_per_character"] == pytest.approx(1e4 / math.log(2))


def test_a_text_leaves_a_sample_and_its_bits(story: Run, tmp_path: Path) -> None:
    result = train(story, tmp_path / "run")
    assert len((tmp_path / "run" / "sample.txt").read_text(encoding="utf-8")) > 100
    assert result.final["bits_per_character"] == pytest.approx(
        float(result.final["val_loss"] or 0) / math.log(2)
    )
    assert result.final["perplexity"] == pytest.approx(math.exp(float(result.final["val_loss"] or 0)))


@pytest.mark.parametrize("loss", [MSE(), BCE()], ids=str)
def test_another_loss_has_no_bits(story: Run, loss: MSE | BCE) -> None:
    final = train(replace(story, loss=loss, lr=0.01)).final
    assert "bits_per_character" not in final
    assert "perplexity" not in final


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": "full"}, "batch_size=full with data=text: is the number of places"),
        ({"batch_size": 500}, "batch_size=500 data.length=5: a step reads their product"),
    ],
)
def test_batches_that_the_text_cannot_fill_are_refused(
    story: Run, changes: dict[str, int | str], message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        check(replace(story, **changes))  # type: ignore[arg-type]


def test_looking_at_every_step_changes_no_weight(story: Run) -> None:
    often, seldom = train(story), train(replace(story, log_every=100))
    for one, other in zip(often.model.parameters(), seldom.model.parameters(), strict=True):
        assert torch.equal(one, other)
