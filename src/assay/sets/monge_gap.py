"""Monge gap: how much farther does a map carry its samples than it would have to?"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor

from ..batch_objective import batch_objective
from ..errors import UsageError
from ..scale.precision import full_precision
from ..scale.transport.entropic import Transport, entropic_transport
from ..statistics.samples import working_dtype
from .sinkhorn import RELATIVE_BLUR, spread

Cost = Literal["sqeuclidean", "euclidean"]


@batch_objective(
    best="min",
    lower=0.0,
    samples=("x", "mapped"),
    reference="Uscidda and Cuturi 2023, arXiv:2302.04953",
)
def monge_gap(
    x: Tensor,
    mapped: Tensor,
    *,
    cost: Cost = "sqeuclidean",
    epsilon: float | None = None,
    tolerance: float | None = None,
    iterations: int = 2000,
) -> Tensor:
    r"""What a map T costs above the cheapest way to bring the same samples to the same places.

    $$ M_\varepsilon = \frac1n \sum_i c(x_i, T x_i) - W_\varepsilon, \qquad
       W_\varepsilon = \min_P \langle P, C \rangle - \varepsilon \, (H(P) - \log n), \quad C_{ij} = c(x_i, T x_j) $$

    over plans P with all marginals 1/n, with the entropy $H(P) = -\sum_{ij} P_{ij} \log P_{ij}$. It is zero where T is
    an optimal map (for the squared distance: the gradient of a convex function), and a regulariser that makes any
    network one: minimise a fit of the mapped samples to the target, plus this.

    The constant $\varepsilon \log n$ makes one-to-one assignments free of the entropy's bonus, so that the gap is at
    least the exact one (epsilon to 0) and at least 0. It is the published one less $\varepsilon \log n$, with the
    same gradient.

    Args:
        x: (n, d) samples.
        mapped: (n, d) where the map takes each, row by row.
        cost: "sqeuclidean", |x - y|^2, or "euclidean", |x - y|.
        epsilon: regularisation, in units of the cost; by default 0.08 of the squared spread of x for the squared
            distance, 0.05 of the spread for the distance; it does not follow the map.
        tolerance, iterations: of the solver, as in `sinkhorn_divergence`.

    Returns:
        A scalar, at least 0; lower is better. In units of the cost.

    Raises:
        UsageError: other shapes, an unknown cost, an epsilon of zero or less, or samples x that are all equal and no
            `epsilon` given.
        DataError: no convergence, or NaN.

    Complexity: O(n^2 d) time a pass, O(n d) memory, forward and backward.

    FAQ:
        *Why is it above zero for an optimal map?* Samples closer than the blur are as good as exchangeable to the
        entropic plan, which spreads over them. The excess shrinks with epsilon.
    """
    carried, found, free, factor = _solved(x, mapped, cost, epsilon, tolerance, iterations)
    return factor * (carried.mean() - found.value[0] + free)


def monge_gap_per_sample(
    x: Any,
    mapped: Any,
    *,
    cost: Cost = "sqeuclidean",
    epsilon: float | None = None,
    tolerance: float | None = None,
    iterations: int = 2000,
) -> Tensor:
    r"""Which samples does the map carry where others should go? The Monge gap's share of each sample.

    $$ M_i = c(x_i, T x_i) - f_i - g_i + \varepsilon \log n = -\varepsilon \log \pi(T x_i | x_i) \ge 0 $$

    with the potentials f, g of the entropic plan, and the chance $\pi$ that it sends x_i to its own image.

    Args:
        x, mapped, cost, epsilon, tolerance, iterations: as in `monge_gap`.

    Returns:
        (n,) float64 values of at least 0 (to within the tolerance), whose mean is `monge_gap`. No gradient: the
        envelope theorem gives the one of their sum alone.

    Raises:
        UsageError, DataError: as `monge_gap`.
    """
    given = monge_gap.check({"x": x, "mapped": mapped})
    wide = torch.promote_types(*(working_dtype(t.dtype) for t in given.values()))
    with torch.no_grad(), full_precision(given["x"].device):
        carried, found, free, factor = _solved(
            given["x"].to(wide), given["mapped"].to(wide), cost, epsilon, tolerance, iterations
        )
    return factor * (carried - found.f[0] - found.g[0] + free)


def _solved(
    x: Tensor, mapped: Tensor, cost: Cost, epsilon: float | None, tolerance: float | None, iterations: int
) -> tuple[Tensor, Transport, Tensor, float]:
    """Each sample's cost, the solved transport, epsilon log n, and what to multiply the three with."""
    if cost not in ("sqeuclidean", "euclidean"):
        raise UsageError(f'cost: expected "sqeuclidean" or "euclidean", got {cost!r}')
    if epsilon is not None and not epsilon > 0:
        raise UsageError(f"epsilon: expected a number above zero or None, got {epsilon!r}")
    n = len(x)
    p, factor = (
        (2, 2.0) if cost == "sqeuclidean" else (1, 1.0)
    )  # the solver's cost for p = 2 is half the square
    share = torch.full((1, n), 1.0 / n, dtype=torch.float64, device=x.device)
    if epsilon is None:
        regularisation = (RELATIVE_BLUR[p] * spread(x[None], share)) ** p
    else:
        regularisation = torch.full_like(share[:, 0], float(epsilon) / factor)
    found = entropic_transport(
        x[None],
        mapped[None],
        share,
        share.clone(),
        regularisation,
        p=p,
        tolerance=tolerance,
        iterations=iterations,
    )
    return _carried(x, mapped, p), found, regularisation[0] * math.log(n), factor


def _carried(x: Tensor, mapped: Tensor, p: int) -> Tensor:
    squared = (x.to(torch.float64) - mapped.to(torch.float64)).square().sum(1)
    if p == 2:
        return 0.5 * squared
    moved = squared > 0
    return torch.where(moved, torch.where(moved, squared, 1.0).sqrt(), 0.0)
