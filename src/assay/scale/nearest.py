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

from .progress import tick
from .tiles import spans

ROWS, COLUMNS = 1024, 8192
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
    own = y is None
    other = x if y is None else y
    available = len(other) - own
    if not 1 <= k <= available:
        raise ValueError(f"k: expected 1 to {available} (the rows there are), got {k}")
    keep = min(k + SPARE, available)
    left, right = _augmented(x, other)
    squared = torch.empty(len(x), k, dtype=torch.float64, device=x.device)
    index = torch.empty(len(x), k, dtype=torch.int64, device=x.device)
    inverse = None if scale is None else scale.reciprocal().to(left.dtype)
    rows, columns = spans(len(x), ROWS), spans(len(other), COLUMNS)
    for done, (a, b) in enumerate(rows):
        best: Tensor | None = None
        where: Tensor | None = None
        for c, e in columns:
            closeness = left[a:b] @ right[c:e].T
            if own and max(a, c) < min(b, e):
                diagonal = torch.arange(max(a, c), min(b, e), device=x.device)
                closeness[diagonal - a, diagonal - c] = -torch.inf
            if inverse is not None:
                closeness = closeness * inverse[c:e]
            value, column = closeness.topk(min(keep, e - c), dim=1)
            column = column + c
            if best is not None and where is not None:
                value, column = torch.cat([best, value], 1), torch.cat([where, column], 1)
                value, order = value.topk(min(keep, value.shape[1]), dim=1)
                column = column.gather(1, order)
            best, where = value, column
        assert where is not None
        exact = _subtracted(x[a:b], other, where)
        if scale is not None:
            exact = exact / scale[where]
        if own:  # where a row is among its own spare candidates it must not win
            exact = exact.masked_fill(where == torch.arange(a, b, device=x.device)[:, None], torch.inf)
        exact, order = exact.sort(dim=1, stable=True)
        squared[a:b], index[a:b] = exact[:, :k], where.gather(1, order)[:, :k]
        tick("nearest neighbours", done + 1, len(rows))
    return Nearest(squared, index)


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
    left, right = _augmented(x, y)
    half_x, half_y = -left[:, -2], -right[:, -1]  # half the squared norms, of the centred rows
    eps = torch.finfo(left.dtype).eps * (8 + left.shape[1] ** 0.5)
    slack_x = eps * (half_x + half_y.max())
    slack_y = eps * (half_y + half_x.max())
    reach_x = _reach(radii_x, slack_x)
    reach_y = _reach(radii_y, slack_y)
    rows, columns = spans(len(x), ROWS), spans(len(y), 2048)
    done = 0
    for a, b in rows:
        for c, e in columns:
            closeness = left[a:b] @ right[c:e].T
            near = (closeness >= reach_x[a:b, None]) | (closeness >= reach_y[None, c:e])
            i, j = near.nonzero(as_tuple=True)
            squared = -2 * closeness[i, j].to(torch.float64)
            i, j = i + a, j + c
            unsure = ((squared - radii_x[i]).abs() <= 4 * slack_x[i]) | ((squared - radii_y[j]).abs() <= 4 * slack_y[j])
            redo = unsure.nonzero(as_tuple=True)[0]
            for f, g in spans(len(redo), 65536):
                some = redo[f:g]
                squared[some] = _distance(x[i[some]], y[j[some]])
            yield i, j, squared <= radii_x[i] * (1 + TIE), squared <= radii_y[j] * (1 + TIE)
            done += 1
            tick("pairs within radii", done, len(rows) * len(columns))


def _reach(radii: Tensor, slack: Tensor) -> Tensor:
    """The least closeness (minus half a squared distance) that can belong to a pair within the radius."""
    least = -0.5 * radii - 2 * slack.to(torch.float64)
    return torch.where(radii < 0, torch.inf, least).to(slack.dtype)


def _augmented(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Rows whose inner products are minus half the squared distances, so that one product needs no further pass."""
    centre = y.to(torch.float64).mean(0).to(y.dtype)
    x, y = x - centre, y - centre
    a, b = 0.5 * x.square().sum(1, keepdim=True), 0.5 * y.square().sum(1, keepdim=True)
    one_x, one_y = torch.ones_like(a), torch.ones_like(b)
    return torch.cat([x, -a, one_x], 1), torch.cat([y, one_y, -b], 1)


def _subtracted(x: Tensor, y: Tensor, index: Tensor) -> Tensor:
    """(n, k) squared distances from each row of x to the rows of y that `index` (n, k) names, a few rows at a time."""
    n, k = index.shape
    out = torch.empty(n, k, dtype=torch.float64, device=x.device)
    for a, b in spans(n, max(1, 2**22 // (k * x.shape[1]))):
        out[a:b] = _distance(x[a:b, None, :], y[index[a:b]])
    return out


def _distance(x: Tensor, y: Tensor) -> Tensor:
    return (x.to(torch.float64) - y.to(torch.float64)).square().sum(-1)
