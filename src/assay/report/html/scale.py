"""Where on a line does a number lie?"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

MARGIN = 0.04  # of the width, free at either end


@dataclass(frozen=True)
class Scale:
    """Numbers from `low` to `high` as percents of a width."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """0 to 100; a number beyond the ends, or none at all, is at an end."""
        if math.isnan(value):
            return 0.0
        share = 0.5 if self.high <= self.low else (value - self.low) / (self.high - self.low)
        return 100 * (MARGIN + (1 - 2 * MARGIN) * min(1.0, max(0.0, share)))

    def percent(self, value: float) -> str:
        """As an SVG coordinate."""
        return f"{self.at(value):.2f}%"


def scale_of(numbers: Iterable[float], *, zero: bool = False) -> Scale:
    """From the smallest to the largest finite number; from zero where it is wanted and would not squeeze the rest."""
    finite = [value for value in numbers if math.isfinite(value)]
    if not finite:
        return Scale(0.0, 1.0)
    low, high = min(finite), max(finite)
    if zero and 0 < low < 2 * (high - low):
        low = 0.0
    if low == high:
        room = max(0.5, 0.01 * abs(low))  # half of one is nothing beside 1e17
        low, high = low - room, high + room
    return Scale(low, high)


def ticks(scale: Scale, about: int = 5) -> list[tuple[float, str]]:
    """Round numbers within the scale, each with its label."""
    width = scale.high - scale.low
    step = 10.0 ** math.floor(math.log10(width / about))
    step *= next(factor for factor in (1, 2, 5, 10) if width / (factor * step) <= about + 1e-9)
    first, last = math.ceil(scale.low / step - 1e-9), math.floor(scale.high / step + 1e-9)
    return [(k * step, _label(k * step, step)) for k in range(first, last + 1)]


def _label(value: float, step: float) -> str:
    """With as many decimals as the step has."""
    if value == 0:
        return "0"
    if step < 1e-4 or abs(value) >= 1e7:
        return f"{value:.3g}"
    return f"{value:,.{max(0, -math.floor(math.log10(step) + 1e-9))}f}"
