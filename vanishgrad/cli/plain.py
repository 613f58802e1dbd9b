"""Printing what rich lays out, without the blanks that it puts after short lines."""

from __future__ import annotations

from rich.console import Console, RenderableType


def show(console: Console, *renderables: RenderableType) -> None:
    """Print; where nobody watches, no line ends in blanks, which would be noise in a file."""
    if console.is_terminal:
        console.print(*renderables, sep="\n")
        return
    with console.capture() as captured:
        console.print(*renderables, sep="\n")
    lines = captured.get().splitlines()
    console.out("\n".join(line.rstrip() for line in lines), highlight=False)
