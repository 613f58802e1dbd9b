"""A CSV table of a run read: its whole rows, or those of few steps, in columns of their kinds."""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate, pairwise, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from vanishgrad.errors import short
from vanishgrad.schema import MOST, Fault, Misfit, opened

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

# What a spreadsheet takes for a formula, behind the quotes that were put before it (OWASP, CSV injection).
FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def harmless(text: str) -> str:
    """A text as a cell that no spreadsheet takes for a formula: with a quote before it, if it looks like one.

    A number stays a number.

    Example:
        >>> harmless("=1+1"), harmless("+relu"), harmless("relu"), harmless("-0.5")
        ("'=1+1", "'+relu", 'relu', '-0.5')
    """
    return f"'{text}" if FORMULA.match(text) and not _is_number(text) else text


def original(cell: str) -> str:
    """The text that `harmless` made a cell of."""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) and not _is_number(cell) else cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii() and text == text.strip()


def written(table: pd.DataFrame, digits: int) -> bytes:
    """A table for people as CSV, without its index: numbers of so many digits, cells and heads `harmless`.

    Arguments:
        table: with columns of numbers, text, or both.
        digits: significant ones.
    """
    text = table.select_dtypes(exclude=["number", "bool"])
    changed = {name: text[name].map(_harmless_cell) for name in text.columns}
    safe = table.assign(**changed).rename(columns=lambda name: harmless(str(name)))
    returns = any("\r" in str(cell) for name in changed for cell in changed[name].unique())
    quoting: Literal[0, 2] = csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL  # leaves a return alone
    content: str = safe.to_csv(index=False, float_format=f"%.{digits}g", quoting=quoting)
    return content.encode()


def _harmless_cell(cell: Any) -> Any:
    return harmless(cell) if isinstance(cell, str) else cell


def read_text(path: Path) -> pd.DataFrame:
    """A table that `written` wrote, its text as it was; empty fields are empty text."""
    import pandas as pd

    table = pd.read_csv(path, keep_default_na=False).rename(columns=original)
    text = table.select_dtypes(exclude=["number", "bool"])
    return table.assign(**{name: text[name].map(original) for name in text.columns})


@dataclass(frozen=True)
class Layout:
    """What the columns of tables hold.

    Arguments:
        text: columns of text.
        counts: columns of integers from 0 on, none of them empty.
        numbers: columns of numbers, of which some may be empty.
    """

    text: Collection[str]
    counts: Collection[str]
    numbers: Collection[str]

    def kinds(self, names: Iterable[object]) -> dict[str, str]:
        """The kinds of known columns, as pandas calls them; others are of other programs, or later ones."""
        known = {"str": self.text, "int64": self.counts, "float64": self.numbers}
        return {str(name): kind for name in names for kind, those in known.items() if name in those}


