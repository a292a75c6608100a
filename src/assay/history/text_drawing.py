"""Curves with their intervals as text, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from .axis import room, shown, ticks
from .series import Curves, Series

HEIGHT = 16
MARKS = "ox*+#@%&"  # of the series, in turn
DOTS = "\u25cf\u25cb\u25a0\u25a1\u25b2\u25b3\u25c6\u25c7"


@dataclass(frozen=True)
class Alphabet:
    """The characters of a drawing."""

    marks: str
    bar: str
    top: str
    bottom: str
    path: str
    wall: str
    floor: str
    corner: str


UNICODE = Alphabet(DOTS, "\u2502", "\u252c", "\u2534", "\u00b7", "\u2502", "\u2500", "\u2514")
ASCII = Alphabet(MARKS, "|", "-", "-", ".", "|", "-", "+")


def text_drawing(found: Curves, width: int, alphabet: Alphabet = UNICODE) -> list[str]:
    """The lines of a drawing at most `width` characters wide: what it shows, the curves, the axis, the legend."""
    points = [p for one in found.series for p in one.points]
    low, high = room(min(p.low for p in points), max(p.high for p in points))
    left, right = min(p.x for p in points), max(p.x for p in points)
    labels = {_row(tick, low, high): shown(tick) for tick in ticks(low, high, 5)}
    margin = max(map(len, labels.values()), default=0)
    across = max(10, width - margin - 3)
    canvas = [[" "] * across for _ in range(HEIGHT)]
    for number, one in enumerate(found.series):
        _draw(canvas, one, alphabet, alphabet.marks[number % len(alphabet.marks)], (left, right, low, high))
    lines = [f"{found.name}, {found.direction}; against {found.real}"]
    for row, cells in enumerate(canvas):
        lines.append(f"{labels.get(row, ''):>{margin}} {alphabet.wall}{''.join(cells).rstrip()}")
    lines.append(f"{'':>{margin}} {alphabet.corner}{alphabet.floor * across}")
    lines.append(f"{'':>{margin}}  {_below(left, right, across)}".rstrip())
    lines.append(f"{'':>{margin}}  {found.x}; bars are intervals")
    if len(found.series) > 1:
        for number, one in enumerate(found.series):
            lines.append(f"{'':>{margin}}  {alphabet.marks[number % len(alphabet.marks)]} {one.name}")
    return lines


def _draw(
    canvas: list[list[str]],
    one: Series,
    alphabet: Alphabet,
    mark: str,
    box: tuple[float, float, float, float],
) -> None:
    left, right, low, high = box
    places = [(_column(p.x, left, right, len(canvas[0])), _row(p.value, low, high), p) for p in one.points]
    for (x1, y1, _), (x2, y2, _) in pairwise(places):
        for x in range(x1 + 1, x2):
            y = round(y1 + (y2 - y1) * (x - x1) / (x2 - x1))
            if canvas[y][x] == " ":
                canvas[y][x] = alphabet.path
    for x, y, p in places:
        top, bottom = _row(p.high, low, high), _row(p.low, low, high)
        for at in range(top, bottom + 1):
            canvas[at][x] = alphabet.bar
        if top < y:
            canvas[top][x] = alphabet.top
        if bottom > y:
            canvas[bottom][x] = alphabet.bottom
        canvas[y][x] = mark


def _row(value: float, low: float, high: float) -> int:
    return min(HEIGHT - 1, max(0, round((high - value) / (high - low) * (HEIGHT - 1))))


def _column(x: float, left: float, right: float, across: int) -> int:
    # a column from either wall, where bars would touch it
    return across // 2 if left == right else 1 + round((x - left) / (right - left) * (across - 3))


def _below(left: float, right: float, across: int) -> str:
    """The axis' numbers, each under its place."""
    line = [" "] * (across + 8)
    free = 0
    for tick in ticks(left, right, max(2, across // 12)):
        text = shown(tick)
        at = max(0, _column(tick, left, right, across) - len(text) // 2)
        if at >= free:
            line[at : at + len(text)] = text
            free = at + len(text) + 1
    return "".join(line).rstrip()


def legible(lines: Sequence[str], encoding: str) -> bool:
    """Whether the drawing can be written in the encoding."""
    try:
        "\n".join(lines).encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
