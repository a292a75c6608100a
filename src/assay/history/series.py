"""How does a measure go over checkpoints?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import DataError
from ..report.training_steps import NUMBER, TIMES
from .stored import Run, StoredValue, is_called


@dataclass(frozen=True)
class Point:
    """One value: where it stands, the value freed of its bias, and its interval."""

    x: float
    value: float
    low: float
    high: float
    candidate: str
    run: int


@dataclass(frozen=True)
class Series:
    """One line of a drawing, from left to right."""

    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Curves:
    """Everything that one drawing shows.

    Attributes:
        name: the measure, as it is printed.
        direction: which direction is better.
        real: the set that all are measured against.
        x: what the horizontal axis counts.
        series: one a family of names, or one a candidate where the axis counts runs.
        left_out: how many values are of other real sets or features, or have no finite interval.
    """

    name: str
    direction: str
    real: str
    x: str
    series: tuple[Series, ...]
    left_out: int


def curves(runs: Sequence[Run], measure: str, candidate: str | None = None) -> Curves:
    """The measure over checkpoints: those that can stand on one axis with the newest value.

    A checkpoint stands at the last number in its name (10000 for `step-10k`), and of one that was measured several
    times the newest value counts. Where a name has no number, or all are one name, values stand in the order of their
    runs.

    Args:
        runs: the newest first.
        measure: a printed, short or full name.
        candidate: only candidates whose names hold this text.

    Raises:
        DataError: no run has the measure.
    """
    found = [
        (run, value)
        for run in runs
        for value in run.values
        if value.group is None
        and is_called(value.name, value.measure, measure)
        and (candidate is None or candidate in value.candidate)
    ]
    if not found:
        known = dict.fromkeys(value.name.partition("[")[0] for run in runs for value in run.values)
        there = f"; there are {', '.join(known)}" if known else ""
        raise DataError(f"no run here has the measure {measure!r}{there}")
    newest, first = found[0]
    alike = [(run, value) for run, value in found if _axis(run, value) == _axis(newest, first)]
    finite = [(run, value) for run, value in alike if _can_be_drawn(value)]
    names = {value.candidate for _, value in finite}
    numbered = len(names) > 1 and all(NUMBER.search(name) for name in names)
    return Curves(
        name=first.name,
        direction=first.direction,
        real=newest.real.name,
        x="number in the name" if numbered else "runs, in their order",
        series=_by_number(finite) if numbered else _by_run(finite),
        left_out=len(found) - len(finite),
    )


def family_and_number(candidate: str) -> tuple[str, float | None]:
    """(`step-#`, 10000) of `step-10k`; a name without a number is a family of its own."""
    found = list(NUMBER.finditer(candidate))
    if not found:
        return candidate, None
    last = found[-1]
    number = float(last[1]) * TIMES[(last[2] or "").lower()]
    return f"{candidate[: last.start()]}#{candidate[last.end() :]}", number


def _by_number(found: Sequence[tuple[Run, StoredValue]]) -> tuple[Series, ...]:
    """A series a family of names; of a checkpoint the newest value."""
    points: dict[str, dict[float, Point]] = {}
    for run, value in found:
        family, number = family_and_number(value.candidate)
        assert number is not None
        points.setdefault(family, {}).setdefault(number, _point(number, run, value))
    return tuple(Series(family, tuple(own[x] for x in sorted(own))) for family, own in sorted(points.items()))


def _by_run(found: Sequence[tuple[Run, StoredValue]]) -> tuple[Series, ...]:
    """A series a candidate, over the runs that are drawn."""
    place = {number: k for k, number in enumerate(sorted({run.id for run, _ in found}), start=1)}
    points: dict[str, list[Point]] = {}
    for run, value in reversed(found):
        points.setdefault(value.candidate, []).append(_point(place[run.id], run, value))
    return tuple(Series(name, tuple(own)) for name, own in sorted(points.items()))


def _point(x: float, run: Run, value: StoredValue) -> Point:
    e = value.estimate
    return Point(float(x), e.corrected, e.low, e.high, value.candidate, run.id)


def _can_be_drawn(value: StoredValue) -> bool:
    e = value.estimate
    return all(map(math.isfinite, (e.corrected, e.low, e.high)))


def _axis(run: Run, value: StoredValue) -> tuple[str | None, ...]:
    return run.real.content, run.fingerprint, run.protocol, value.name