class Columns:
    """A table in memory as arrays: what a run needs of its own tables, without the second that pandas takes.

    `columns[name]`, `name in columns` and `len(columns)` are those of the DataFrame.

    Arguments:
        arrays: by the name of the column, all of one length.
        layout: what the columns hold.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]], layout: Layout) -> None:
        self._arrays, self._layout = dict(arrays), layout

    @classmethod
    def of(cls, cells: Iterable[Sequence[Any]], names: Sequence[str], layout: Layout) -> Columns:
        """Rows in memory, or the fields of rows as they are written; what is empty is NaN."""
        rows = list(cells)
        columns = zip(*rows, strict=True) if rows else repeat((), len(names))
        kinds, pairs = layout.kinds(names), zip(names, columns, strict=True)
        return cls({name: _array(kinds[name], column) for name, column in pairs}, layout)

    @classmethod
    def read(cls, table: pd.DataFrame, layout: Layout) -> Columns:
        """A DataFrame."""
        return cls({str(name): table[name].to_numpy() for name in table}, layout)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._arrays[name]

    def __contains__(self, name: object) -> bool:
        return name in self._arrays

    def __len__(self) -> int:
        return len(next(iter(self._arrays.values()), ()))

    def frame(self) -> pd.DataFrame:
        """The same as a DataFrame."""
        import pandas as pd

        return typed(pd.DataFrame(self._arrays), self._layout)


def _array(kind: str, cells: Sequence[Any]) -> NDArray[Any]:
    import numpy as np

    if kind == "str":
        return np.array([original(cell) for cell in cells], dtype=object)
    if kind == "int64":
        return np.array(list(map(int, cells)), dtype=np.int64)
    return np.array([math.nan if cell in ("", None) else float(cell) for cell in cells], dtype=np.float64)


def read(
    path: Path, layout: Layout, columns: Sequence[str] | None = None, most_steps: int | None = None
) -> pd.DataFrame:
    """The complete rows of a table; a last one that a crash cut short is none.

    Arguments:
        path: of the file.
        layout: of its columns.
        columns: those that are read; None: all.
        most_steps: at most about so many steps are read, evenly spaced; None: all.

    Raises:
        FileNotFoundError: when there is no such file.
        Fault: when it is not a table of numbers, names and counts, or lacks one of the `columns`.
    """
    return _parsed([_taken(path, columns, most_steps)], layout, columns)[0]


class Taken(NamedTuple):
    """Whole rows of a file as they are, and the head that they stand under."""

    head: tuple[str, ...]
    rows: bytes


TOGETHER = 1 << 22  # bytes that are parsed at a time: of small tables most time goes into beginning


def read_each(
    paths: Iterable[Path], layout: Layout, most_steps: int | None = None
) -> Iterator[pd.DataFrame | Fault | None]:
    """`read` of many files, one after the other, which of small ones takes a fraction of the time.

    What is wrong with a file comes in place of its table, and None where there is no file.
    """
    waiting = list[Taken | Fault | None]()
    size = 0
    for path in paths:
        try:
            waiting.append(taken := _taken(path, None, most_steps))
            size += len(taken.rows)
        except Fault as fault:
            waiting.append(fault)
        except FileNotFoundError:
            waiting.append(None)
        if size > TOGETHER or len(waiting) == 1 << 8:
            yield from _parsed_together(waiting, layout)
            waiting, size = [], 0
    yield from _parsed_together(waiting, layout)


def _parsed_together(
    waiting: Sequence[Taken | Fault | None], layout: Layout
) -> Iterator[pd.DataFrame | Fault | None]:
    """What files hold; all that stand under one head are parsed as one, unless something is wrong with it."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for place, one in enumerate(waiting):
        if isinstance(one, Taken):
            groups.setdefault(one.head, []).append(place)
    tables: dict[int, pd.DataFrame] = {}
    for places in groups.values():
        with suppress(Fault):
            group = [one for place in places if isinstance(one := waiting[place], Taken)]
            tables |= zip(places, _parsed(group, layout, None), strict=True)
    for place, one in enumerate(waiting):
        yield tables[place] if place in tables else _alone(one, layout)


def _alone(one: Taken | Fault | None, layout: Layout) -> pd.DataFrame | Fault | None:
    if not isinstance(one, Taken):
        return one
    try:
        return _parsed([one], layout, None)[0]
    except Fault as fault:
        return fault


def _taken(path: Path, columns: Sequence[str] | None, most_steps: int | None) -> Taken:
    data = _text(path)
    head = _head(data)
    for name in columns or ():
        needs(head, name)
    data = _whole(data) if most_steps is None else _of_few_steps(data, most_steps)
    _refuse_ragged(data, len(head))
    return Taken(tuple(head), data[data.find(b"\n") + 1 :])


def needs(head: Sequence[str], name: str) -> None:
    """Refuse a table without a column that it needs."""
    if name not in head:
        raise Fault(f"has no column {name}; its first line is {short(','.join(map(str, head)))}")


ENDS = 1 << 16  # bytes at both ends that are looked at before a table is read


