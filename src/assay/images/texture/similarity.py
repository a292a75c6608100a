"""How strongly a patch points to one patch of the reference rather than to the others: the kernel of two measures."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...errors import UsageError
from ...scale.row_strips import Scores, column_best, squared_distances

EPSILON = 1e-5


def check_bandwidth(measure: str, bandwidth: float) -> None:
    """Refuse a bandwidth that is not above zero.

    Raises:
        UsageError: with what came.
    """
    if not isinstance(bandwidth, (int, float)) or not 0 < bandwidth < float("inf"):
        raise UsageError(f"{measure}: bandwidth: expected a number above zero, got {bandwidth!r}")


def best_match_cost(x: Tensor, y: Tensor, scores: Scores) -> Tensor:
    """-log mean_j max_i exp(scores_ij), (B,): how badly the reference's patches y are found among the generated x."""
    best = column_best(x, y, scores)
    return math.log(best.shape[1]) - best.logsumexp(1)


def relative_distances(x: Tensor, y: Tensor, *, scale: float, bandwidth: float) -> Tensor:
    """log of exp((1 - d_ij / (min_k d_ik + 1e-5)) / h) over its sum along the row, with d = scale |x - y|^2."""
    distances = squared_distances(x, y, scale)
    where = distances.detach().argmin(-1, keepdim=True)
    winner = y.gather(1, where.expand(-1, -1, y.shape[-1]))
    # by subtraction: a copy is at 0, while a product's rounding is of the size of 1e-5
    least = scale * (x - winner).square().sum(-1, keepdim=True)
    # against the nearest, whose logarithm is 0: nothing overflows
    logs = (least - distances).clamp_max(0) / ((least + EPSILON) * bandwidth)
    logs = logs.scatter(-1, where, 0.0)
    total: Tensor = logs.exp().sum(-1, keepdim=True)
    return logs - total.log()


def relative_cosines(x: Tensor, y: Tensor, *, bandwidth: float) -> Tensor:
    """log of exp(mu_ij / (max_{k != j} mu_ik + 1e-5) / h) over the sum of the row's others, with mu = x . y.

    The largest other cosine counts as 0 where it is negative.
    """
    cosines = x @ y.mT
    two, where = cosines.topk(2, -1)
    largest = (two.clamp_min(0) + EPSILON) * bandwidth
    logs = (cosines / largest[..., :1]).scatter(-1, where[..., :1], two[..., :1] / largest[..., 1:])
    total = logs.logsumexp(-1, keepdim=True)
    top = logs.detach().argmax(-1, keepdim=True)
    # of the largest the others' sum is a small difference, taken by itself; any other is at most half of the whole
    shares = (logs - total).scatter(-1, top, -torch.inf)
    others = total + torch.log1p(-shares.exp())
    beside = logs.scatter(-1, top, -torch.inf).logsumexp(-1, keepdim=True)
    return logs - others.scatter(-1, top, beside)
