"""Which samples and groups stand out, in a few lines of text?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..comparison import Comparison
from .numbers import decimals, shown

WORST = 5


def explained_lines(found: Comparison) -> list[tuple[str, list[str]]]:
    """For each candidate a heading and its lines: worst group and worst samples by each measure, suspected copies."""
    names = {one.name: one for one in found.sets}
    sections = []
    for candidate in dict.fromkeys(one.candidate for one in found.explanations):
        own = [one for one in found.explanations if one.candidate == candidate]
        lines = [line for one in own if (line := _worst_group(one))]
        lines += [line for one in own if (line := _worst_samples(one, names.get(candidate)))]
        near = own[0].nearest
        if near is not None:
            exact = int((near.distance == 0).sum())
            lines.append(
                f"suspected copies: {int(near.copied.sum()):,} of {len(near.copied):,} samples, {exact:,} of them exact"
            )
        if lines:
            sections.append((f"what makes {candidate}", lines))
    return sections


def _worst_group(one: Any) -> str:
    if not one.groups:
        return ""
    sign = 1 if one.direction == "lower is better" else -1
    worst = max(one.groups, key=lambda group: sign * group.share)
    places = decimals(worst.low, worst.high)
    share = shown(worst.share, places)
    if worst.low != worst.high:
        share += f" [{shown(worst.low, places)}, {shown(worst.high, places)}]"
    total = one.floor + sum(group.share for group in one.groups)
    return (
        f"{one.name}: worst of {len(one.groups)} groups {_quoted(worst.name)} (n {len(worst.rows):,}), share {share} "
        f"of {shown(total, None)} (floor {shown(one.floor, None)})"
    )


def _worst_samples(one: Any, of: Any) -> str:
    if one.of_generated is None:
        return ""
    badness = one.badness()
    rows = np.argsort(-badness, kind="stable")[:WORST]
    named = ", ".join(_name(of, int(row)) for row in rows if badness[row] > 0)
    return f"{one.name}: worst samples {named}" if named else ""


def _name(of: Any, row: int) -> str:
    names: Sequence[str] | None = None if of is None else of.names
    return f"row {row}" if names is None else _quoted(names[row])


def _quoted(name: str) -> str:
    """File names may hold line breaks and terminal codes."""
    return name if name.isprintable() else ascii(name)[1:-1]