def _text(path: Path) -> bytes:
    """The bytes of a table; those of a disk that lost power, zeros at their end, are not read."""
    with opened(path) as file:
        try:
            begins = file.read(ENDS)
            file.seek(max(0, file.seek(0, os.SEEK_END) - ENDS))
            if b"\0" in begins or b"\0" in file.read():
                raise Fault("is not text: it has bytes of 0")
            file.seek(0)
            return file.read()
        except OSError as error:
            raise Fault(f"is not readable: {error.strerror}") from None
        except MemoryError:
            raise Fault("does not fit into memory") from None


def _head(data: bytes) -> list[str]:
    """The names of the columns."""
    if not data:
        raise Fault("is empty")
    if b"\0" in data:
        raise Fault("is not text: it has bytes of 0")
    end = data.find(b"\n")
    if end < 0:
        raise Fault("is empty but for a part of a line")
    try:
        line = data[:end].decode("utf-8-sig").rstrip("\r")
    except UnicodeDecodeError as error:
        raise Fault(f"is not text in UTF-8, at byte {error.start}") from None
    head = line.split(",")
    twice = [name for name in dict.fromkeys(head) if head.count(name) > 1]
    if twice:
        raise Fault(f"has the column {short(twice[0])} twice")
    return head


def _whole(data: bytes) -> bytes:
    if b'"' not in data:
        return data if data.endswith(b"\n") else data[: data.rfind(b"\n") + 1]
    return data[: _ends(data).max(initial=0)]


def _ends(data: bytes) -> NDArray[np.int64]:
    """Where lines end: behind every line break that is not a part of a quoted field."""
    import numpy as np

    text = np.frombuffer(data, np.uint8)
    breaks = text == ord("\n")
    if b'"' in data:
        breaks &= ~np.logical_xor.accumulate(text == ord('"'))
    return np.flatnonzero(breaks) + 1


def _refuse_ragged(data: bytes, width: int) -> None:
    """Refuse rows with more or fewer fields than the head; with quoted ones pandas counts."""
    if b'"' in data or data.count(b",") == data.count(b"\n") * (width - 1):
        return
    line = next(line for line in data.split(b"\n")[:-1] if line.count(b",") != width - 1)
    fields, text = line.count(b",") + 1, short(line.decode(errors="replace"))
    raise Fault(f"has {fields} field{'s' * (fields > 1)} in a row where the head has {width}: {text}")


def _parsed(group: Sequence[Taken], layout: Layout, columns: Sequence[str] | None) -> list[pd.DataFrame]:
    """The tables of files with one head."""
    head = group[0].head
    data = b"".join([(",".join(head) + "\n").encode(), *(one.rows for one in group)])
    table = typed(_of_csv(data, head, layout, columns), layout)
    if len(group) == 1:
        return [table]
    ends = list(accumulate(one.rows.count(b"\n") for one in group))
    if ends[-1] != len(table):
        raise Fault("has rows of several lines")
    return [table.iloc[begin:end].reset_index(drop=True) for begin, end in pairwise([0, *ends])]


def _of_csv(data: bytes, head: Sequence[str], layout: Layout, columns: Sequence[str] | None) -> pd.DataFrame:
    import pandas as pd

    numbers = [name for name, kind in layout.kinds(head).items() if kind != "str"]
    try:
        table = pd.read_csv(
            io.BytesIO(data), usecols=None if columns is None else list(columns), keep_default_na=False,
            na_values={name: ["", "nan"] for name in numbers}, dtype=dict.fromkeys(layout.text, "str"),
            low_memory=False,
        )  # fmt: skip
    except UnicodeDecodeError as error:
        raise Fault(f"is not text in UTF-8, at byte {error.start}") from None
    except (pd.errors.ParserError, ValueError, OverflowError) as error:
        raise Fault(f"is not a table: {short(str(error))[1:-1]}") from None
    if not isinstance(table.index, pd.RangeIndex):
        raise Fault(f"has more fields in its rows than the {len(head)} of its head")
    if b"'" in data:
        for name in set(layout.text) & set(table.columns):
            table[name] = table[name].map(original)
    return table


