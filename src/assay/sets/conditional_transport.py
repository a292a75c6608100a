"""Conditional transport: what does it cost to send every sample to those of the other set that are near it?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from ..errors import UsageError
from ..laws import rotation_invariant, translation_invariant
from ..measure import measure
from ..scale.transport.conditional import conditional_costs
from ..statistics import Samples
from .sinkhorn import shares, spread

RELATIVE_TEMPERATURE = 0.1  # of the reference's squared spread
Cost = Literal["sqeuclidean", "cosine"]
Navigator = Callable[[Tensor], Tensor]


@measure(
    statistic=Samples,
    best="min",
    lower=0.0,
    laws=[translation_invariant, rotation_invariant],
    reference="Zheng and Zhou 2021, arXiv:2012.14100",
)
def conditional_transport(
    x: Samples,
    y: Samples,
    *,
    rho: float = 0.5,
    cost: Cost = "sqeuclidean",
    temperature: float | None = None,
    navigator: Navigator | None = None,
) -> Tensor:
    r"""The expected cost of two softmax plans, from real to generated samples and back.

    $$ \mathrm{CT} = \rho \sum_i a_i \sum_j \pi(y_j | x_i) \, c(x_i, y_j)
       + (1 - \rho) \sum_j b_j \sum_i \pi(x_i | y_j) \, c(x_i, y_j) $$

    $$ \pi(y_j | x_i) \propto b_j \, e^{-d(x_i, y_j) / T}, \qquad \pi(x_i | y_j) \propto a_i \, e^{-d(x_i, y_j) / T} $$

    with the sets' shares a and b. The forward part (from x) asks that every real sample has generated ones near it:
    alone it makes a generator cover the modes. The backward part (from y) asks that every generated sample is near a
    real one: alone it makes a generator seek a mode.

    Args:
        x: real side, (n, d) features or `Samples`.
        y: generated side, (m, d) features or `Samples`.
        rho: share of the forward part, 0 to 1; 0.5 treats both alike.
        cost: c, "sqeuclidean", |x - y|^2, or "cosine", 1 - cos(x, y) (a critic's features).
        temperature: T of the plans. Towards 0 each sample goes to its nearest (a Chamfer distance), towards infinity
            to all alike (the mean cost of all pairs). By default 0.1 of the squared spread of the real side, as the
            navigator shows it: the mean squared distance from its mean.
        navigator: a map of features (n, d) to (n, e) in which d is the squared distance; the published plans learn one
            (a network, trained to lower the same value). By default d is the cost.

    Returns:
        A scalar, at least 0; lower is better. In units of the cost. It is no distance: the value of two equal sets is
        above 0, of the size of the temperature, and it falls with the number of samples. Compare at one number of
        samples and one temperature.

    Raises:
        UsageError: an option out of its range, or a navigator that returns another number of rows.

    Complexity: O(n m d) time, O((n + m) d) memory, forward and backward; nothing all-pairs is ever held.

    FAQ:
        *Which gradient trains what?* The value falls in the generated samples and in the navigator's parameters alike;
        a critic, whose features are x and y, is trained to raise it.
    """
    forward, backward = _parts(x, y, cost, temperature, navigator)
    if not 0 <= rho <= 1:
        raise UsageError(f"rho: expected a share from 0 to 1, got {rho!r}")
    return rho * forward + (1 - rho) * backward


def _parts(
    x: Samples, y: Samples, cost: Cost, temperature: float | None, navigator: Navigator | None
) -> tuple[Tensor, Tensor]:
    if cost not in ("sqeuclidean", "cosine"):
        raise UsageError(f'cost: expected "sqeuclidean" or "cosine", got {cost!r}')
    if temperature is not None and not temperature > 0:
        raise UsageError(f"temperature: expected a number above zero or None, got {temperature!r}")
    near_x, near_y = x.features, y.features
    closeness: Cost = cost
    if navigator is not None:
        near_x, near_y = _navigated(navigator, near_x, "x"), _navigated(navigator, near_y, "y")
        closeness = "sqeuclidean"
    a, b = shares(x), shares(y)
    if temperature is None:
        warmth = RELATIVE_TEMPERATURE * _spread_as_seen(near_x, a, closeness)
        # a set without spread has no scale of its own; any temperature will do for its plans from x
        sharpness = torch.where(warmth > 0, 1 / torch.where(warmth > 0, warmth, 1.0), 1.0)
    else:
        sharpness = torch.full_like(x.weight, 1 / temperature)
    return conditional_costs(
        x.features, y.features, near_x, near_y, a[0], b[0], sharpness, cost=cost, closeness=closeness
    )


def _spread_as_seen(near: Tensor, a: Tensor, closeness: Cost) -> Tensor:
    if closeness == "cosine":
        return spread(torch.nn.functional.normalize(near, dim=1)[None], a)[0] ** 2 / 2
    return spread(near[None], a)[0] ** 2


def _navigated(navigator: Navigator, features: Tensor, side: str) -> Tensor:
    near = navigator(features)
    if near.ndim != 2 or len(near) != len(features) or not near.is_floating_point():
        raise UsageError(
            f"navigator: expected one row of floating-point numbers a sample of {side}, ({len(features)}, e), got "
            f"{tuple(near.shape)} {near.dtype}"
        )
    return near
