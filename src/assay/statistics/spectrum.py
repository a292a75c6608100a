"""The second moment of a set's directions: what measures of the cosine kernel's spectrum need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import Self

from .protocol import register, same_width, tensor_of
from .samples import unit_counts


@register
@dataclass(frozen=True, eq=False)
class Directions:
    """Total weight W and second moment  sum_i w_i u_i u_i^T  of the unit vectors u_i = x_i / |x_i|, float64.

    As with `Moments`, fewer samples than features are kept as rows. A zero vector has no direction; its row is zero.

    Attributes:
        weight: ().
        second: (d, d), or None where `rows` holds the set.
        rows: (r, d) with r < d, or None.
        counts: (r,), or None.
    """

    weight: Tensor
    second: Tensor | None = None
    rows: Tensor | None = None
    counts: Tensor | None = None

    @classmethod
    def of(cls, samples: Tensor, weights: Tensor | None = None) -> Self:
        counts = unit_counts(samples) if weights is None else weights.to(torch.float64)
        rows = torch.nn.functional.normalize(samples.to(torch.float64), dim=1)
        if samples.shape[0] < samples.shape[1]:
            return cls(counts.sum(), rows=rows, counts=counts)
        return cls(counts.sum(), second=(rows * counts[:, None]).T @ rows)

    @property
    def width(self) -> int:
        tensor = self.second if self.second is not None else self.rows
        assert tensor is not None
        return tensor.shape[1]

    @property
    def bounded(self) -> bool:
        return self.second is not None

    def gram(self) -> Tensor:
        """The smaller of the two matrices that share the kernel's nonzero eigenvalues, divided by W: trace 1."""
        if self.second is not None:
            return self.second / self.weight
        assert self.rows is not None and self.counts is not None
        # a symmetric split of the counts; a count of zero has an infinite slope in its root, hence the substitute
        present = self.counts > 0
        root = torch.where(present, torch.where(present, self.counts, 1.0).sqrt(), 0.0)
        rows = self.rows * root[:, None]
        return rows @ rows.T / self.weight

    def dense_second(self) -> Tensor:
        if self.second is not None:
            return self.second
        assert self.rows is not None and self.counts is not None
        return (self.rows * self.counts[:, None]).T @ self.rows

    def merge(self, other: Self) -> Self:
        same_width(self, other)
        weight = self.weight + other.weight
        if self.rows is not None and other.rows is not None and len(self.rows) + len(other.rows) < self.width:
            assert self.counts is not None and other.counts is not None
            return type(self)(
                weight, rows=torch.cat([self.rows, other.rows]), counts=torch.cat([self.counts, other.counts])
            )
        return type(self)(weight, second=self.dense_second() + other.dense_second())

    def scaled(self, factor: float | Tensor) -> Directions:
        """The statistic with every count times a factor, as older samples count less in an exponential average."""
        second = None if self.second is None else self.second * factor
        counts = None if self.counts is None else self.counts * factor
        return Directions(self.weight * factor, second, self.rows, counts)

    def tensors(self) -> dict[str, Tensor]:
        named = {"weight": self.weight, "second": self.second, "rows": self.rows, "counts": self.counts}
        return {name: tensor for name, tensor in named.items() if tensor is not None}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        weight = tensor_of(tensors, "weight")
        if "second" in tensors:
            second = tensor_of(tensors, "second", None, None)
            return cls(weight, second=tensor_of(tensors, "second", len(second), len(second)))
        rows = tensor_of(tensors, "rows", None, None)
        return cls(weight, rows=rows, counts=tensor_of(tensors, "counts", len(rows)))
