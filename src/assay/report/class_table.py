"""What does each class score?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ..comparison import Comparison, Row
from .columns import Line
from .numbers import value_and_interval

CLASSES_AT_MOST = 20


def class_tables(found: Comparison, arrows: Mapping[str, str]) -> list[list[Line]]:
    """A table a candidate: a line a class, a column a measure; of many classes the worst by the first measure."""
    return [
        _of_candidate(name, [row for row in found.classes if row.candidate == name], arrows)
        for name in dict.fromkeys(row.candidate for row in found.classes)
    ]


def _of_candidate(candidate: str, rows: Sequence[Row], arrows: Mapping[str, str]) -> list[Line]:
    arrow = {row.name: arrows[row.direction] for row in rows}
    by_class: dict[str, dict[str, Row]] = {}
    for row in rows:
        by_class.setdefault(row.group or "", {})[row.name] = row
    title = f"{candidate} by class"
    if len(by_class) > CLASSES_AT_MOST:
        first = next(iter(arrow))
        by_class = _worst(by_class, first)
        title += f": the {len(by_class)} worst of {len({row.group for row in rows})} by {_short(first)}"
    lines = [Line(title, ("n", *(f"{_short(name)} {arrow[name]}" for name in arrow)))]
    for label, own in by_class.items():
        counts = {row.estimate.n_x if row.estimate.n_y is None else row.estimate.n_y for row in own.values()}
        values = (value_and_interval(own[name].estimate)[0] if name in own else "-" for name in arrow)
        lines.append(Line(f"  {label}", (f"{max(c or 0 for c in counts):,.0f}", *values)))
    return lines


def _worst(by_class: Mapping[str, dict[str, Row]], measure: str) -> dict[str, dict[str, Row]]:
    def badness(label: str) -> float:
        row = by_class[label][measure]
        value = row.estimate.corrected if row.direction == "lower is better" else -row.estimate.corrected
        return -math.inf if math.isnan(value) else value  # NaN has no place in an order and would spoil it

    scored = sorted((label for label in by_class if measure in by_class[label]), key=badness, reverse=True)
    return {label: by_class[label] for label in scored[:CLASSES_AT_MOST]}


def _short(name: str) -> str:
    return name.partition("[")[0]
