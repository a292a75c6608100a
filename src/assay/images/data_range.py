"""How far apart can two values of a pixel be?"""

from __future__ import annotations

import sys

from torch import Tensor

from ..errors import UsageError


def positive_range(data_range: float) -> float:
    """The range as a number; refused where it is not above zero."""
    if isinstance(data_range, bool) or not isinstance(data_range, (int, float)):
        raise UsageError(f"data_range: expected a number such as 1.0 or 255, got {data_range!r}")
    # comparisons alone: a number that a compiler treats as a symbol has no isfinite
    if not 0 < data_range <= sys.float_info.max:
        raise UsageError(
            f"data_range: expected the range of a pixel's values, above 0 (1.0 or 255), got {data_range}"
        )
    return float(data_range)


def of_unit_range(images: Tensor, data_range: float) -> Tensor:
    """Images of [0, data_range] as images of [0, 1], for a network that was trained on these."""
    highest = positive_range(data_range)
    return images if highest == 1.0 else images / highest
