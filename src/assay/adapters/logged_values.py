"""Under which names do a comparison's numbers go into somebody's log?"""

from __future__ import annotations

from collections.abc import Iterable

from ..comparison import Comparison
from ..errors import UsageError


def logged_values(found: Comparison, prefix: str = "assay/") -> dict[str, float]:
    """The corrected values by name, with the ends of their intervals: `assay/fd`, `assay/fd_low`, `assay/fd_high`.

    Args:
        found: the comparison.
        prefix: before every name.

    A measure goes by its short name, with the feature space (`fd[efficientnet-lite0]`) where the short one would mean
    two. Several candidates have their name before it, `assay/late/fd`, and a class comes last, `assay/fd/cat`. Values
    published by a protocol are there under its name for them, `assay/FID`, or `assay/like FID`.

    Raises:
        UsageError: two numbers that would go by one name.
    """
    candidates = {row.candidate for row in found.rows}
    spaces: dict[str, set[str]] = {}
    for row in (*found.rows, *found.classes):
        spaces.setdefault(_short(row.name), set()).add(row.name)
    values: dict[str, float] = {}

    def keep(parts: Iterable[str], value: float) -> None:
        name = prefix + "/".join(parts)
        if name in values:
            raise UsageError(f"two numbers of this comparison would be logged as {name!r}; give other names")
        values[name] = value

    for row in (*found.rows, *found.classes):
        own = _short(row.name) if len(spaces[_short(row.name)]) == 1 else row.name
        for ending, value in (
            ("", row.estimate.corrected),
            ("_low", row.estimate.low),
            ("_high", row.estimate.high),
        ):
            before = [row.candidate] if len(candidates) > 1 else []
            keep([*before, own + ending, *([row.group] if row.group is not None else [])], value)
    for one in found.published:
        before = [one.candidate] if len(candidates) > 1 else []
        if one.value is not None:
            keep([*before, one.name or f"like {one.standard}"], one.value)
    return values


def _short(name: str) -> str:
    return name.partition("[")[0]
