"""Are the candidates one model over its training?"""

from __future__ import annotations

import re
from collections.abc import Sequence

FEWEST = 3  # names that make a series; of two, the number may as well be a version
NUMBER = re.compile(r"(\d+(?:\.\d+)?)(?:([kKmM])(?![A-Za-z]))?")
TIMES = {"": 1.0, "k": 1e3, "m": 1e6}


def steps_of(names: Sequence[str]) -> list[float] | None:
    """The step in each name, where the names differ in that number only: 10000 of `step-10k`; else None."""
    if len(names) < FEWEST or len({NUMBER.sub("#", name) for name in names}) > 1:
        return None
    numbers = [[float(m[1]) * TIMES[(m[2] or "").lower()] for m in NUMBER.finditer(name)] for name in names]
    varying = [column for column in zip(*numbers, strict=True) if len(set(column)) > 1]
    if len(varying) != 1 or len(set(varying[0])) < len(names):
        return None
    return list(varying[0])
