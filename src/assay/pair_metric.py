"""A pair measure over batches that come one at a time, and as something to minimise."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .checks import as_counts
from .errors import DataError, UsageError
from .estimate import Estimate
from .pair_estimate import estimate_of_moments
from .statistics import Moments
from .statistics.protocol import on_device

if TYPE_CHECKING:
    from .pairs import PairMeasure


class PairMetric:
    """The mean of a pair measure over batches that come one at a time; made by `PairMeasure.metric`."""

    def __init__(self, measure: PairMeasure) -> None:
        self.measure = measure
        self._moments: Moments | None = None

    @property
    def measures(self) -> tuple[PairMeasure]:
        """What is measured, with its options: one measure."""
        return (self.measure,)

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
        if not _same(self.measure, other.measure):
            mine, theirs = ((m.measure.name, dict(m.measure.options)) for m in (self, other))
            raise UsageError(
                f"merge: the two metrics are of different measures or options: {mine} and {theirs}"
            )
        if other._moments is not None:
            seen = self._moments  # another worker's may lie on another device
            self._add(other._moments if seen is None else on_device(other._moments, seen.weight.device))

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
    """Whether two measures or options are the same, those that came from another process by what they are made of."""
    from .pairs import PairMeasure

    if one is other:
        return True
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one.cpu(), other.cpu())
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[k], other[k]) for k in one)
    if type(one) is not type(other):
        return False
    if isinstance(one, PairMeasure):
        return _same(one.__reduce__(), other.__reduce__())
    if isinstance(one, torch.nn.Module):
        # modules of one state may do different things with it: what they say of themselves, wherever they lie
        told = (re.sub(r" at 0x[0-9a-fA-F]+", "", repr(each)) for each in (one, other))
        return next(told) == next(told) and _same(one.state_dict(), other.state_dict())
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, partial):
        return _same((one.func, one.args, one.keywords), (other.func, other.args, other.keywords))
    # a function is found again by its name, so that two are two; other objects are made anew
    bare = "__eq__" not in _declared(type(one)) and type(one).__module__ != "builtins"
    if bare or dataclasses.is_dataclass(one):
        return hasattr(one, "__dict__") and _same(vars(one), vars(other))
    return bool(one == other)


def _declared(kind: type) -> set[str]:
    """The names that a class and its bases, but for `object`, define."""
    return {name for base in kind.__mro__[:-1] for name in vars(base)}
