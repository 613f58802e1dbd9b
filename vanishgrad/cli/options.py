"""`vanishgrad options`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from vanishgrad.cli.arguments import keywords, own_choices
from vanishgrad.cli.terminal import PrintableConsole, print_json, show
from vanishgrad.config.catalogue import Choice, ChoiceGroup, Parameter, groups, scalars
from vanishgrad.config.typed import shown
from vanishgrad.errors import one_of, require
from vanishgrad.printing import essential
from vanishgrad.records import strict


@essential()
def options(arguments: Sequence[str]) -> int:
    """Print everything that can be set, or one group of it, as text or as JSON."""
    arguments, _ = own_choices(arguments)
    names = [argument for argument in arguments if "=" not in argument]
    values = keywords([argument for argument in arguments if "=" in argument], ("format",))
    require(len(names) <= 1, f"options {' '.join(names)}: one group at a time")
    style = values.get("format", "text")
    one_of("format", style, ("text", "json"))
    numbers, listed = ([] if names else scalars()), groups()
    for name in names:
        one_of("options", name, [group.name for group in listed])
        listed = [group for group in listed if group.name == name]
    if style == "json":
        print_json(_document(numbers, listed))
    else:
        _show(PrintableConsole(), numbers, listed)
    return 0


def _document(numbers: Sequence[Parameter], chosen: Sequence[ChoiceGroup]) -> Any:
    document: dict[str, Any] = {"groups": [asdict(group) for group in chosen]}
    if numbers:
        document = {"scalars": [asdict(number) for number in numbers]} | document
    return strict(document)


def _show(console: Console, numbers: Sequence[Parameter], chosen: Sequence[ChoiceGroup]) -> None:
    if numbers:
        console.print(Text("numbers", style="bold"))
        show(console, Padding(_parameters(numbers), (0, 0, 1, 2)))
    for group in chosen:
        default = "the data's own" if group.default is None else group.default
        show(console, Text.assemble((group.name, "bold"), f"  {group.meaning}  Default: {default}"))
        show(console, Padding(_choices(group), (0, 0, 1, 2)))


def _choices(group: ChoiceGroup) -> Table:
    table = _grid()
    for choice in group.choices:
        table.add_row(Text(choice.name, style="cyan"), _described(choice))
    return table


def _described(choice: Choice) -> Text:
    lines = [choice.summary]
    lines += [f"{item.key}={shown(item.default)}  {item.meaning}" for item in choice.parameters]
    return Text("\n".join(lines))


def _parameters(numbers: Sequence[Parameter]) -> Table:
    table = _grid()
    for item in numbers:
        table.add_row(Text(f"{item.key}={shown(item.default)}", style="cyan"), Text(item.meaning))
    return table


def _grid() -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    return table
