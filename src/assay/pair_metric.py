"""A pair measure over batches that come one at a time, and as something to minimise."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .checks import as_counts
from .errors import DataError, UsageError
from .estimate import Estimate
from .pair_estimate import estimate_of_moments
from .statistics import Moments

if TYPE_CHECKING:
    from .pairs import PairMeasure


class PairMetric:
    """The mean of a pair measure over batches that come one at a time; made by `PairMeasure.metric`."""

    def __init__(self, measure: PairMeasure) -> None:
        self.measure = measure
        self._moments: Moments | None = None

    def reset(self) -> None:
        """Forget every batch."""
        self._moments = None

    def update(self, *members: Any, weights: Any = None) -> Tensor:
        """Add a batch of pairs, with counts (B,) if not 1 each; returns its values, (B,) float64.

        Raises:
            DataError: NaN or infinity, with the rows; the batch is then left out whole.
        """
        values = self.measure.sane_values(members, {})
        counts = None if weights is None else as_counts(weights, len(values), "weights").to(values.device)
        self._add(Moments.of(values[:, None], counts))
        return values

    def merge(self, other: PairMetric) -> None:
        """Add everything another metric of the same measure has seen, as another worker's."""
        mine, theirs = ((m.measure.name, dict(m.measure.options)) for m in (self, other))
        if mine[0] != theirs[0] or not all(_same(mine[1][k], theirs[1].get(k)) for k in mine[1]):
            raise UsageError(
                f"merge: the two metrics are of different measures or options: {mine} and {theirs}"
            )
        if other._moments is not None:
            self._add(other._moments)

    def compute(self) -> Tensor:
        """The mean over everything seen, a float64 scalar.

        Raises:
            DataError: nothing seen yet.
        """
        return self._seen().mean[0]

    def estimate(self, level: float = 0.95) -> Estimate:
        """The mean with its interval, pairs taken as independent; see `PairMeasure.estimate`."""
        return estimate_of_moments(self.measure, self._seen(), level)

    def _add(self, moments: Moments) -> None:
        self._moments = moments if self._moments is None else self._moments.merge(moments)

    def _seen(self) -> Moments:
        if self._moments is None:
            raise DataError(f"{self.measure.name}: nothing seen yet; call update(...) first")
        return self._moments


class PairObjective(torch.nn.Module):
    """The mean value of a batch of pairs, to be minimised; minus it where the best is the maximum.

    Only shapes are checked, so that a step compiles and never waits for a GPU's values.
    """

    def __init__(self, measure: PairMeasure) -> None:
        super().__init__()
        self.measure = measure

    def forward(self, *members: Tensor) -> Tensor:
        """The loss, a scalar of the members' precision."""
        mean = self.measure(*members).mean()
        return mean if self.measure.best == "min" else -mean

    def extra_repr(self) -> str:
        return self.measure.name


def _same(one: Any, other: Any) -> bool:
    """Whether two options are the same, those that came from another process by their numbers."""
    if one is other:
        return True
    if isinstance(one, torch.nn.Module) and isinstance(other, torch.nn.Module):
        return type(one) is type(other) and _same(one.state_dict(), other.state_dict())
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one.cpu(), other.cpu())
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[k], other[k]) for k in one)
    if dataclasses.is_dataclass(one) and type(one) is type(other):
        return _same(vars(one), vars(other))
    return type(one) is type(other) and bool(one == other)
