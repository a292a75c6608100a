"""A measure of pairs as a `torchmetrics.Metric`."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch
from torch import Tensor

from ..checks import as_counts
from ..errors import DataError, MissingExtra
from ..pairs import PairMeasure

# a collection takes metrics whose states are equal after the first batch for one, and goes on with the first of them:
# two measures may well agree on a batch (two errors of black and white images), but nothing equals NaN
APART = math.nan


def torchmetrics_of_pairs(measure: PairMeasure) -> Any:
    """The mean of a pair measure's values as a metric with `update(x, y, weights=None)`, exact over all processes."""
    return _metric_class(measure.best == "max", measure.lower, measure.upper)(measure)


def merged(parts: Tensor) -> Tensor:
    """(weight, mean, APART) of all parts (k, 3) together; those without weight count nothing."""
    weight = parts[:, 0].sum()
    return torch.stack([weight, (parts[:, 0] @ parts[:, 1]) / weight.clamp(min=1e-300), parts[0, 2]])


@cache
def _metric_class(higher: bool, lower: float | None, upper: float | None) -> type:
    try:
        from torchmetrics import Metric
    except ImportError as error:
        raise MissingExtra("torchmetrics", "torchmetrics", "assay.adapters.torchmetrics") from error

    class AssayPairMetric(Metric):  # type: ignore[misc]
        full_state_update = False
        seen: Tensor
        is_differentiable = False
        higher_is_better = higher
        plot_lower_bound = lower
        plot_upper_bound = upper

        def __init__(self, measure: PairMeasure) -> None:
            super().__init__()
            self._measure = measure
            self.add_state(
                "seen", default=torch.tensor([0.0, 0.0, APART], dtype=torch.float64), dist_reduce_fx=merged
            )

        def update(self, *members: Tensor, weights: Any = None) -> None:
            """Add a batch of pairs, with counts (B,) if not 1 each."""
            values = self._measure.sane_values(members, {})
            counts = torch.ones_like(values)
            if weights is not None:
                counts = as_counts(weights, len(values), "weights").to(values)
            weight = counts.sum()  # above 0
            batch = torch.stack([weight, counts @ values / weight, values.new_tensor(APART)]).to(self.seen)
            self.seen = merged(torch.stack([self.seen, batch]))

        def compute(self) -> Tensor:
            if not bool(self.seen[0] > 0):
                raise DataError(f"{self._measure.name}: nothing seen yet; call update(...) first")
            return self.seen[1]

        def set_dtype(self, dst_type: Any) -> Any:
            """Nothing: the sums stay in float64, in which they count beyond what half precision can."""
            return self

        def __reduce__(self) -> Any:
            return torchmetrics_of_pairs, (self._measure,), self.__getstate__()

    return AssayPairMetric
