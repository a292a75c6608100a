"""A `Comparison` as a figure: intervals by candidate, or over training steps."""

from __future__ import annotations

import math
from typing import Any

from ..comparison import Comparison
from ..drawing import Panel, figure_of
from .table import ARROWS
from .training_steps import steps_of


def as_figure(found: Comparison) -> Any:
    """A `matplotlib.figure.Figure` with a panel a measure: each candidate's corrected value and its interval.

    Where the candidates' names differ in one number only (`step-10k`, `step-20k`, ...; three or more), that is the
    horizontal axis. Lines show the floor and the value to aim at, where there are such.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    names = list(dict.fromkeys(row.candidate for row in found.rows))
    steps = steps_of(names)
    panels = []
    for name in dict.fromkeys(row.name for row in found.rows):
        rows = {row.candidate: row for row in found.rows if row.name == name}
        of = next(iter(rows.values()))
        estimates = [rows[each].estimate if each in rows else None for each in names]
        levels = {
            f"{row.candidate}, to aim at": row.estimate.corrected for row in found.aims if row.name == name
        }
        levels.update([("floor", f.estimate.corrected) for f in found.floor if f.name == name])
        panels.append(
            Panel(
                title=f"{name} {ARROWS[of.direction]}",
                at=names if steps is None else steps,
                values=[math.nan if e is None else e.corrected for e in estimates],
                low=[math.nan if e is None else e.low for e in estimates],
                high=[math.nan if e is None else e.high for e in estimates],
                levels=levels,
            )
        )
    return figure_of(panels, "step")
