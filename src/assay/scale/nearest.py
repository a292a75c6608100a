"""Nearest rows and pairs within radii, over tiles: what neighbour measures stand on.

Distances are first read off inner products, which is fast and loses small ones: exact copies read as apart. Both sets
are therefore centred, more winners are kept than asked for, and every distance that decides something (a winner, a
pair near its radius) is computed again by subtraction in float64. Nothing here has a gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .precision import full_precision
from .tiles import of_one_precision, spans, tiles

SHAPE = (1024, 2048)
CACHED = 2**19  # float64 numbers of a recomputation at once: what a core's cache holds
SPARE = 4  # winners kept beyond those asked for, so that rounding in a product cannot push a true one out
TIE = 1e-12  # relative: a distance this close to a radius is on the ball's surface, which belongs to the ball


@dataclass(frozen=True)
class Nearest:
    """The nearest rows of one set to each row of another, nearest first.

    Attributes:
        squared: (n, k) squared distances, float64, by subtraction.
        index: (n, k) which row.
    """

    squared: Tensor
    index: Tensor


def nearest(x: Tensor, y: Tensor | None, k: int, *, scale: Tensor | None = None) -> Nearest:
    """The k rows of y nearest to each row of x; with `y=None`, of the other rows of x.

    Args:
        x: (n, d).
        y: (m, d), or None.
        k: at most m, or n - 1 without y.
        scale: (m,) above zero; squared distances to row j are divided by scale[j], here and in what comes back.

    Complexity: O(n m d) time, O(n (k + d)) memory.
    """
    own = torch.arange(len(x), device=x.device) if y is None else None
    x, other = (x, x) if y is None else of_one_precision(x, y)
    available = len(other) - (y is None)
    if not 1 <= k <= available:
        raise ValueError(f"k: expected 1 to {available} (the rows there are), got {k}")
    keep = min(k + SPARE, available)
    best, where = _candidates(x, other, keep, own, scale)
    exact, where = _exact(x, other, best, where, scale)
    if x.dtype != torch.float64 and keep < available:
        # where the worst candidate may, but for rounding, be no farther than the k-th, a true neighbour may be missing
        # (a row as near as the k-th has a norm of at most |x| + r: the largest norms, far away, do not matter)
        half = 0.5 * _centred_norms(x, other).to(torch.float64)
        widest = 1.0 if scale is None else float(scale.max())
        reach = (exact[:, k - 1] * widest).sqrt()
        slack = _slack(x, half, 0.5 * ((2 * half).sqrt() + reach).square())
        slack = slack * (1.0 if scale is None else float(scale.reciprocal().max()))
        precise = None
        unsure = (-2 * best[:, -1] - 4 * slack <= exact[:, k - 1]).nonzero()[:, 0]
        for a, b in spans(len(unsure), max(1, 2**24 // x.shape[1])):
            rows = unsure[a:b]
            precise = other.to(torch.float64) if precise is None else precise
            wide = x[rows].to(torch.float64)
            again = _candidates(wide, precise, keep, None if own is None else own[rows], scale)
            exact[rows], where[rows] = _exact(wide, precise, *again, scale)
    return Nearest(exact[:, :k], where[:, :k])


def _candidates(
    x: Tensor, other: Tensor, keep: int, own: Tensor | None, scale: Tensor | None
) -> tuple[Tensor, Tensor]:
    """For each row of x the `keep` closest rows of the other set by inner products, the row `own` names left out."""
    left, right = _augmented(x, other)
    inverse = None if scale is None else scale.reciprocal().to(left.dtype)
    best = torch.full((len(x), keep), -torch.inf, dtype=left.dtype, device=x.device)
    where = torch.zeros(len(x), keep, dtype=torch.int64, device=x.device)
    symmetric = own is not None and len(x) == len(other)
    for i, j, mirrored in tiles(
        len(x), len(other), symmetric=symmetric, what="nearest neighbours", shape=SHAPE
    ):
        with full_precision(x.device):
            closeness = left[i] @ right[j].T
        if inverse is not None:
            closeness = closeness * inverse[j]
        if own is not None:
            inside = ((own[i] >= j.start) & (own[i] < j.stop)).nonzero()[:, 0]
            closeness[inside, own[i][inside] - j.start] = -torch.inf
        _keep_best(best, where, i, closeness, j.start)
        if mirrored:
            _keep_best(best, where, j, closeness.T.contiguous(), i.start)
    return best, where


def _exact(
    x: Tensor, other: Tensor, best: Tensor, where: Tensor, scale: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The candidates' distances by subtraction, sorted, and their rows."""
    exact = _subtracted(x, other, where)
    if scale is not None:
        exact = exact / scale[where]
    exact, order = exact.masked_fill_(best == -torch.inf, torch.inf).sort(dim=1, stable=True)
    return exact, where.gather(1, order)


