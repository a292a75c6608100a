"""Row-wise log of a sum of exponentials where every row has its own temperature and passes over its own group.

Complexity: O(n m d) time, O((n + m) d) memory, forward and backward.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..first_derivative import first_derivative_only
from ..precision import full_precision
from ..tiles import tiles


@dataclass(frozen=True)
class TiltedRows:
    """What each row x_i finds among the y_j of other groups, with scores  q_ij = <x_i, y_j> / t_i.

    Attributes:
        log_sum: (n,) float64 log sum_j exp(q_ij), differentiable in x and y; -inf where a row has nothing to look at.
        mean: (n,) float64 the mean of q_ij under the weights exp(q_ij), without gradient; 0 where there are none.
        count: (n,) float64 how many y_j are of another group.
    """

    log_sum: Tensor
    mean: Tensor
    count: Tensor


def tilted_rows(x: Tensor, y: Tensor, temperature: Tensor, groups_x: Tensor, groups_y: Tensor) -> TiltedRows:
    """See `TiltedRows`.

    Args:
        x: (n, d).
        y: (m, d), of the same precision.
        temperature: (n,) above zero, taken as constants.
        groups_x: (n,) whole numbers.
        groups_y: (m,) whole numbers; a pair of one group is left out.
    """
    found = _Tilted.apply(x, y, temperature.detach().to(x.dtype).reciprocal(), groups_x, groups_y)  # type: ignore[no-untyped-call]
    return TiltedRows(*found)


class _Tilted(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, y: Tensor, steepness: Tensor, groups_x: Tensor, groups_y: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        top = torch.full((len(x),), -torch.inf, dtype=torch.float64, device=x.device)
        total, moment, count = (torch.zeros_like(top) for _ in range(3))
        steep = x * steepness[:, None]
        with full_precision(x.device):
            for i, j, _ in tiles(len(x), len(y), symmetric=False, what="pairs"):
                own = groups_x[i, None] == groups_y[None, j]
                scores = steep[i] @ y[j].T
                high = torch.maximum(top[i], scores.masked_fill(own, -torch.inf).amax(1).to(torch.float64))
                safe = torch.where(high > -torch.inf, high, 0.0)
                raised = torch.exp(scores - safe[:, None].to(x.dtype)).masked_fill_(own, 0.0)
                before = torch.exp(top[i] - safe)
                total[i] = total[i] * before + raised.sum(1)
                moment[i] = moment[i] * before + (raised * scores).sum(1)
                count[i] += own.shape[1] - own.sum(1)
                top[i] = high
        log_sum = top + torch.log(total)
        mean = torch.where(total > 0, moment / total.clamp_min(torch.finfo(torch.float64).tiny), 0.0)
        ctx.save_for_backward(x, y, steepness, groups_x, groups_y, log_sum)
        ctx.mark_non_differentiable(mean, count)
        return log_sum, mean, count

    @staticmethod
    @first_derivative_only("a sum over all pairs")
    def backward(ctx: Any, slope: Tensor, _mean: Tensor, _count: Tensor) -> tuple[Tensor | None, ...]:
        x, y, steepness, groups_x, groups_y, log_sum = ctx.saved_tensors
        to_x, to_y = torch.zeros_like(x), torch.zeros_like(y)
        steep = x * steepness[:, None]
        shift = torch.where(log_sum > -torch.inf, log_sum, 0.0).to(x.dtype)
        narrow = slope.to(x.dtype)
        with full_precision(x.device):
            for i, j, _ in tiles(len(x), len(y), symmetric=False, what="gradient over pairs"):
                own = groups_x[i, None] == groups_y[None, j]
                share = torch.exp(steep[i] @ y[j].T - shift[i, None]).masked_fill_(own, 0.0)
                share *= narrow[i, None]
                to_x[i] += share @ y[j]
                to_y[j] += share.T @ steep[i]
        return to_x * steepness[:, None], to_y, None, None, None
