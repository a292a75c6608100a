"""What does each class score?"""

from __future__ import annotations

from ...comparison import Comparison, Row
from ..numbers import value_and_interval
from ..table import ARROWS
from .markup import Html, element, shortened
from .section import Section, scrolling, tabs


def classes_section(found: Comparison) -> Section | None:
    """A sortable table a candidate: a line a class, a column a measure."""
    if not found.classes:
        return None
    candidates = dict.fromkeys(row.candidate for row in found.classes)
    panels = [(name, _table(name, [r for r in found.classes if r.candidate == name])) for name in candidates]
    lead = [
        "Each class of the candidate against the same class of the real set. A class has few samples, so its interval "
        "is wide: the classes to look at are those whose whole interval is worse than the others'.",
        "Choose a column's heading to sort by it, once more to turn the order around.",
    ]
    return Section("classes", "Class by class", lead, tabs("candidate", panels))


def _table(candidate: str, rows: list[Row]) -> Html:
    directions = {row.name: row.direction for row in rows}
    by_class: dict[str, dict[str, Row]] = {}
    for row in rows:
        by_class.setdefault(row.group or "", {})[row.name] = row
    heads = ["class", "n", *(f"{name.partition('[')[0]} {ARROWS[d]}" for name, d in directions.items())]
    lines = []
    for label, own in by_class.items():
        counts = [row.estimate.n_x if row.estimate.n_y is None else row.estimate.n_y for row in own.values()]
        count = max(c or 0.0 for c in counts)
        cells = [element("td", {"class": "number", "data-v": f"{count:g}"}, f"{count:,.0f}")]
        cells += [_cell(own.get(name)) for name in directions]
        lines.append(element("tr", {}, element("th", {"scope": "row"}, shortened(label)), *cells))
    head = [
        element("th", {"scope": "col"}, element("button", {"type": "button", "class": "sort"}, h))
        for h in heads
    ]
    table = element(
        "table",
        {"class": "sortable"},
        element("thead", {}, element("tr", {}, *head)),
        element("tbody", {}, *lines),
    )
    return scrolling(f"{candidate} by class", table, "tall")


def _cell(row: Row | None) -> Html:
    if row is None:
        return element("td", {"class": "number"}, "-")
    value, interval, _ = value_and_interval(row.estimate)
    return element(
        "td",
        {"class": "number", "data-v": repr(row.estimate.corrected)},
        value,
        " ",
        element("small", {}, interval),
    )
