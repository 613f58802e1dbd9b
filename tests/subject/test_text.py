"""A character model of the text that Python carries."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from vanishgrad.choices.data import Text
from vanishgrad.choices.data.text import corpus
from vanishgrad.choices.model.recurrent import LSTM
from vanishgrad.config.plan import jobs_of, plan_of, without_hydra
from vanishgrad.config.setting import to_setting
from vanishgrad.engine import train
from vanishgrad.run import Run


def setting(model: str) -> Run:
    (job,) = jobs_of(plan_of(["experiment=text", f"model={model}"], multirun=False))
    return to_setting(without_hydra(job)).effective


@pytest.mark.slow
def test_bits_fall_far_below_the_unigram_entropy_and_gates_help(tmp_path: Path) -> None:
    lstm, rnn = (train(setting(model), tmp_path / model) for model in ("lstm", "rnn"))
    unigram = Text().baseline.value / 0.6931471805599453
    assert unigram == pytest.approx(4.67, abs=0.05)
    gated, plain = (float(result.final["bits_per_character"] or 9) for result in (lstm, rnn))
    assert gated < plain < 0.5 * unigram
    words = set(re.findall(r"[a-z]{3,}", corpus(None)))
    sampled = re.findall(r"[a-z]{3,}", (tmp_path / "lstm" / "sample.txt").read_text(encoding="utf-8"))
    assert sum(word in words for word in sampled) > 0.5 * len(sampled) > 20


def test_a_minute_of_training_learns_more_than_frequencies() -> None:
    run = replace(setting("lstm"), width=48, max_steps=150, eval_every=150, lr=0.01)
    assert isinstance(run.model, LSTM)
    result = train(run)
    assert float(result.final["val_loss"] or 9) < 0.85 * Text().baseline.value
