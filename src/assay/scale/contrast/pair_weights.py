"""How much each pair counts in a sum over pairs, a tile at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import UsageError

# (numbers of the anchors (r,), numbers of the others (c,)) -> weights (r, c)
WeightBlock = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class PairWeights:
    """Weights w_ij, not below zero, of pairs (anchor i, other j) of samples; 1 for a sample with itself.

    Attributes:
        of: a matrix (n, n), or a function of two tensors of sample numbers that gives their block of it, so that
            nothing of size n x n is needed.
        samples: n; rows i, i + n, ... of a sweep are views of sample i.
    """

    of: Tensor | WeightBlock
    samples: int

    @property
    def matrix(self) -> Tensor | None:
        """The whole matrix, which may have a gradient, where that is how the weights are given."""
        return self.of if isinstance(self.of, Tensor) else None

    def block(self, anchors: slice, others: slice, like: Tensor) -> Tensor:
        """The weights of one tile, in its type.

        Raises:
            UsageError: a function that gives something else than a block (r, c).
        """
        i, j = self._numbers(anchors, like), self._numbers(others, like)
        if isinstance(self.of, Tensor):
            block = self.of.detach()[i[:, None], j[None, :]]
        else:
            with torch.no_grad():
                block = self.of(i, j)
            if not isinstance(block, Tensor) or block.shape != (len(i), len(j)):
                came = tuple(block.shape) if isinstance(block, Tensor) else type(block).__name__
                raise UsageError(
                    f"weights: the function must give a tensor ({len(i)}, {len(j)}) for {len(i)} anchors and "
                    f"{len(j)} others, got {came}"
                )
        return block.to(like.dtype).masked_fill(i[:, None] == j[None, :], 1.0)

    def pull(self, slope: Tensor, anchors: slice, others: slice, to_matrix: Tensor | None) -> Tensor:
        """The cotangent of unweighted terms times their weights; what it says of the matrix goes into `to_matrix`."""
        if to_matrix is not None:
            i, j = self._numbers(anchors, slope), self._numbers(others, slope)
            own = slope.masked_fill(i[:, None] == j[None, :], 0.0)
            to_matrix.index_put_((i[:, None], j[None, :]), own.to(to_matrix.dtype), accumulate=True)
        weights = self.block(anchors, others, slope)
        return torch.where(weights > 0, slope * weights, 0.0)

    def _numbers(self, rows: slice, like: Tensor) -> Tensor:
        return torch.arange(rows.start, rows.stop, device=like.device) % self.samples
