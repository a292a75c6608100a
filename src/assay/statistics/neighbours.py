"""Samples that know the distance to their k-th nearest neighbour, and how their balls overlap another set's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from typing_extensions import Self

from ..errors import UsageError
from ..scale.nearest import Nearest, nearest, pairs_within
from .protocol import register, same_width, tensor_of
from .samples import unit_counts, working_dtype


@dataclass(frozen=True)
class Overlap:
    """How two sets' k-nearest-neighbour balls cover each other's samples; all counts, so weighted by the samples'.

    Attributes:
        balls_around_y: (m,) how many balls of x hold y_j.
        balls_around_x: (n,) how many balls of y hold x_i.
        inside_ball_of_x: (n,) how many samples of y the ball of x_i holds.
    """

    balls_around_y: Tensor
    balls_around_x: Tensor
    inside_ball_of_x: Tensor


@register
@dataclass(frozen=True, eq=False)
class Neighbours:
    """Features and counts, with the neighbourhoods that several measures share computed once.

    Attributes:
        features: (n, d), float32 or float64, every count above zero.
        counts: (n,), float64.
    """

    features: Tensor
    counts: Tensor
    _radii: dict[int, Tensor] = field(default_factory=dict, repr=False)
    _overlaps: WeakKeyDictionary[Neighbours, dict[int, Overlap]] = field(
        default_factory=WeakKeyDictionary, repr=False
    )
    _nearest: WeakKeyDictionary[Neighbours, Nearest] = field(default_factory=WeakKeyDictionary, repr=False)

    @classmethod
    def of(cls, samples: Tensor, weights: Tensor | None = None) -> Self:
        features = samples.detach().to(working_dtype(samples.dtype))
        if weights is None:
            return cls(features, unit_counts(samples))
        counts = weights.to(torch.float64)
        present = counts.detach() > 0  # a sample counted zero times is nobody's neighbour
        if not bool(present.all()):
            features, counts = features[present], counts[present]
        return cls(features, counts)

    @property
    def weight(self) -> Tensor:
        return self.counts.sum()

    @property
    def width(self) -> int:
        return self.features.shape[1]

    @property
    def bounded(self) -> bool:
        return False

    def radii(self, k: int) -> Tensor:
        """(n,) squared distance from each sample to its k-th nearest other one, float64.

        A sample of count w has w - 1 others at distance zero; a neighbour of count w is w neighbours.
        """
        if k not in self._radii:
            self._radii[k] = self._kth(k)
        return self._radii[k]

    def overlap(self, other: Neighbours, k: int) -> Overlap:
        """How the balls of this set (x) and another (y) cover each other's samples, in one pass over all pairs."""
        kept = self._overlaps.setdefault(other, {})
        if k not in kept:
            kept[k] = _overlap(self, other, k)
        return kept[k]

    def nearest_in(self, other: Neighbours) -> Nearest:
        """For each sample here the nearest one of another set: (n, 1) squared distances and rows."""
        if other not in self._nearest:
            self._nearest[other] = nearest(self.features, other.features, 1)
        return self._nearest[other]

    def _kth(self, k: int) -> Tensor:
        if isinstance(k, bool) or int(k) != k or k < 1:
            raise UsageError(f"nearest_k: expected a whole number of at least 1, got {k!r}")
        counts = self.counts.detach()
        total = float(counts.sum())
        if total < k + 1:
            raise UsageError(
                f"nearest_k={k} needs at least {k + 1} samples in each set, got {total:g}: "
                "lower nearest_k or add samples"
            )
        n = len(self.features)
        depth = min(n - 1, ceil(k / min(1.0, float(counts.min()))))
        if depth == 0:
            return torch.zeros(n, dtype=torch.float64, device=self.features.device)
        found = nearest(self.features, None, depth)
        own = (counts - 1).clamp_min(0)[:, None]
        reached = own + counts[found.index].cumsum(1) >= k - 1e-9
        first = reached.to(torch.uint8).argmax(1, keepdim=True)
        radii = found.squared.gather(1, first)[:, 0]
        radii = torch.where(reached.any(1), radii, found.squared[:, -1])
        return torch.where(own[:, 0] >= k - 1e-9, 0.0, radii)

    def merge(self, other: Self) -> Self:
        same_width(self, other)
        return type(self)(torch.cat([self.features, other.features]), torch.cat([self.counts, other.counts]))

    def tensors(self) -> dict[str, Tensor]:
        return {"features": self.features, "counts": self.counts}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        features = tensor_of(tensors, "features", None, None)
        return cls(features, tensor_of(tensors, "counts", len(features)))

    def __getstate__(self) -> Any:  # weak keys cannot be copied; what they hold can be computed again
        return {"features": self.features, "counts": self.counts}

    def __setstate__(self, state: Any) -> None:
        fresh = Neighbours(state["features"], state["counts"])
        self.__dict__.update(fresh.__dict__)


def _overlap(x: Neighbours, y: Neighbours, k: int) -> Overlap:
    same_width(x, y)
    radii_x, radii_y = x.radii(k), y.radii(k)
    counts_x, counts_y = x.counts.detach(), y.counts.detach()
    around_y, around_x, inside = (
        torch.zeros_like(counts_y),
        torch.zeros_like(counts_x),
        torch.zeros_like(counts_x),
    )
    for i, j, in_x, in_y in pairs_within(x.features, y.features, radii_x, radii_y):
        of_x, of_y = counts_x[i], counts_y[j]
        around_y.index_add_(0, j, of_x * in_x)
        inside.index_add_(0, i, of_y * in_x)
        around_x.index_add_(0, i, of_y * in_y)
    return Overlap(around_y, around_x, inside)
