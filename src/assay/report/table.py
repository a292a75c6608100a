"""A `Comparison` as a table in a terminal, a pipe or a notebook."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..comparison import Comparison, Floor, Row
from ..errors import MissingExtra
from ..printable import printable
from .class_table import class_tables
from .columns import Line, print_lines
from .explained import explained_lines
from .numbers import value_and_interval
from .published import published_lines
from .sentences import decisions

if TYPE_CHECKING:
    from rich.console import Console

PLAIN_WIDTH = 100
ARROWS = {"lower is better": "\u2193", "higher is better": "\u2191"}
ASCII_ARROWS = {"lower is better": "v", "higher is better": "^"}


def as_text(found: Comparison, width: int = PLAIN_WIDTH) -> str:
    """The whole report as plain text."""
    console = _console()(
        file=io.StringIO(), width=width, color_system=None, force_terminal=False, emoji=False
    )
    with console.capture() as capture:
        print_comparison(found, console)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def print_comparison(
    found: Comparison, console: Console, explained: Sequence[tuple[str, list[str]]] | None = None
) -> None:
    """The table, then which candidate is better and why, then the notes, as wide as the console is.

    `explained` is what is said of samples and groups, where the comparison has them no more.
    """
    from rich.text import Text

    unicode = "utf" in (console.encoding or "").lower()
    arrows = ARROWS if unicode else ASCII_ARROWS
    console.print(Text(printable(headline(found))))
    for lines in (published_lines(found, arrows), table(found, arrows), *class_tables(found, arrows)):
        if lines:
            console.print()
            print_lines(lines, console)
    explained = explained_lines(found) if explained is None else explained
    for heading, sentences in [*decisions(found), *explained]:
        console.print()
        console.print(Text(printable(heading), style="bold"))
        for line in sentences:
            _hanging(console, line, "  ", "    ")
    console.print()
    for line in [*legend(found, arrows), *map(str, found.notes)]:
        _hanging(console, line, "", "  ", style="dim")


def table(found: Comparison, arrows: Mapping[str, str]) -> list[Line]:
    """The table's head, then for each set a heading and one line a measure."""
    multiples = any(row.multiple is not None for row in found.rows)
    level = f"{100 * found.settings['level']:g}% interval"
    lines = [Line("", ("", "value", level, "raw", *(["x floor"] if multiples else [])))]
    candidate = None
    for row in found.rows:
        if row.candidate != candidate:
            candidate = row.candidate
            lines.append(Line(_candidate_heading(row, found)))
        lines.append(_numbers(row, arrows, *([multiple(row)] if multiples else [])))
    if found.aims:
        lines.append(Line(f"{found.aims[0].candidate}: the value to aim at"))
        lines += [_numbers(row, arrows) for row in found.aims]
    if found.floor:
        lines.append(Line(f"floor: two halves of the real set, {found.floor[0].samples:,} each"))
        lines += [_numbers(row, arrows) for row in found.floor]
    return lines


def _numbers(row: Row | Floor, arrows: Mapping[str, str], *more: str) -> Line:
    return Line(f"  {row.name}", (arrows[row.direction], *value_and_interval(row.estimate), *more))


def multiple(row: Row) -> str:
    """`3.2x`; `>120x` where only a bound is known; two digits, as a ratio of noisy values has no more."""
    if row.multiple is None:
        return "-"
    bound = row.multiple_is is not None and row.multiple_is.startswith("at least")
    whole = f"{float(f'{row.multiple:.2g}'):,.0f}" if row.multiple >= 10 else f"{row.multiple:#.2g}"
    return f"{'>' if bound else ''}{whole}x"


def headline(found: Comparison) -> str:
    """What all is measured against, and by which features."""
    real = found.settings["real"]
    return f"real: {real['name']}, {_count(real)} {real['unit']}; features: {found.settings['features']}"


def _count(described: Mapping[str, Any]) -> str:
    """Statistics do not always say of how many samples they are."""
    return "an unknown number of" if described["n"] is None else f"{described['n']:,}"


def _candidate_heading(row: Row, found: Comparison) -> str:
    for candidate in found.settings["candidates"]:
        if candidate["name"] == row.candidate:
            return f"{row.candidate}, {_count(candidate)} {candidate['unit']}"
    return row.candidate


def legend(found: Comparison, arrows: Mapping[str, str]) -> list[str]:
    """What the arrows and columns mean, a line each."""
    used = sorted({row.direction for row in found.rows}, reverse=True)
    lines = [
        "; ".join(f"{arrows[d]} {d}" for d in used)
        + "; value: freed of sample-size bias where the measure has one; raw: as computed"
    ]
    if any(row.multiple is not None for row in found.rows):
        lines.append(
            f"x floor: raw values of {found.floor[0].samples:,} samples a side in multiples of the floor's raw value; "
            "with >, a bound, where the floor is 0 within its interval"
        )
    return lines


def _hanging(console: Console, line: str, first: str, rest: str, style: str = "") -> None:
    from rich.text import Text

    wrapped = textwrap.wrap(
        printable(line), console.width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False
    )
    for piece in wrapped:
        console.print(Text(piece, style=style), soft_wrap=True)


def _console() -> type[Console]:
    try:
        from rich.console import Console
    except ImportError:
        raise MissingExtra("rich", "cli", "the table of a comparison") from None
    return Console
