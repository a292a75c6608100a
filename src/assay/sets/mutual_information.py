"""Lower bounds on mutual information from a critic's scores of a batch of pairs.

Row i of the scores is an anchor y_i, column j a candidate x_j; the pairs that belong together are on the diagonal. The
better the critic, the tighter the bound: maximise it. Everything is kept as logarithms.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ..batch_arguments import as_rows, of_one_batch
from ..checks import as_samples
from ..errors import UsageError
from ..scale.kernels import linear
from ..scale.precision import full_precision
from ..scale.tiles import row_logsumexp
from ..statistics.samples import working_dtype


def info_nce_bound(scores: Any) -> Tensor:
    r"""InfoNCE's lower bound on the mutual information, in nats: little variance, never above log N.

    $$ I \ge \frac1N \sum_i \log \frac{e^{s_{ii}}}{\frac1N \sum_j e^{s_{ij}}} $$

    It is log N less the cross entropy of the scores with the diagonal.

    Args:
        scores: (N, N) of a critic, anchors by candidates, true pairs on the diagonal; N at least 2.

    Returns:
        A scalar in (-inf, log N], differentiable; higher is better. Of the scores' precision, float32 for narrower.

    Raises:
        UsageError: scores that are not a square floating-point matrix of at least 2 rows.

    Complexity: O(N^2). Source: van den Oord et al. 2018, arXiv:1807.03748; Poole et al. 2019, arXiv:1905.06922.
    """
    wide = _scores(scores)
    return (wide.diagonal() - wide.logsumexp(1)).mean() + math.log(len(wide))


def nwj_bound(scores: Any) -> Tensor:
    r"""The bound of Nguyen, Wainwright and Jordan, in nats: no bias with the best critic, and much variance.

    $$ I \ge \frac1N \sum_i s_{ii} - \frac{1}{e N (N - 1)} \sum_i \sum_{j \ne i} e^{s_{ij}} $$

    Its best critic is 1 + log p(x|y) / p(x): unlike InfoNCE's, scores have a level.

    Args:
        scores: (N, N), as for `info_nce_bound`.

    Returns:
        A scalar, differentiable; higher is better. Minus infinity where an exponential is beyond the precision.

    Raises:
        UsageError: as `info_nce_bound`.

    Complexity: O(N^2). Source: Nguyen et al. 2010, arXiv:0809.0853; Poole et al. 2019, arXiv:1905.06922.
    """
    wide = _scores(scores)
    n = len(wide)
    return wide.diagonal().mean() - (_others(wide).logsumexp((0, 1)) - 1 - math.log(n * (n - 1))).exp()


def interpolated_bound(scores: Any, *, alpha: float = 0.5, log_baseline: Any = None) -> Tensor:
    r"""A lower bound between NWJ's (alpha = 0) and InfoNCE's (alpha = 1): bias against variance, in nats.

    $$ I_\alpha = 1 + E_{p(x_{1:K}) p(y|x_1)} \Big[ \log \frac{e^{f(x_1, y)}}{a(y; x_{1:K})} \Big]
       - E_{p(x_{1:K}) p(y)} \Big[ \frac{e^{f(x_1, y)}}{a(y; x_{1:K})} \Big], \qquad
       a = \frac\alpha K \sum_k e^{f(x_k, y)} + (1 - \alpha) q(y) $$

    The first expectation is at most log(K / alpha), so the value never exceeds 1 + log(K / alpha). In the last one y is
    paired with none of the K candidates: they are the N - 1 others of the batch. In the first they are the true one
    and N - 2 others, averaged over which is left out, so that both have K = N - 1 and what is estimated is a bound. At
    alpha = 1 the last term is 1 whatever the candidates, and all N are used: `info_nce_bound`.

    Args:
        scores: (N, N), as for `info_nce_bound`; N at least 3 below alpha = 1.
        alpha: in [0, 1].
        log_baseline: (N,) log q(y_i), a learned guess of each anchor's log mean exponential score; by default q = e,
            which makes alpha = 0 `nwj_bound`.

    Returns:
        A scalar, differentiable in scores and baseline; higher is better.

    Raises:
        UsageError: as `info_nce_bound`; alpha outside [0, 1]; too few rows; a baseline of another shape.

    Complexity: O(N^2) time and memory.

    FAQ:
        *Which alpha?* As large as log(K / alpha) is comfortably above what is to be measured: larger ones have less
        variance, smaller ones less bias.
        *Is log(K / alpha) itself not the limit?* Where the last expectation is 1, as at alpha = 1. It is less where I
        is far above what K candidates can tell: at I = 8 nats, 64 pairs and alpha = 0.5 the best critic reads 5.4,
        still a lower bound of I, where log(K / alpha) is 4.8.
        *Means over all off-diagonal pairs instead?* A candidate that belongs to y within the sum of the last term makes
        it too small: the estimate then is no bound.

    Source: Poole et al. 2019, arXiv:1905.06922; for distillation He et al. 2021, arXiv:2109.11105.
    """
    if not 0 <= alpha <= 1:
        raise UsageError(f"alpha: expected a number from 0 to 1, got {alpha!r}")
    if alpha == 1:
        return info_nce_bound(scores)
    wide = _scores(scores, fewest=3)
    n = len(wide)
    log_q = _baseline(log_baseline, wide)
    others = _others(wide)
    unpaired = _mixed(others.logsumexp(1) - math.log(n - 1), log_q, alpha)
    last = (others - unpaired[:, None]).logsumexp((0, 1)) - math.log(n * (n - 1))
    paired = _mixed(_without_each(wide) - math.log(n - 1), log_q[:, None], alpha)
    # the candidate left out is never the true one
    log_a = paired.masked_fill(_diagonal(wide), 0.0).sum(1) / (n - 1)
    return 1 + (wide.diagonal() - log_a).mean() - last.exp()


def mi_bounds(scores: Any, *, alpha: float = 0.5, log_baseline: Any = None) -> dict[str, Tensor]:
    """`info_nce_bound`, `nwj_bound` and `interpolated_bound` of the same scores, to be read side by side.

    Args:
        scores: (N, N), as for `info_nce_bound`.
        alpha, log_baseline: as for `interpolated_bound`.

    Returns:
        The bounds by the names "info_nce", "nwj" and "interpolated", in nats.

    Raises:
        UsageError: as those.
    """
    return {
        "info_nce": info_nce_bound(scores),
        "nwj": nwj_bound(scores),
        "interpolated": interpolated_bound(scores, alpha=alpha, log_baseline=log_baseline),
    }


def separable_info_nce_bound(a: Any, b: Any, *, temperature: float = 1.0) -> Tensor:
    r"""`info_nce_bound` of a critic that is an inner product, over tiles: no matrix of scores is held.

    $$ I \ge \frac1N \sum_i \Big( \frac{\langle a_i, b_i \rangle}{\tau} -
       \log \frac1N \sum_j e^{\langle a_i, b_j \rangle / \tau} \Big) $$

    Args:
        a: (N, d) embeddings of the anchors.
        b: (N, d) embeddings of the candidates; rows belong together.
        temperature: tau above zero.

    Returns:
        A scalar in (-inf, log N], differentiable in both; higher is better.

    Raises:
        UsageError: embeddings that are not (N, d) of one shape with at least 2 rows, a temperature of 0 or below.

    Complexity: O(N^2 d) time, O(N d) memory, forward and backward.
    """
    if not 0 < temperature < math.inf:
        raise UsageError(f"temperature: expected a number above zero, got {temperature!r}")
    rows = {"a": as_rows(a, "a"), "b": as_rows(b, "b")}
    of_one_batch(rows, [("a", "b")], [("a", "b")])
    if len(rows["a"]) < 2:
        raise UsageError("a: a bound needs at least 2 pairs, got 1")
    dtype = torch.promote_types(working_dtype(rows["a"].dtype), working_dtype(rows["b"].dtype))
    anchors, candidates = rows["a"].to(dtype) / temperature, rows["b"].to(dtype)
    with full_precision(anchors.device):
        partitions = row_logsumexp(anchors, candidates, linear())
        value = ((anchors * candidates).sum(1) - partitions).mean() + math.log(len(anchors))
    return value.to(dtype)


def _scores(scores: Any, fewest: int = 2) -> Tensor:
    tensor = as_samples(scores, "scores")
    if tensor.shape[0] != tensor.shape[1]:
        raise UsageError(
            f"scores: expected anchors by candidates (N, N), true pairs on the diagonal, got {tuple(tensor.shape)}"
        )
    if len(tensor) < fewest:
        raise UsageError(f"scores: the bound needs at least {fewest} pairs, got {len(tensor)}")
    return tensor.to(working_dtype(tensor.dtype))


def _baseline(log_baseline: Any, scores: Tensor) -> Tensor:
    if log_baseline is None:
        return scores.new_ones(len(scores))
    log_q = torch.as_tensor(log_baseline)
    if log_q.shape != (len(scores),):
        raise UsageError(
            f"log_baseline: expected one number an anchor, shape ({len(scores)},), got {tuple(log_q.shape)}"
        )
    return log_q.to(device=scores.device, dtype=scores.dtype)


def _diagonal(scores: Tensor) -> Tensor:
    return torch.eye(len(scores), dtype=torch.bool, device=scores.device)


def _others(scores: Tensor) -> Tensor:
    """The scores with minus infinity for the true pairs."""
    return scores.masked_fill(_diagonal(scores), -torch.inf)


def _mixed(log_mean: Tensor, log_q: Tensor, alpha: float) -> Tensor:
    """log(alpha m + (1 - alpha) q)."""
    if alpha == 0:
        return log_q.expand_as(log_mean)
    return torch.logaddexp(log_mean + math.log(alpha), log_q + math.log1p(-alpha))


def _without_each(scores: Tensor) -> Tensor:
    """(N, N) log sum of a row's exponentials without column j: of those before and those after, so nothing cancels."""
    edge = scores.new_full((len(scores), 1), torch.finfo(scores.dtype).min)
    before = torch.cat([edge, scores[:, :-1].logcumsumexp(1)], 1)
    after = torch.cat([scores[:, 1:].flip(1).logcumsumexp(1).flip(1), edge], 1)
    return torch.logaddexp(before, after)
