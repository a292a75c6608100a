"""The samples themselves, with their counts: what a measure over all pairs needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Self

from ..errors import UsageError
from .protocol import register, same_width, tensor_of


def working_dtype(dtype: torch.dtype) -> torch.dtype:
    """float64 stays, everything narrower is worked in float32: half precision has no room for sums over pairs."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def unit_counts(samples: Tensor, device: torch.device | None = None) -> Tensor:
    """One count a sample, in float64, on the device of the samples or another."""
    where = samples.device if device is None else device
    return torch.ones(samples.shape[0], dtype=torch.float64, device=where)


@register
@dataclass(frozen=True, eq=False)
class Samples:
    """Features and counts.

    Attributes:
        features: (n, d), float32 or float64.
        counts: (n,), float64.
    """

    features: Tensor
    counts: Tensor
    _memo: dict[Any, Tensor] = field(default_factory=dict, repr=False)  # what was computed of this set alone

    def once(self, key: Any, compute: Callable[[], Tensor]) -> Tensor:
        """What depends on this set alone, computed once; again where a gradient flows, or in a traced graph."""
        varies = self.features.requires_grad or self.counts.requires_grad
        if torch.compiler.is_compiling() or (varies and torch.is_grad_enabled()):
            return compute()
        if key not in self._memo:
            self._memo[key] = compute()
        return self._memo[key]

    @classmethod
    def of(cls, samples: Tensor, weights: Tensor | None = None) -> Self:
        counts = unit_counts(samples) if weights is None else weights.to(torch.float64)
        return cls(samples.to(working_dtype(samples.dtype)), counts)

    @property
    def weight(self) -> Tensor:
        return self.counts.sum()

    @property
    def width(self) -> int:
        return self.features.shape[1]

    @property
    def bounded(self) -> bool:
        return False

    def at_least(self, n: int, name: str) -> None:
        """Refuse a set of fewer than n samples; not on a GPU, which the look would stall, nor in a traced graph."""
        if (
            self.counts.device.type == "cpu"
            and not torch.compiler.is_compiling()
            and float(self.weight.detach()) < n
        ):
            raise UsageError(f"{name}: expected at least {n} samples, got {float(self.weight.detach()):g}")

    def merge(self, other: Self) -> Self:
        same_width(self, other)
        return type(self)(torch.cat([self.features, other.features]), torch.cat([self.counts, other.counts]))

    def tensors(self) -> dict[str, Tensor]:
        return {"features": self.features, "counts": self.counts}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        features = tensor_of(tensors, "features", None, None)
        return cls(features, tensor_of(tensors, "counts", len(features)))
