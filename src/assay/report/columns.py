"""How are names and numbers set in columns?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..printable import printable

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Line:
    """One line of the table: a heading over a section, or a name and its numbers."""

    name: str
    cells: tuple[str, ...] = ()


def print_lines(lines: Sequence[Line], console: Console) -> None:
    """Numbers in columns, as narrow as they are; a name too long for what is left of the line has its own.

    Names may hold what classes and files are called: what is none to look at is spelled out.
    """
    from rich.text import Text

    lines = [replace(line, name=printable(line.name)) for line in lines]
    columns = max(len(line.cells) for line in lines)
    widths = [max(len(line.cells[k]) for line in lines if len(line.cells) > k) for k in range(columns)]
    longest = max(len(line.name) for line in lines if line.cells)
    gap = "  " if longest + sum(widths) + 2 * columns <= console.width else " "
    name_width = min(longest, max(10, console.width - sum(widths) - len(gap) * columns))
    for number, line in enumerate(lines):
        heading = number == 0 or not line.cells
        text = Text(line.name, style="bold" if heading else "")
        if line.cells:
            if len(line.name) > name_width:
                console.print(text, soft_wrap=True)
                text = Text()
            text.append(" " * (name_width - len(text)))
            for k, (cell, width) in enumerate(zip(line.cells, widths, strict=False)):
                text.append(gap + cell.rjust(width), style="bold" if heading or k == 1 else "")
        text.rstrip()
        console.print(text, soft_wrap=True)
