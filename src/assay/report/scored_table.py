"""`Scores` as a table in a terminal, a pipe or a notebook."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import MissingExtra
from ..printable import printable
from .columns import Line, print_lines
from .numbers import decimals, shown, value_and_interval
from .sentences import decisions
from .table import ARROWS, ASCII_ARROWS, PLAIN_WIDTH

if TYPE_CHECKING:
    from rich.console import Console

    from ..scoring.scores import Scores

LISTED = 5


def as_text(found: Scores, width: int = PLAIN_WIDTH) -> str:
    """All that is printed, as plain text."""
    try:
        from rich.console import Console
    except ImportError:
        raise MissingExtra("rich", "cli", "the table of scores") from None
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=False, emoji=False)
    with console.capture() as capture:
        print_scores(found, console)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def print_scores(found: Scores, console: Console, *, worst: int = LISTED, by: str | None = None) -> None:
    """The conditions, the table, which candidate is better, the worst pairs, then the notes.

    Args:
        found: the scores.
        console: where to, as wide as it is.
        worst: how many of each candidate's worst pairs.
        by: the measure they are worst by; the first one by default.
    """

    arrows = ARROWS if "utf" in (console.encoding or "").lower() else ASCII_ARROWS
    for line in headlines(found):
        _hanging(console, line, "", "  ")
    console.print()
    print_lines(_table(found, arrows), console)
    for heading, sentences in decisions(found.comparison):
        console.print()
        _hanging(console, heading, "", "  ", style="bold")
        for line in sentences:
            _hanging(console, line, "  ", "    ")
    if worst > 0:
        name = found.measure_called(by)
        for candidate in found.restored:
            console.print()
            which = f" of {candidate}" if len(found.restored) > 1 else ""
            print_lines(_worst(found, candidate, name, worst, f"worst{which} by {name}"), console)
    console.print()
    used = sorted({row.direction for row in found.rows}, reverse=True)
    for line in ["; ".join(f"{arrows[d]} {d}" for d in used), *map(str, found.notes)]:
        _hanging(console, line, "", "  ", style="dim")


def headlines(found: Scores) -> list[str]:
    """What was scored against what, and under which conditions."""
    goal = found.settings["real"]
    how = {"name": "matched by name", "common": "the names that all sets have", "order": "matched by order"}
    pairs = "pair" if len(found) == 1 else "pairs"
    clusters = found.settings["clusters"]
    groups = "" if clusters is None else f"; {clusters:,} {'cluster' if clusters == 1 else 'clusters'}"
    match = found.settings["match"]
    files = match == "name" and all(
        one.alone for one in found.images.values()
    )  # a pair, whatever they are called
    return [
        f"target: {goal['name']}, {len(found):,} {pairs}{'' if files else f', {how[match]}'}{groups}",
        f"measured: {found.settings['measured']}; values in [0, 1]",
    ]


def _worst(found: Scores, candidate: str, by: str, count: int, title: str) -> list[Line]:
    """A head, then for each of the worst pairs its name and its values, the measure that orders them first."""
    order = [by, *(each for each in found.measures if each != by)]
    places = {each: places_of(found.values[candidate][each]) for each in order}
    rows = [
        Line(
            f"  {found.restored[candidate][row]}",
            tuple(shown(float(found.values[candidate][each][row]), places[each]) for each in order),
        )
        for row in found.worst_pairs(candidate, by)[:count]
    ]
    return [Line(title, tuple(order)), *rows]


def places_of(values: NDArray[np.float64]) -> int | None:
    """Decimals that tell the pairs' values apart: two digits of the spread of those that are finite."""
    finite = values[np.isfinite(values)]
    spread = float(finite.std()) if len(finite) else 0.0
    return decimals(-spread, spread)


def _table(found: Scores, arrows: Mapping[str, str]) -> list[Line]:
    lines = [Line("", ("", "mean", f"{100 * found.settings['level']:g}% interval"))]
    candidate = None
    for row in found.rows:
        if row.candidate != candidate:
            candidate = row.candidate
            lines.append(Line(candidate))
        value, interval, _ = value_and_interval(row.estimate)
        lines.append(Line(f"  {row.name}", (arrows[row.direction], value, interval)))
    return lines


def _hanging(console: Console, line: str, first: str, rest: str, style: str = "") -> None:
    from rich.text import Text

    wrapped: list[Any] = textwrap.wrap(
        printable(line), console.width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False
    )
    for piece in wrapped:
        console.print(Text(piece, style=style), soft_wrap=True)
