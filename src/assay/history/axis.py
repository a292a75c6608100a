"""Which round numbers stand along an axis?"""

from __future__ import annotations

import math


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """At most `most` multiples of 1, 2 or 5 times a power of ten, from `low` to `high`."""
    if not high > low:
        return [low]
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    while (high - low) / step > most - 1:
        step *= 2.5 if f"{step:e}".startswith("2") else 2
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def shown(value: float) -> str:
    """`10k`, `2.5M`, `0.04`: as short as the number is."""
    if value == 0:
        return "0"
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{unit}"
    return f"{value:.4g}"


def room(low: float, high: float) -> tuple[float, float]:
    """The range with a little room at both ends; one of no width gets some."""
    if low == high:
        pad = abs(low) / 2 or 1.0
    else:
        pad = 0.05 * (high - low)
    return low - pad, high + pad