def typed(table: pd.DataFrame, layout: Layout) -> pd.DataFrame:
    """Counts as integers, names as text, everything else as float64 (an empty field is NaN).

    Raises:
        Fault: for a field that is none of its column's kind.
    """
    kinds = layout.kinds(table.columns)
    other = {name: kind for name, kind in kinds.items() if str(table[name].dtype) != kind}
    for name in other:
        if kinds[name] != "str":
            _refuse_other(table[name], name, kinds[name])
    for name, kind in kinds.items():
        if kind == "int64" and name not in other and len(table):
            _refuse_range(table[name], name)
    return table.astype(other) if other else table


def _refuse_other(values: pd.Series[Any], name: str, kind: str) -> None:
    """Refuse what is no number; in a column of counts what is no count."""
    import numpy as np
    import pandas as pd

    is_number = values.dtype.kind in "iuf"
    known = values.notna()
    numbers = values if is_number else pd.to_numeric(values.astype(str).where(known), errors="coerce")
    wrong = numbers.isna() & known
    if kind == "int64":
        whole = np.asarray(numbers, dtype=np.float64)
        with np.errstate(invalid="ignore"):
            wrong |= ~((whole >= 0) & (whole <= MOST) & (whole == np.floor(whole)))
    if wrong.any():
        value = values[wrong].iloc[0]
        rule = "an integer from 0 on" if kind == "int64" else "a number"
        raise Misfit(f"{name} must be {rule}, is {'empty' if pd.isna(value) else short(str(value))}")


def _refuse_range(values: pd.Series[Any], name: str) -> None:
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > MOST:
        raise Misfit(f"{name} must be an integer from 0 on, is {low if low < 0 else high}")


def evenly_spaced(steps: Sequence[Any], most: int) -> Sequence[Any]:
    """At most about `most` of the logged steps, evenly spaced, always the first and the last.

    Strides are powers of two, so that runs of one length keep the same steps.
    """
    if len(steps) <= most:
        return steps
    stride = 1
    while len(steps) > stride * most:
        stride *= 2
    return [*steps[:-1:stride], steps[-1]]


STEP_DIGITS = 20  # of a step that is told from the next one


def _of_few_steps(data: bytes, most_steps: int) -> bytes:
    """The rows of `evenly_spaced` steps; all where the step is not the first column. Saves time."""
    import numpy as np

    if not data.startswith((b"step,", b"\xef\xbb\xbfstep,")):
        return _whole(data)
    signs = np.frombuffer(data, np.uint8)
    ends = _ends(data)  # of the head and the whole rows
    if not ends.size:
        return b""
    begins = [*_begins(signs, ends[:-1]).tolist(), int(ends[-1])]
    if len(begins) - 1 <= most_steps:
        return data[: ends[-1]]
    after = dict(pairwise(begins))
    kept = [data[begin : after[begin]] for begin in evenly_spaced(begins[:-1], most_steps)]
    return data[: ends[0]] + b"".join(kept)


def _begins(signs: NDArray[np.uint8], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where the rows of each step begin, of rows that begin at `starts`.

    Every step of a network has as many rows: only the first and the last of as many are looked at, and all
    where they do not agree.
    """
    import numpy as np

    if not starts.size:
        return starts
    one = _steps(signs, starts[:1])
    count = next(
        (n for n in range(1, len(starts)) if (_steps(signs, starts[n : n + 1]) != one).any()), len(starts)
    )
    if len(starts) % count == 0:
        firsts, lasts = _steps(signs, starts[::count]), _steps(signs, starts[count - 1 :: count])
        if (firsts == lasts).all() and (firsts[1:] != firsts[:-1]).any(axis=1).all():
            return starts[::count]
    every = _steps(signs, starts)
    return starts[np.append(True, (every[1:] != every[:-1]).any(axis=1))]


def _steps(signs: NDArray[np.uint8], starts: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The first field of rows, `(rows, STEP_DIGITS)`, 0 behind its end."""
    import numpy as np

    places = np.minimum(starts[:, None] + np.arange(STEP_DIGITS), signs.size - 1)
    field = signs[places]
    field[np.logical_or.accumulate(field == ord(","), axis=1)] = 0
    return field
