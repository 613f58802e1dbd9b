"""One `KEY=VALUE` in Hydra's grammar, and what is wrong with it, in words that know no parser."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, Quote, QuotedString, Sweep, ValueType
from hydra.errors import HydraException

from vanishgrad.errors import SettingError, cut, one_of, require

EXAMPLE = "write KEY=VALUE, such as depth=20 or act=sigmoid"
PAIRS = {"(": ")", "[": "]", "{": "}"}
PLAIN = re.compile(r"""[\w\s/\\+.$%*@?|:,='"()\[\]{}-]""", re.ASCII)  # what may stand outside quotes
NUMBER = re.compile(r"(?<![\w.])[+-]?\d*\.?\d+[eE][+-]?\d+(?!\w)")
CALL = re.compile(r"\s*(\w+)\s*\(.*\)\s*", re.DOTALL)
INNERMOST = re.compile(r"while evaluating '(\w+)\(")
FUNCTIONS = {
    "choice": "choice(A,B,...), such as act=choice(relu,tanh); null stands in a bare list, loss=null,mse",
    "range": "range(STOP), range(START,STOP) or range(START,STOP,STEP) in numbers, such as seed=range(5)",
    "glob": "glob(PATTERN), such as act=glob(s*) or act=glob([s*,t*],exclude=selu)",
    "interval": "interval(LOW,HIGH) in numbers, such as lr=interval(0.01,1)",
    "shuffle": "shuffle(A,B,...) or shuffle(range(N)), such as depth=shuffle(1,2,4)",
    "sort": "sort(A,B,...) or sort(range(N)), all numbers or all text, such as depth=sort(4,1,2)",
    "tag": "tag(NAME,SWEEP), such as seed=tag(mine,range(5))",
    "int": "int(VALUE), of a number",
    "float": "float(VALUE), of a number",
    "str": "str(VALUE)",
    "bool": "bool(VALUE), of true or false",
}


def parse(text: str, free: bool = False) -> Override:
    """An override in Hydra's grammar; its `input_line` is what Hydra may be given.

    Arguments:
        text: as typed, with an equals sign or a tilde.
        free: whether the value is any text, such as a name or a folder: then it needs no quotes where it
            can only be meant as it stands, and a number is the text that was typed.

    Raises:
        SettingError: that says where the text goes wrong, and what would be right.
    """
    if free and "=" in text:
        key, _, value = text.partition("=")
        text = f"{key}={','.join(map(_as_text, pieces(value)))}"
    found = _parsed(text, free)
    _check_nesting(found)
    if not free:
        _check_digits(text)
    return found


def quoted(text: str) -> str:
    """`text` as a value that the grammar takes for that text, whatever is in it."""
    return QuotedString(text, Quote.single).with_quotes()


def as_one(text: str) -> str:
    """An override as a shell takes it whose value, whatever is in it, is one text.

    >>> print(as_one("name=a,b"))
    "name='a,b'"
    """
    key, _, value = text.partition("=")
    argument = f"{key}={quoted(value.strip())}"
    return shlex.quote(argument) if re.search(r'[$`"\\!]', argument) else f'"{argument}"'


def pieces(value: str) -> Iterator[str]:
    """The values between commas that stand outside of quotes and brackets."""
    start, depth, quote = 0, 0, ""
    for place, sign in enumerate(value):
        if quote:
            quote = "" if sign == quote and value[place - 1] != "\\" else quote
        elif sign in "'\"" and not value[start:place].strip():
            quote = sign
        elif sign in "([{":
            depth += 1
        elif sign in ")]}":
            depth -= 1
        elif sign == "," and depth <= 0:
            yield value[start:place]
            start = place + 1
    yield value[start:]


def _as_text(piece: str) -> str:
    """A piece of a text's value, in quotes where the grammar would not read it as it stands."""
    stripped = piece.strip()
    if not stripped or stripped[0] in "'\"[{" or "${" in stripped:
        return piece
    try:
        value = OverridesParser.create().parse_override(f"name={piece}").value()
    except (HydraException, ValueError):
        call = CALL.fullmatch(piece)
        return piece if call is not None and call[1] in FUNCTIONS else quoted(stripped)
    return quoted(stripped) if isinstance(value, int | float) else piece


def _parsed(text: str, free: bool) -> Override:
    try:
        return OverridesParser.create().parse_overrides([text])[0]
    except (HydraException, ValueError) as error:  # ValueError: an integer of thousands of digits
        require("integer string conversion" not in str(error), f"{cut(text)}: is a number of too many digits")
        raise SettingError(f"{cut(text)}: {_reason(text, str(error), free)}") from None


def _check_nesting(override: Override) -> None:
    """Refuse a sweep inside of a list or of another sweep."""
    value = override._value
    inner = value.list if isinstance(value, ChoiceSweep) else value if isinstance(value, list) else ()
    require(
        not any(isinstance(item, Sweep) for item in inner),
        f"{cut(override.input_line or '')}: a function of a sweep has to be the whole value; "
        f"write {override.key_or_group}=range(3) or {override.key_or_group}=1,2,3",
    )


def _check_digits(text: str) -> None:
    """Refuse a number that is closer to 0 than any there is: it would be 0."""
    for number in NUMBER.findall(text.partition("=")[2]):
        significant = re.search("[1-9]", number.lower().partition("e")[0])
        require(
            not significant or float(number) != 0, f"{cut(text)}: {number} is closer to 0 than any number"
        )


def _reason(text: str, said: str, free: bool) -> str:
    """What is wrong with a text that the grammar does not take, and what to write."""
    key, _, value = text.partition("=")
    if call := INNERMOST.search(said):
        return _of_call(call[1])
    if problem := _of_key(key):
        return problem
    right = f"to have it as text, quote it: {as_one(text)}" if free else EXAMPLE
    return f"{_of_value(value, len(key) + 1)}; {right}"


def _of_call(name: str) -> str:
    try:
        one_of("", name, FUNCTIONS)
    except SettingError as error:
        return f"there is no function {name}{str(error).removeprefix(f'={name}')}"
    return f"{name} is written {FUNCTIONS[name]}"


def _of_key(key: str) -> str:
    plain = key.strip().lstrip("+~")
    if key != key.strip():
        return f"there is a blank beside the key; write {key.strip()}=VALUE"
    if re.fullmatch(r"[\w$./@-]*", plain, re.ASCII):
        return ""
    return f"there is no setting {plain}; a key is made of letters, digits, _ and dots"


def _of_value(value: str, before: int) -> str:
    """The first thing in a value that cannot be read, by its character in the whole text."""
    opened: list[tuple[str, int]] = []
    quote: tuple[str, int] | None = None
    for place, sign in enumerate(value, before + 1):
        if quote is not None:
            closes = sign == quote[0] and value[place - before - 2] != "\\"
            quote = None if closes else quote
        elif sign in "'\"":
            quote = (sign, place)
        elif sign in PAIRS:
            opened.append((sign, place))
        elif sign in PAIRS.values():
            if not opened or PAIRS[opened[-1][0]] != sign:
                return f"nothing is open that the {sign} at character {place} could close"
            opened.pop()
        elif not PLAIN.match(sign) or sign in "\n\r":
            return f"{sign!r} at character {place} is not understood"
    if quote is not None:
        return f"the {quote[0]} at character {quote[1]} is not closed"
    if opened:
        return f"the {opened[-1][0]} at character {opened[-1][1]} is not closed"
    return _of_signs(value, before)


def _of_signs(value: str, before: int) -> str:
    """The same where quotes and brackets are in order."""
    if gap := re.search(r"^\s*,|,\s*(?=[,)\]}]|$)|(?<=[(\[{])\s*,", value):
        return f"there is no value beside the comma at character {before + gap.start() + 1}"
    if sign := re.search(r"=", value):
        return f"= at character {before + sign.start() + 1} is not understood"
    if sign := re.search(r"""(?<=[\w'")\]}])\s*['"(\[{]""", value):
        return f"{sign[0].strip()} at character {before + sign.end()} is not understood there"
    return "is not understood"


def listed(override: Override, values: list[str]) -> Override:
    """The override as a sweep over `values`, which the grammar takes as they stand."""
    line = f"{override.get_key_element()}=choice({','.join(values)})"
    sweep = ChoiceSweep(list=list(values))
    return replace(override, value_type=ValueType.CHOICE_SWEEP, _value=sweep, input_line=line)
