"""What is typed, read: text without quotes, and where it goes wrong in plain words."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vanishgrad.config.grammar import as_one, parse, quoted
from vanishgrad.errors import SettingError

PARSER = ("Exception", "mismatched", "viable", "extraneous", "EOF", "_SWEEP", "Union", "argument ", "Hydra")
TEXTS = {
    "größe": "größe", "two words": "two words", "a=b": "a=b", "007": "007", "1e3": "1e3", "1_000": "1_000",
    "true": "true", "a(b": "a(b", "f(x)": "f(x)", "run[1]": "run[1]", "it's": "it's", "~/x": "~/x",
    "#1": "#1", "C:\\x": "C:\\x", "日本": "日本", "'a,b'": "a,b", '"q"': "q", "a;b": "a;b",
    "": "", " padded ": "padded",
}  # fmt: skip


@pytest.mark.parametrize("typed", TEXTS)
def test_a_name_needs_no_quotes_where_it_can_only_be_meant_as_it_stands(typed: str) -> None:
    assert parse(f"name={typed}", free=True).value() == TEXTS[typed]


def test_what_could_mean_something_else_means_that() -> None:
    assert parse("name=null", free=True).value() is None
    assert parse("name=${width}", free=True).value() == "${width}"
    assert parse("name=[a]", free=True).value() == ["a"]
    assert parse("name=a,größe,'c,d',007", free=True).is_sweep_override()
    values = parse("name=a,größe,'c,d',007", free=True).value()
    assert [getattr(one, "text", one) for one in values.list] == ["a", "größe", "c,d", "007"]  # type: ignore[union-attr]
    assert parse("name=choice(a,b)", free=True).is_sweep_override()


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_quoted_text_is_read_as_that_text(text: str) -> None:
    assert parse(f"name={quoted(text)}").value() == text
    assert parse(f"name={quoted(text)}", free=True).value() == text


@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0")))
def test_what_is_advised_is_one_argument_of_a_shell_and_that_text(text: str) -> None:
    (argument,) = shlex.split(as_one(f"name={text}"))
    assert parse(argument, free=True).value() == text.strip()


@given(st.from_regex(r"\w{1,12}", fullmatch=True))
def test_any_word_is_a_name(word: str) -> None:
    expected = None if word.lower() == "null" else word
    assert parse(f"name={word}", free=True).value() == expected


@given(st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans(), st.none()))
def test_a_number_is_read_as_it_is_typed(value: Any) -> None:
    text = str(value).lower() if isinstance(value, bool) else "null" if value is None else repr(value)
    assert parse(f"lr={text}").value() == value


WRONG = {
    "act=relu)": "nothing is open that the ) at character 9 could close",
    "act=(relu": "the ( at character 5 is not closed",
    "depth=[1,2": "the [ at character 7 is not closed",
    "depth={a:1": "the { at character 7 is not closed",
    "depth=[1)": "nothing is open that the ) at character 9 could close",
    "name='": "the ' at character 6 is not closed",
    "act=relu;": "';' at character 9 is not understood",
    "depth=3 # x": "'#' at character 9 is not understood",
    "depth=3=4": "= at character 8 is not understood",
    "depth=1,": "there is no value beside the comma at character 8",
    "depth=,1": "there is no value beside the comma at character 7",
    "depth=1,,2": "there is no value beside the comma at character 8",
    "depth=[1,2,]": "there is no value beside the comma at character 11",
    "name='a'b": "is not understood",
    "depth =3": "there is a blank beside the key; write depth=VALUE",
    "größe=3": "there is no setting größe",
    "act=foo(relu)": "there is no function foo",
    "act=glbo(s*)": "(did you mean glob?)",
    "seed=range(a)": "range is written range(STOP)",
    "seed=choice()": "choice is written choice(A,B,...)",
    "lr=interval(1)": "interval is written interval(LOW,HIGH)",
    "act=tag(relu)": "tag is written tag(NAME,SWEEP)",
    "lr=int(abc)": "int is written int(VALUE)",
    "seed=sort(1,a)": "sort is written sort(A,B,...)",
    "seed=choice(range(3))": "choice is written",
    "seed=1,range(3)": "a function of a sweep has to be the whole value",
    "seed=[range(3)]": "a function of a sweep has to be the whole value",
    "depth=" + "9" * 5000: "is a number of too many digits",
    "lr=1e-400": "1e-400 is closer to 0 than any number",
    "depth=\n": "'\\n' at character 7 is not understood",
}


@pytest.mark.parametrize("typed", WRONG)
def test_what_is_wrong_is_said_in_plain_words_with_its_place(typed: str) -> None:
    with pytest.raises(SettingError) as refused:
        parse(typed)
    said = str(refused.value)
    assert WRONG[typed] in said
    assert "\n" not in said
    assert not [word for word in PARSER if word in said]


@given(st.text(max_size=12), st.booleans())
def test_whatever_is_typed_is_read_or_refused_on_one_line(text: str, free: bool) -> None:
    said = refusal(f"depth={text}", free)
    assert len(said.splitlines()) <= 1
    assert not [word for word in PARSER if word in said.replace(text, "")]


def refusal(typed: str, free: bool) -> str:
    """What is said of it; nothing where it is read."""
    try:
        parse(typed, free)
    except SettingError as error:
        return str(error)
    return ""
