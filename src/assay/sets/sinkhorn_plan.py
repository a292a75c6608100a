"""Which samples go where? The plan behind the transport cost, and the potentials that stand for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..checks import as_counts, as_samples
from ..errors import UsageError
from ..scale.transport.cost import costs
from ..scale.transport.entropic import plan_means
from ..statistics import Samples
from .sinkhorn import TransportOptions, shares

LARGEST_PLAN = 2**26  # entries: half a gigabyte of float64


@dataclass(frozen=True)
class SinkhornPotentials:
    """An optimal plan between two sets, as the potentials it is made of:  P_ij = a_i b_j exp((f_i + g_j - C_ij) / eps).

    Nothing here carries a gradient.

    Attributes:
        x, y: (n, d) and (m, d) the samples.
        a, b: (n,) and (m,) shares, float64; they sum to 1.
        f, g: (n,) and (m,) potentials, float64. f_i + g_j is at most about C_ij; only their sum is determined, unless
            `reach` is given.
        cost: OT_eps(x, y), not freed of the blur's bias, a float64 scalar.
        epsilon: the regularisation, blur^p.
        p: of the cost.
        error: by how much the marginals are off in total.
        passes: over all pairs.
    """

    x: Tensor
    y: Tensor
    a: Tensor
    b: Tensor
    f: Tensor
    g: Tensor
    cost: Tensor
    epsilon: Tensor
    p: int
    error: float
    passes: int

    def plan(self) -> Tensor:
        """The whole plan (n, m), float64; rows sum to a, columns to b, to within the error.

        Raises:
            UsageError: more than 2^26 entries; `to_x` and `to_y` use the plan without forming it.
        """
        n, m = len(self.x), len(self.y)
        if n * m > LARGEST_PLAN:
            raise UsageError(
                f"plan: {n} by {m} entries are too many to hold; use to_x(values) or to_y(values), which never form it"
            )
        centre = self.x.to(torch.float64).mean(0)
        cost = costs(self.x.to(torch.float64) - centre, self.y.to(torch.float64) - centre, self.p)
        exponent = (self.f[:, None] + self.g[None, :] - cost) / self.epsilon
        return self.a[:, None] * self.b[None, :] * exponent.exp()

    def to_x(self, values: Tensor) -> Tensor:
        """For each x the mean of y's values over where the plan sends it; `to_x(y)` is the barycentric map.

        Args:
            values: (m, e), one row a sample of y: positions, colours, one-hot labels.

        Returns:
            (n, e) float64, by tiles: O(n + m) memory.
        """
        return self._means(self.x, self.y, self.a, self.b, self.f, self.g, values, "y")

    def to_y(self, values: Tensor) -> Tensor:
        """For each y the mean of x's values (n, e) over where the plan takes it from, (m, e) float64."""
        return self._means(self.y, self.x, self.b, self.a, self.g, self.f, values, "x")

    def _means(
        self, x: Tensor, y: Tensor, a: Tensor, b: Tensor, f: Tensor, g: Tensor, values: Tensor, side: str
    ) -> Tensor:
        if values.ndim != 2 or len(values) != len(y):
            raise UsageError(
                f"values: expected one row a sample of {side}, shape ({len(y)}, e), got {tuple(values.shape)}"
            )
        return plan_means(
            x[None], y[None], a[None], b[None], f[None], g[None], self.epsilon[None], self.p, values[None]
        )[0]


def sinkhorn_potentials(
    x: Any,
    y: Any,
    *,
    weights_x: Any = None,
    weights_y: Any = None,
    blur: float | None = None,
    p: int = 2,
    reach: float | None = None,
    scaling: float = 0.5,
    tolerance: float | None = None,
    iterations: int = 2000,
) -> SinkhornPotentials:
    r"""The plan of $\mathrm{OT}_\varepsilon(x, y)$, the first term of `sinkhorn_divergence`, and its potentials.

    Args:
        x, y: (n, d) and (m, d) features or `Samples`.
        weights_x, weights_y: counts.
        blur, p, reach, scaling, tolerance, iterations: as in `sinkhorn_divergence`.

    Returns:
        Potentials, cost, and the plan on request, whole or applied to values.

    Raises:
        UsageError, DataError: as `sinkhorn_divergence`.

    Complexity: O(n m d) time a pass, O((n + m) d) memory.
    """
    options = TransportOptions(blur, p, reach, scaling, tolerance, iterations)
    left, right = _side(x, weights_x, "x"), _side(y, weights_y, "y")
    if left.width != right.width:
        raise UsageError(
            f"the sides differ in their number of features: x has {left.width}, y has {right.width}"
        )
    with torch.no_grad():
        epsilon = options.epsilon(left)
        found = options.cost(left, right, epsilon)
    return SinkhornPotentials(
        x=left.features.detach(),
        y=right.features.detach(),
        a=shares(left)[0].detach(),
        b=shares(right)[0].detach(),
        f=found.f[0],
        g=found.g[0],
        cost=found.value[0],
        epsilon=epsilon.detach(),
        p=p,
        error=float(found.error[0]),
        passes=int(found.passes[0]),
    )


def _side(value: Any, weights: Any, name: str) -> Samples:
    if isinstance(value, Samples):
        if weights is not None:
            raise UsageError(
                f"weights_{name}: the side {name} is a statistic, which holds its weights already"
            )
        return value
    samples = as_samples(value, name)
    counts = (
        None if weights is None else as_counts(weights, len(samples), f"weights_{name}").to(samples.device)
    )
    return Samples.of(samples, counts)
