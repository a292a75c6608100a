"""Which samples lie nearest to each one of a set, in it and in another?"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..scale.nearest import Nearest, nearest
from ..statistics.samples import working_dtype


@dataclass(frozen=True, eq=False)
class Surroundings:
    """A set whose neighbours are looked for once, however many questions need them.

    Attributes:
        features: (n, d), float32 or float64.
    """

    features: Tensor
    _own: dict[str, Nearest] = field(default_factory=dict, repr=False)
    _in: dict[int, tuple[Surroundings, Nearest]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, samples: Tensor) -> Surroundings:
        """From samples (n, d)."""
        return cls(samples.detach().to(working_dtype(samples.dtype)))

    def __len__(self) -> int:
        return len(self.features)

    def own(self, depth: int) -> Nearest:
        """The `depth` nearest other samples of the set to each one, nearest first; at most n - 1."""
        found = self._own.get("own")
        if found is None or found.index.shape[1] < depth:
            found = self._own["own"] = nearest(self.features, None, depth)
        return Nearest(found.squared[:, :depth], found.index[:, :depth])

    def among(self, other: Surroundings, depth: int) -> Nearest:
        """The `depth` nearest samples of another set to each one; at most as many as that has."""
        kept = self._in.get(id(other))
        if kept is None or kept[1].index.shape[1] < depth:
            kept = self._in[id(other)] = (other, nearest(self.features, other.features, depth))
        return Nearest(kept[1].squared[:, :depth], kept[1].index[:, :depth])


def tally(rows: Tensor, size: int) -> Tensor:
    """(size,) float64, how often each row is named."""
    return torch.bincount(rows, minlength=size).to(torch.float64)
