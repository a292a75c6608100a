"""Sliced Wasserstein distance: how far must samples move, seen along many lines, for one set to become the other?"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ..checks import as_samples
from ..errors import UsageError
from ..laws import scales_with, symmetric, translation_invariant, zero_on_equal
from ..measure import measure
from ..scale.transport.lines import line_costs, mean_line_cost, random_directions
from ..statistics import Samples


@measure(
    statistic=Samples,
    best="min",
    lower=0.0,
    laws=[zero_on_equal, symmetric, translation_invariant, scales_with(2)],
    degenerate=True,
    caveat="the interval is for the directions drawn: projection_error gives the noise of drawing others",
    reference="Rabin et al. 2011, doi:10.1007/978-3-642-24785-9_37; statistics: Nadjahi et al. 2020, arXiv:2003.05783",
)
def sliced_wasserstein(
    x: Samples, y: Samples, *, p: float = 2.0, projections: int = 256, seed: int = 0
) -> Tensor:
    r"""Mean over random directions of the p-th power of the Wasserstein distance of the projected samples.

    $$ \mathrm{SW}_p^p = \frac1P \sum_{t=1}^P \int_0^1 \big| F^{-1}_{\langle x, \theta_t \rangle}(q)
       - F^{-1}_{\langle y, \theta_t \rangle}(q) \big|^p \, dq $$

    over P directions drawn uniformly from the unit sphere. In one dimension the optimal plan pairs equal quantiles, so
    each term is exact: both sides' cumulative counts are merged into one grid, whatever n and m are.

    Args:
        x: real side, (n, d) features or `Samples`.
        y: generated side, (m, d) features or `Samples`.
        p: the power, at least 1.
        projections: P, the number of directions.
        seed: of the directions; with one seed every process and every candidate is seen along the same ones.

    Returns:
        A scalar in [0, inf), in units of the features to the power p; lower is better, 0 for equal sets. The p-th root
        is the distance that `ot.sliced_wasserstein_distance` returns; the power is given here, as by
        `frechet_distance`, because it is smooth where the sets agree and its bias can be corrected.

    Raises:
        UsageError: p below 1, fewer than one direction, different numbers of features.

    The interval of `estimate` is for the population's value along **these** directions: it does not hold the noise of
    drawing them, which `projection_error` gives. A comparison of candidates along the same directions does not need
    it. For p = 1 the bias near agreement shrinks like 1 / sqrt(n), of which half-splits find a part only.

    Complexity: O((n + m) P (d + log(n + m))) time, O((n + m) d) memory: directions go by in blocks.

    FAQ:
        *In training?* Gradients go through the sorted pairs. With one seed only these directions are ever improved:
        pass `seed=step`.
        *How many directions?* The noise is `projection_error`, and falls like 1 / sqrt(P). In many dimensions each
        direction sees little: for p = 2 moving one side by a vector c costs |c|^2 / d.
        *Derivatives by counts?* Where both sides' cumulative counts coincide (n = m) there are two one-sided ones;
        influences use their mean.
    """
    _checked(p, projections)
    return mean_line_cost(
        x.features, y.features, x.counts, y.counts, random_directions(projections, x.features, seed), p
    )


def projection_error(x: Any, y: Any, *, p: float = 2.0, projections: int = 256, seed: int = 0) -> float:
    r"""Standard error of `sliced_wasserstein` from its directions: their spread over $\sqrt P$.

    What the interval of `sliced_wasserstein.estimate` leaves out. The value over all directions lies within about two
    of these of the value along P of them.

    Args:
        x, y: features (n, d), (m, d), or `Samples`.
        p, projections, seed: as for `sliced_wasserstein`.

    Returns:
        A number, 0 or above, in units of the value.

    Raises:
        UsageError: as `sliced_wasserstein`, and for fewer than two directions.
    """
    _checked(p, projections)
    if projections < 2:
        raise UsageError(f"projections: a spread needs at least 2 directions, got {projections}")
    sides = [
        s if isinstance(s, Samples) else Samples.of(as_samples(s, name)) for s, name in ((x, "x"), (y, "y"))
    ]
    if sides[0].width != sides[1].width:
        raise UsageError(
            f"the sides differ in their number of features: x has {sides[0].width}, y has {sides[1].width}"
        )
    directions = random_directions(projections, sides[0].features, seed)
    with torch.no_grad():
        costs = line_costs(
            sides[0].features, sides[1].features, sides[0].counts, sides[1].counts, directions, p
        )
    return float(costs.std()) / math.sqrt(projections)


def _checked(p: float, projections: int) -> None:
    if not 1 <= p < float("inf"):
        raise UsageError(f"p: expected a number of at least 1, got {p!r}")
    if isinstance(projections, bool) or int(projections) != projections or projections < 1:
        raise UsageError(f"projections: expected a whole number of at least 1, got {projections!r}")
