from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from vanishgrad.choices.data import Text, load
from vanishgrad.choices.data.text import corpus, decode, encode, unigram_entropy, vocabulary
from vanishgrad.choices.loss import CrossEntropy
from vanishgrad.errors import SettingError

Writer = Callable[[bytes], str]


@pytest.fixture
def written(tmp_path: Path) -> Writer:
    """Write bytes to a file of its own and say where."""

    def write(content: bytes) -> str:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.txt"
        path.write_bytes(content)
        return str(path)

    return write


def refusal(data: Text) -> str:
    with pytest.raises(SettingError) as error:
        load(data)
    return str(error.value)


def test_each_target_is_the_character_that_follows(written: Writer) -> None:
    path = written(b"the cat sat on the mat")
    data, symbols = load(Text(path=path, train_size=10)), vocabulary(path)
    assert symbols == " acehmnost"
    assert decode(data.train_x, symbols) == "the cat sa"
    assert decode(data.train_y, symbols) == "he cat sat"
    assert decode(data.val_x, symbols) == "t on the ma"
    assert decode(data.val_y, symbols) == " on the mat"
    assert {tensor.dtype for tensor in vars(data).values()} == {torch.int64}


def test_every_character_but_the_first_is_predicted_once() -> None:
    data, text = load(Text()), corpus(None)
    assert decode(torch.cat([data.train_y, data.val_y]), vocabulary(None)) == text[1:]


def test_nine_tenths_are_trained_on_unless_told(written: Writer) -> None:
    data = load(Text(path=written(b"ab" * 50)))
    assert (len(data.train_x), len(data.val_x)) == (90, 9)


def test_the_vocabulary_is_that_of_the_whole_text_also_beyond_latin_letters(written: Writer) -> None:
    choice = Text(path=written("aé漢🙂aé漢🙂b".encode()), train_size=4)
    assert vocabulary(choice.path) == "abé漢🙂"
    assert choice.symbols == choice.outputs == 5
    assert load(choice).train_x.tolist() == [0, 2, 3, 4]


def test_the_default_text_is_english_prose_of_some_size() -> None:
    text = corpus(None)
    assert len(text) > 300_000
    assert 80 <= len(vocabulary(None)) <= 200
    assert "the" in text.split()
    assert "\r" not in text


def test_line_ends_and_byte_order_marks_are_taken_out(written: Writer) -> None:
    assert corpus(written(b"\xef\xbb\xbfone\r\ntwo\rthree\n")) == "one\ntwo\nthree\n"


@pytest.mark.parametrize("symbols", ["abc", "a b\nc"])
def test_encoding_and_decoding_undo_each_other(symbols: str) -> None:
    known = "".join(sorted(symbols))
    assert encode(known, known).tolist() == list(range(len(known)))
    assert decode(encode("cabba", known), known) == "cabba"
    assert encode("", known).tolist() == []


@pytest.mark.parametrize("strange", ["A", "é", "🙂", "b"])
def test_a_character_that_was_never_seen_is_named(strange: str) -> None:
    with pytest.raises(SettingError, match=f"'{strange}': is not among the 2 characters"):
        encode(f"ac{strange}a", "ac")


def test_what_is_no_text_is_refused(written: Writer, tmp_path: Path) -> None:
    missing, folder = str(tmp_path / "missing"), str(tmp_path)
    assert refusal(Text(path=missing)) == f"data.path={missing}: there is no such file"
    assert refusal(Text(path=folder)) == f"data.path={folder}: is no file of text; must be a UTF-8 file"
    assert refusal(Text(path="a\0b")) == "data.path=a\0b: there is no such file"
    latin = written("déjà vu déjà vu".encode("latin-1"))
    assert refusal(Text(path=latin)).startswith(f"data.path={latin}: not UTF-8: invalid continuation byte")
    assert "at byte 1" in refusal(Text(path=latin))


@pytest.mark.parametrize("content, counts", [(b"", "0 characters, 0"), (b"ab", "2 characters, 2"),
                                             (b"aaaaaaaaaaaaaaaa", "16 characters, 1")])  # fmt: skip
def test_a_text_with_nothing_to_learn_is_refused(written: Writer, content: bytes, counts: str) -> None:
    path = written(content)
    expected = f"data.path={path}: has {counts} different ones; must have at least 3, and 2 different ones"
    assert refusal(Text(path=path)) == expected


def test_a_text_that_is_too_large_is_not_read(written: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vanishgrad.choices.data.text.MOST_BYTES", 10)
    path = written(b"abcdefghijk")
    assert refusal(Text(path=path)) == f"data.path={path}: has 11 bytes, must have at most 10"
    assert corpus(written(b"abcdefghij")) == "abcdefghij"


def test_both_parts_must_have_something_to_predict(written: Writer) -> None:
    path = written(b"abcabcabca")
    rule = "must be from 1 to 8; the text has 10 characters, at least 2 of which are held out"
    assert refusal(Text(path=path, train_size=9)) == f"data.train_size=9: {rule}"
    assert refusal(Text(path=path)) == f"data.train_size=null: {rule}"
    assert len(load(Text(path=path, train_size=8)).val_x) == 1
    assert len(load(Text(path=path, train_size=1)).train_x) == 1


def test_unigram_entropy_of_a_fair_coin_is_one_bit() -> None:
    assert unigram_entropy("ab" * 1000, "abba", 2) == pytest.approx(math.log(2))


def test_unigram_entropy_counts_each_character_once_more() -> None:
    """Seen 3 + 1 of 4 + 3 times, 1 + 1, and never: 0 + 1."""
    expected = -(2 * math.log(4 / 7) + math.log(2 / 7) + math.log(1 / 7)) / 4
    assert unigram_entropy("aaab", "aabc", 3) == pytest.approx(expected)


def test_an_answer_by_frequency_alone_reaches_the_baseline() -> None:
    choice = Text()
    data, text = load(choice), corpus(None)
    seen = torch.tensor([text[: len(data.train_x) + 1].count(symbol) + 1 for symbol in vocabulary(None)])
    outputs = seen.double().log().expand(len(data.val_y), -1)
    assert choice.baseline.metric == "val_loss"
    assert CrossEntropy()(outputs, data.val_y).item() == pytest.approx(choice.baseline.value, rel=1e-9)
    # English letters with spaces: 4.1 to 4.2 bits; capitals and signs add
    assert 4 < choice.baseline.value / math.log(2) < 5
