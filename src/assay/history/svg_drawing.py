"""Curves with their intervals as an SVG file, which a browser opens and a page can include."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape

from .axis import room, shown, ticks
from .series import Curves, Point, Series

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 50, 60
COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
)  # told apart by the colour-blind too
NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #222 }
.title { font-weight: 600; font-size: 15px }
.grid { stroke: #ddd }
.paper { fill: #fff }
@media (prefers-color-scheme: dark) {
text { fill: #ddd } .grid { stroke: #444 } .paper { fill: #181818 }
}
"""

Place = Callable[[float], float]


def svg_drawing(found: Curves) -> str:
    """The text of an SVG file; names from outside stay text in it."""
    points = [p for one in found.series for p in one.points]
    low, high = room(min(p.low for p in points), max(p.high for p in points))
    left, right = room(min(p.x for p in points), max(p.x for p in points))

    def x(value: float) -> float:
        return LEFT + (value - left) / (right - left) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)

    title = f"{found.name}, {found.direction}; against {found.real}"
    legend = 20 * len(found.series) if len(found.series) > 1 else 0
    tall = HEIGHT + legend
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {tall}" width="{WIDTH}" height="{tall}" '
        f'role="img" aria-label="{_text(title)}">',
        f"<style>{STYLE}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{tall}"/>',
        f'<text class="title" x="{LEFT}" y="26">{_text(title)}</text>',
    ]
    for tick in ticks(low, high):
        at = f"{y(tick):.1f}"
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{at}" dy="4" text-anchor="end">{shown(tick)}</text>')
    bottom = HEIGHT - BOTTOM
    for tick in ticks(min(p.x for p in points), max(p.x for p in points)):
        parts.append(f'<text x="{x(tick):.1f}" y="{bottom + 20}" text-anchor="middle">{shown(tick)}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        f'<text x="{middle}" y="{bottom + 42}" text-anchor="middle">{_text(found.x)}; bars are intervals</text>'
    )
    for number, one in enumerate(found.series):
        colour = COLOURS[number % len(COLOURS)]
        parts += _curve(one, colour, x, y)
        if legend:
            line = HEIGHT + 20 * number
            parts.append(f'<circle cx="{LEFT}" cy="{line}" r="4" fill="{colour}"/>')
            parts.append(f'<text x="{LEFT + 12}" y="{line}" dy="4">{_text(one.name)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _curve(one: Series, colour: str, x: Place, y: Place) -> list[str]:
    line = " ".join(f"{x(p.x):.1f},{y(p.value):.1f}" for p in one.points)
    parts = [f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>']
    for p in one.points:
        at, top, bottom = f"{x(p.x):.1f}", f"{y(p.high):.1f}", f"{y(p.low):.1f}"
        parts.append(
            f'<path d="M{at} {top}V{bottom}m-4 0h8M{at} {top}m-4 0h8" fill="none" stroke="{colour}"/>'
            f'<circle cx="{at}" cy="{y(p.value):.1f}" r="4" fill="{colour}"><title>{_text(_said(p))}</title></circle>'
        )
    return parts


def _said(p: Point) -> str:
    return f"{p.candidate}, run {p.run}: {p.value:.4g} [{p.low:.4g}, {p.high:.4g}]"


def _text(text: str) -> str:
    return escape(NOT_XML.sub("\ufffd", text))
