"""Which candidate is better, in plain words?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ..comparison import Comparison, Difference
from .numbers import decimals, shown


def decisions(found: Comparison) -> list[tuple[str, list[str]]]:
    """For each pair of candidates a heading and one sentence a measure."""
    pairs: dict[tuple[str, str], list[Difference]] = {}
    for difference in found.differences:
        pairs.setdefault((difference.a, difference.b), []).append(difference)
    return [(_heading(a, b, each), [sentence(d) for d in each]) for (a, b), each in pairs.items()]


def sentence(difference: Difference) -> str:
    """`fd[...]: late is better by 3.1 [2.7, 3.5]`, or that the interval holds zero."""
    e = difference.estimate
    places = decimals(e.low, e.high)
    if difference.better is None:
        if math.isnan(e.low) or math.isnan(e.high):
            return (
                f"{difference.name}: undecided; {difference.b} minus {difference.a} is {shown(e.corrected, places)}, "
                "without an interval"
            )
        interval = f"[{shown(e.low, places)}, {shown(e.high, places)}]"
        return (
            f"{difference.name}: undecided; {difference.b} minus {difference.a} is {shown(e.corrected, places)} "
            f"{interval}, which holds 0"
        )
    down = e.high < 0
    size, low, high = (-e.corrected, -e.high, -e.low) if down else (e.corrected, e.low, e.high)
    interval = f"[{shown(low, places)}, {shown(high, places)}]"
    return f"{difference.name}: {difference.better} is better by {shown(size, places)} {interval}"


def _heading(a: str, b: str, differences: Sequence[Difference]) -> str:
    winners: Mapping[str, int] = {name: sum(1 for d in differences if d.better == name) for name in (a, b)}
    for name, other in ((a, b), (b, a)):
        if winners[name] == len(differences):
            by = f"all {len(differences)} measures" if len(differences) > 1 else "the one measure"
            return f"{name} is better than {other} by {by}"
    if winners[a] == winners[b] == 0:
        return f"{a} and {b} cannot be told apart by these samples"
    told = [
        f"{name} is better by {count} of {len(differences)} measures"
        for name, count in winners.items()
        if count
    ]
    return f"{a} against {b}: " + ", ".join(told)
