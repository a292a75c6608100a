"""How many digits does an interval support?"""

from __future__ import annotations

import math

from ..estimate import Estimate


def decimals(low: float, high: float) -> int | None:
    """Decimals that show half the interval's width to two digits; None where it has no width to go by."""
    half = 0.5 * (high - low)
    if not math.isfinite(half) or half <= 0:
        return None
    return 1 - math.floor(math.log10(half) + 1e-9)


def shown(value: float, places: int | None) -> str:
    """A number to so many decimals: 12,345 / 12.3 / 0.0012; small ones as 1.2e-07; NaN as n/a."""
    if math.isnan(value):
        return "n/a"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if places is None:
        return f"{value:.4g}"
    if places > 5 or abs(value) >= 1e9:
        if value == 0:
            return "0"
        digits = max(0, math.floor(math.log10(abs(value))) + places)
        return f"{value:.{min(digits, 6)}e}"
    if places < 0:
        value = round(value, places)
    text = f"{value:,.{max(places, 0)}f}"
    return text[1:] if text.startswith("-") and not any(c in "123456789" for c in text) else text


def value_and_interval(estimate: Estimate) -> tuple[str, str, str]:
    """(corrected, [low, high], raw) to the digits that the interval supports."""
    places = decimals(estimate.low, estimate.high)
    low, high = shown(estimate.low, places), shown(estimate.high, places)
    return shown(estimate.corrected, places), f"[{low}, {high}]", shown(estimate.value, places)
