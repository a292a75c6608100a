"""How do candidates change over training?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from ...comparison import Comparison, Row
from ..table import ARROWS
from ..training_steps import steps_of
from .markup import Html, element
from .measures import numbers_of
from .scale import Scale, scale_of, ticks
from .section import Section

HEIGHT, TOP, BOTTOM = 170, 10, 148  # px: of a plot, and where its highest and lowest values lie


def steps_section(found: Comparison) -> Section | None:
    """A small plot a measure, the candidates' values and intervals over their steps."""
    names = list(dict.fromkeys(row.candidate for row in found.rows))
    numbers = steps_of(names)
    if numbers is None:
        return None
    steps = dict(zip(names, numbers, strict=True))
    plots = []
    for name in dict.fromkeys(row.name for row in found.rows):
        rows = sorted((r for r in found.rows if r.name == name), key=lambda r: steps[r.candidate])
        if len(rows) > 1:
            plots.append(_plot(found, rows, steps))
    if not plots:
        return None
    lead = (
        "The candidates in the order of the number in their names; bars are intervals. Training still helps where the "
        "line moves the right way by more than the bars."
    )
    return Section("steps", "Over training", [lead], element("div", {"class": "cards"}, *plots))


def _plot(found: Comparison, rows: Sequence[Row], steps: Mapping[str, float]) -> Html:
    floor = next((f for f in found.floor if f.name == rows[0].name), None)
    numbers = [n for row in rows for n in numbers_of(row.estimate)]
    if floor is not None:
        numbers.append(floor.estimate.corrected)
    across = scale_of([steps[row.candidate] for row in rows])
    upward = scale_of(numbers, zero=rows[0].direction == "lower is better")

    def y(value: float) -> str:
        return f"{BOTTOM - (BOTTOM - TOP) * upward.at(value) / 100:.1f}"

    drawn = _grid(across, upward, y)
    if floor is not None:
        at = y(floor.estimate.corrected)
        drawn.append(element("line", {"class": "mark", "x1": "0%", "x2": "100%", "y1": at, "y2": at}))
    at_steps = [(across.percent(steps[row.candidate]), row.estimate) for row in rows]
    for (x1, a), (x2, b) in pairwise(at_steps):
        drawn.append(
            element("line", {"class": "path", "x1": x1, "x2": x2, "y1": y(a.corrected), "y2": y(b.corrected)})
        )
    for (x, e), row in zip(at_steps, rows, strict=True):
        drawn.append(element("line", {"class": "bar", "x1": x, "x2": x, "y1": y(e.low), "y2": y(e.high)}))
        title = element("title", {}, f"{row.candidate}: {e}")
        drawn.append(
            element(
                "g", {}, title, element("circle", {"class": "dot", "cx": x, "cy": y(e.corrected), "r": 4})
            )
        )
    short, bracket, space = rows[0].name.partition("[")
    said = ", ".join(f"{row.candidate} {row.estimate}" for row in rows)
    return element(
        "article",
        {"class": "card"},
        element(
            "h3",
            {},
            short,
            element("span", {"class": "space"}, f"{bracket}{space}"),
            element("span", {"class": "direction"}, f"{ARROWS[rows[0].direction]} {rows[0].direction}"),
        ),
        element("svg", {"class": "chart", "height": HEIGHT, "role": "img", "aria-label": said}, *drawn),
    )


def _grid(across: Scale, upward: Scale, y: Callable[[float], str]) -> list[Html]:
    drawn = []
    for tick, label in ticks(upward):
        drawn.append(
            element("line", {"class": "grid", "x1": "0%", "x2": "100%", "y1": y(tick), "y2": y(tick)})
        )
        drawn.append(element("text", {"x": 0, "y": f"{float(y(tick)) - 3:.1f}"}, label))
    for tick, _ in ticks(across):
        label = _step_label(tick)
        drawn.append(
            element("text", {"x": across.percent(tick), "y": HEIGHT - 4, "text-anchor": "middle"}, label)
        )
    return drawn


def _step_label(step: float) -> str:
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if step >= size:
            return f"{step / size:g}{unit}"
    return f"{step:g}"