def _keep_best(best: Tensor, where: Tensor, rows: slice, closeness: Tensor, offset: int) -> None:
    """Take the columns of a tile that are closer than what the rows have so far."""
    keep = best.shape[1]
    value, column = closeness.topk(min(keep, closeness.shape[1]), dim=1)
    value, order = torch.cat([best[rows], value], 1).topk(keep, dim=1)
    best[rows] = value
    where[rows] = torch.cat([where[rows], column + offset], 1).gather(1, order)


def pairs_within(
    x: Tensor, y: Tensor, radii_x: Tensor, radii_y: Tensor
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Every pair that lies in the ball of either end, tile by tile.

    Args:
        x: (n, d).
        y: (m, d).
        radii_x: (n,) squared radii of the balls around x, float64; below zero for no ball.
        radii_y: (m,) likewise for y.

    Yields:
        (i, j, in the ball of x_i, in the ball of y_j): the pairs' rows (p,), and two masks (p,).
    """
    x, y = of_one_precision(x, y)
    left, right = _augmented(x, y)
    half_x, half_y = -left[:, -2], -right[:, -1]  # half the squared norms, of the centred rows
    for rows, columns, _ in tiles(len(x), len(y), symmetric=False, what="pairs within radii", shape=SHAPE):
        with full_precision(x.device):
            closeness = left[rows] @ right[columns].T
        a, b = half_x[rows], half_y[columns]
        # the tile's own largest norm bounds its rounding: an outlier slows its tile, not the pass
        reach_x = _reach(radii_x[rows], _slack(x, a, b.max()))
        reach_y = _reach(radii_y[columns], _slack(x, b, a.max()))
        near = (closeness >= reach_x[:, None]).logical_or_(closeness >= reach_y[None, :])
        i, j = near.nonzero(as_tuple=True)
        squared = -2 * closeness[i, j].to(torch.float64)
        i, j = i + rows.start, j + columns.start
        slack = 4 * _slack(x, half_x[i], half_y[j])
        unsure = ((squared - radii_x[i]).abs() <= slack) | ((squared - radii_y[j]).abs() <= slack)
        redo = unsure.nonzero(as_tuple=True)[0]
        for start, stop in spans(len(redo), max(1, CACHED // x.shape[1])):
            some = redo[start:stop]
            squared[some] = _distance(x[i[some]], y[j[some]])
        yield i, j, squared <= radii_x[i] * (1 + TIE), squared <= radii_y[j] * (1 + TIE)


def _slack(x: Tensor, half: Tensor, largest: Tensor) -> Tensor:
    """How far rounding may move a closeness, from half the squared norms of a row and of the largest other one."""
    per_unit: float = torch.finfo(x.dtype).eps * (8 + x.shape[1] ** 0.5)
    return per_unit * (half + largest)


def _centred_norms(x: Tensor, other: Tensor) -> Tensor:
    return (x - _centre(other)).square().sum(1)


def _centre(other: Tensor) -> Tensor:
    return other.to(torch.float64).mean(0).to(other.dtype)


def _reach(radii: Tensor, slack: Tensor) -> Tensor:
    """The least closeness (minus half a squared distance) that can belong to a pair within the radius."""
    least = -0.5 * radii - 2 * slack.to(torch.float64)
    return torch.where(radii < 0, torch.inf, least).to(slack.dtype)


def _augmented(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Rows whose inner products are minus half the squared distances, so that one product needs no further pass."""
    centre = _centre(y)
    x, y = x - centre, y - centre
    a, b = 0.5 * x.square().sum(1, keepdim=True), 0.5 * y.square().sum(1, keepdim=True)
    one_x, one_y = torch.ones_like(a), torch.ones_like(b)
    return torch.cat([x, -a, one_x], 1), torch.cat([y, one_y, -b], 1)


def _subtracted(x: Tensor, y: Tensor, index: Tensor) -> Tensor:
    """(n, k) squared distances from each row of x to the rows of y that `index` (n, k) names, a few rows at a time."""
    n, k = index.shape
    out = torch.empty(n, k, dtype=torch.float64, device=x.device)
    for a, b in spans(n, max(1, CACHED // (k * x.shape[1]))):
        out[a:b] = _distance(x[a:b, None, :], y[index[a:b]])
    return out


def _distance(x: Tensor, y: Tensor) -> Tensor:
    return (x.to(torch.float64) - y.to(torch.float64)).square().sum(-1)
