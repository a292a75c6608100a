"""Chamfer distance: how far is each point of either set from the nearest one of the other?"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import UsageError
from ..laws import rotation_invariant, scales_with, symmetric, translation_invariant, zero_on_equal
from ..measure import measure
from ..pairs import pair_measure
from ..scale.nearest import nearest
from ..scale.tiles import of_one_precision
from ..statistics import Samples

BLOCK = 2**22  # pairs of points that are held at once
BY_VALUE = "nearest samples are looked up by value"


@measure(
    statistic=Samples,
    best="min",
    lower=0.0,
    laws=[zero_on_equal, symmetric, translation_invariant, rotation_invariant, scales_with(2)],
    spread="half-samples",
    exceptions={"compiled_agrees": BY_VALUE},
    reference="Fan, Su and Guibas 2017, arXiv:1612.00603; truncated: Li et al. 2021, arXiv:2111.01253",
)
def chamfer_distance(
    x: Samples, y: Samples, *, truncate: float | None = None, squared: bool = True
) -> Tensor:
    r"""Mean squared distance to the nearest sample of the other set, added over both directions.

    $$ \mathrm{CD} = \frac1{W_x} \sum_i u_i \min_j |x_i - y_j|^2 + \frac1{W_y} \sum_j v_j \min_i |x_i - y_j|^2 $$

    Args:
        x: real or target side, (n, d) features or `Samples`.
        y: generated side, (m, d) features or `Samples`.
        truncate: a distance beyond which a sample is no farther: min(distance, truncate) takes its place, and its
            gradient is zero. For outliers and parts that one side has not seen.
        squared: False for distances in place of their squares.

    Returns:
        A scalar in [0, inf), in units of the features squared (or not); lower is better. 0 exactly where each set's
        points are among the other's.

    Raises:
        UsageError: a `truncate` that is not above zero, different numbers of features.

    Nearest samples are found over tiles and their distances computed again by subtraction in float64, so copies are at
    distance 0 in float32 too. The gradient, exact where no two samples are equally near, goes through the winners,
    by both ends; of a distance of 0 it is 0. The value depends on the number of samples (denser sets lie nearer): the
    interval of `estimate` is for the value at these numbers, and nothing is corrected. It errs wide: half-samples,
    from which it comes, lie less dense, so their spread is larger, by up to 2^(2/d) in d dimensions.

    Complexity: O(n m d) time, O((n + m) d) memory.

    FAQ:
        *Other conventions?* Halves of this (the mean of both directions), sums over points in place of means, and
        distances in place of squares are all published: say which. `pytorch3d.loss.chamfer_distance` is this.
        *Truncated otherwise?* The source of `truncate` counts samples beyond the cut-off as 0: the same gradient, yet
        a value that falls as samples move out of reach.
        *Many clouds?* `chamfer_distances` takes (B, N, d) and (B, M, d).
    """
    _checked(truncate)
    # a sample counted zero times is nobody's nearest one
    a, b = x.features[x.counts.detach() > 0], y.features[y.counts.detach() > 0]
    u, v = x.counts[x.counts.detach() > 0], y.counts[y.counts.detach() > 0]
    to_y = _shaped(_to_nearest(a, b), truncate, squared)
    to_x = _shaped(_to_nearest(b, a), truncate, squared)
    return (u @ to_y) / u.sum() + (v @ to_x) / v.sum()


@pair_measure(
    best="min",
    domain="any",
    lower=0.0,
    exceptions={"compiled_agrees": BY_VALUE},
    reference="Fan, Su and Guibas 2017, arXiv:1612.00603; truncated: Li et al. 2021, arXiv:2111.01253",
)
def chamfer_distances(
    x: Tensor,
    y: Tensor,
    *,
    truncate: float | None = None,
    squared: bool = True,
    lengths_x: Tensor | None = None,
    lengths_y: Tensor | None = None,
) -> Tensor:
    r"""`chamfer_distance` of each pair of point clouds in a batch.

    $$ \mathrm{CD}_b = \frac1{N_b} \sum_i \min_j |x_{bi} - y_{bj}|^2 + \frac1{M_b} \sum_j \min_i |x_{bi} - y_{bj}|^2 $$

    Args:
        x: (B, N, d) real or target clouds.
        y: (B, M, d) generated clouds.
        truncate, squared: as for `chamfer_distance`.
        lengths_x: (B,) how many of the N points are the cloud's, the rest being padding; by default all.
        lengths_y: (B,) likewise for y.

    Returns:
        (B,) values in [0, inf), differentiable; lower is better.

    Raises:
        UsageError: clouds that are not (B, N, d) of one d and floating-point, lengths of a wrong shape or outside
            1 to N, a `truncate` that is not above zero.

    Complexity: O(B N M d) time, O(B (N + M) d) memory and at most 2^22 distances at once; clouds of more than that many
    pairs go through tiles one by one.
    """
    _checked(truncate)
    if x.ndim != 3 or y.ndim != 3 or x.shape[2] != y.shape[2]:
        raise UsageError(
            f"expected clouds x (B, N, d) and y (B, M, d) of one d, got {tuple(x.shape)} and {tuple(y.shape)}"
        )
    if not (x.is_floating_point() and y.is_floating_point()):
        raise UsageError(f"expected floating-point clouds, got {x.dtype} and {y.dtype}; cast with .float()")
    sizes_x, sizes_y = _lengths(lengths_x, x, "x"), _lengths(lengths_y, y, "y")
    most = max(1, BLOCK // (x.shape[1] * y.shape[1]))
    values = [
        _of_small_clouds(x[k : k + most], y[k : k + most], sizes_x[k : k + most], sizes_y[k : k + most])
        if x.shape[1] * y.shape[1] <= BLOCK
        else _of_large_clouds(x[k], y[k], sizes_x[k], sizes_y[k])
        for k in range(0, len(x), most)
    ]
    to_y, to_x = (torch.cat(part) for part in zip(*values, strict=True))
    shaped = [
        (_shaped(distances, truncate, squared) * present).sum(1) / present.sum(1)
        for distances, present in ((to_y, _present(sizes_x, x)), (to_x, _present(sizes_y, y)))
    ]
    return (shaped[0] + shaped[1]).to(torch.promote_types(x.dtype, y.dtype))


def _present(sizes: list[int], cloud: Tensor) -> Tensor:
    """(B, N) 1 for points and 0 for padding, float64."""
    counts = torch.tensor(sizes, device=cloud.device)
    inside = torch.arange(cloud.shape[1], device=cloud.device) < counts[:, None]
    return inside.to(torch.float64)


def _of_small_clouds(x: Tensor, y: Tensor, sizes_x: list[int], sizes_y: list[int]) -> tuple[Tensor, Tensor]:
    """Squared distances to the nearest point of the other cloud, (B, N) and (B, M), float64; all pairs at once."""
    x, y = of_one_precision(x, y)
    with torch.no_grad():
        # by subtraction: products would lose small distances
        apart = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
        apart.masked_fill_(_present(sizes_x, x)[:, :, None] == 0, torch.inf)
        apart.masked_fill_(_present(sizes_y, y)[:, None, :] == 0, torch.inf)
        in_y, in_x = apart.argmin(2), apart.argmin(1)
    return _squared(x, y, in_y), _squared(y, x, in_x)


def _squared(x: Tensor, y: Tensor, winners: Tensor) -> Tensor:
    found = y.gather(1, winners[:, :, None].expand(-1, -1, y.shape[2]))
    return (x.to(torch.float64) - found.to(torch.float64)).square().sum(2)


def _of_large_clouds(x: Tensor, y: Tensor, n: int, m: int) -> tuple[Tensor, Tensor]:
    """The same of one pair of clouds, (1, N) and (1, M), over tiles."""
    pad = torch.nn.functional.pad
    to_y, to_x = _to_nearest(x[:n], y[:m]), _to_nearest(y[:m], x[:n])
    return pad(to_y, (0, len(x) - n))[None], pad(to_x, (0, len(y) - m))[None]


def _to_nearest(x: Tensor, y: Tensor) -> Tensor:
    """(n,) squared distance to the nearest row of y, float64, differentiable through it."""
    x, y = of_one_precision(x, y)
    with torch.no_grad():
        winner = nearest(x, y, 1).index[:, 0]
    return (x.to(torch.float64) - y[winner].to(torch.float64)).square().sum(1)


def _shaped(distances: Tensor, truncate: float | None, squared: bool) -> Tensor:
    """Truncated, and as distances where those are wanted; the root's slope at 0 is taken as 0."""
    if truncate is not None:
        distances = distances.clamp_max(truncate**2)
    if squared:
        return distances
    apart = distances > 0
    return torch.where(apart, torch.where(apart, distances, 1.0).sqrt(), 0.0)


def _checked(truncate: float | None) -> None:
    if truncate is not None and not truncate > 0:
        raise UsageError(f"truncate: expected a distance above zero or None, got {truncate!r}")


def _lengths(lengths: Tensor | None, cloud: Tensor, side: str) -> list[int]:
    most = cloud.shape[1]
    if lengths is None:
        return [most] * len(cloud)
    if lengths.shape != (len(cloud),) or lengths.is_floating_point():
        raise UsageError(
            f"lengths_{side}: expected whole numbers, one a cloud, shape ({len(cloud)},); got {lengths.dtype} "
            f"{tuple(lengths.shape)}"
        )
    sizes = [int(size) for size in lengths.tolist()]
    if min(sizes) < 1 or max(sizes) > most:
        raise UsageError(
            f"lengths_{side}: expected 1 to {most} points a cloud, got {min(sizes)} to {max(sizes)}"
        )
    return sizes
