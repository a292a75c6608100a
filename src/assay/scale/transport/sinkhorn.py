"""Potentials of entropic optimal transport: which f and g make the plan's marginals right?

Iterations are symmetrised (both potentials move at once, half way), start from a large regularisation that falls to the
one asked for (annealing), and are then extrapolated from the last few residuals (Anderson's acceleration), each
problem of a batch on its own, until the marginals' error is below the tolerance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import DataError
from .cost import HeldCost, TiledCost

WINDOW = 12  # residuals that a step is extrapolated from: 2 (n + m) float64 numbers each
GROWTH = 2.0  # an extrapolated step whose residual is larger than so many times the last one is taken back
STEPS_ON_THE_WAY = 50  # at most, at each regularisation of the annealing
ON_THE_WAY = 0.5  # the error it is left with
RIDGE = 1e-10  # relative, of the small least-squares problem


@dataclass(frozen=True)
class Potentials:
    """The solution, or where the iterations ended.

    Attributes:
        f, g: (B, n) and (B, m) float64; g is f for sets against themselves.
        rows, columns: (B, n), (B, m) sums of the plan over the marginals: all 1 at a balanced solution.
        error: (B,) sum_i a_i |row_i / wanted - 1| + the same over columns.
        iterations: (B,) passes over the pairs.
    """

    f: Tensor
    g: Tensor
    rows: Tensor
    columns: Tensor
    error: Tensor
    iterations: Tensor


def solve(
    cost: HeldCost | TiledCost,
    epsilon: Tensor,
    reach: float,
    *,
    start: Tensor,
    factor: float,
    tolerance: float,
    iterations: int,
) -> Potentials:
    """Potentials for the regularisation epsilon (B,).

    Args:
        cost: the pairs.
        epsilon: (B,) above zero.
        reach: strength of the marginals' penalty, infinity where they are prescribed.
        start: (B,) regularisation that the annealing starts from.
        factor: below 1, what the regularisation is multiplied with at each step.
        tolerance: of the error; infinity for the annealing alone.
        iterations: at most so many after the annealing.

    Raises:
        DataError: NaN or infinity in the samples.
    """
    n = cost.a.shape[1]
    weights = cost.a if cost.within else torch.cat([cost.a, cost.b], 1)

    def halves(z: Tensor) -> tuple[Tensor, Tensor]:
        return (z, z) if cost.within else (z[:, :n], z[:, n:])

    def joined(f: Tensor, g: Tensor) -> Tensor:
        return f if cost.within else torch.cat([f, g], 1)

    def minima(z: Tensor, level: Tensor) -> Tensor:
        return joined(*cost.soft_minima(*halves(z), level))

    def damped(found: Tensor, level: Tensor) -> Tensor:
        return found if reach == math.inf else found / (1 + level / reach)[:, None]

    def off(z: Tensor, wanted: Tensor, level: Tensor) -> Tensor:
        return (weights * (_ratio(z, wanted, level) - 1).abs()).sum(1) * (2 if cost.within else 1)

    level = torch.maximum(start, epsilon)
    zero = torch.zeros_like(weights)
    z = damped(minima(zero, level), level)
    if reach == math.inf:
        # at an endless regularisation this is the solution: mean costs, less half of the mean of all
        z = z - 0.5 * (weights * z).sum(1, keepdim=True) / weights.sum(1, keepdim=True)
    passes = torch.ones_like(epsilon)
    # each regularisation hands on a plan that is roughly right: masses that must cross between far clusters move easily
    # while it is large, and hardly at all once it is small
    while bool((level > epsilon).any()):
        level = torch.maximum(level * factor, epsilon)
        accelerated = _Anderson(weights, level)
        for _ in range(STEPS_ON_THE_WAY):
            wanted = damped(minima(z, level), level)
            passes += ~accelerated.done
            last = off(z, wanted, level) <= (ON_THE_WAY if tolerance < math.inf else tolerance)
            z = torch.where((last & ~accelerated.done)[:, None], 0.5 * (z + wanted), z)
            accelerated.done |= last
            if bool(accelerated.done.all()):
                break
            z = accelerated.step(z, wanted - z)
    accelerated = _Anderson(weights, epsilon)
    for step in range(iterations + 1):
        found = minima(z, epsilon)
        wanted = damped(found, epsilon)
        passes += ~accelerated.done
        error = off(z, wanted, epsilon)
        if not bool(torch.isfinite(error).all()):
            raise DataError("the samples hold NaN or infinity, or numbers too large for their precision")
        accelerated.done |= error <= tolerance
        if bool(accelerated.done.all()) or step == iterations:
            break
        z = accelerated.step(z, wanted - z)
    z = torch.where(
        weights > 0, z, wanted
    )  # absent samples steer nothing; their potential is the plan's extension
    rows, columns = halves(_ratio(z, found, epsilon))
    return Potentials(*halves(z), rows, columns, error, passes)


def _ratio(z: Tensor, found: Tensor, epsilon: Tensor) -> Tensor:
    return ((z - found) / epsilon[:, None]).clamp(max=80.0).exp()


class _Anderson:
    """The fixed-point step half way along the residual, extrapolated over the last residuals; a problem at a time."""

    def __init__(self, weights: Tensor, epsilon: Tensor) -> None:
        self.done = torch.zeros_like(epsilon, dtype=torch.bool)
        self._scale = weights.sqrt() / epsilon[:, None]
        self._moves: list[Tensor] = []
        self._changes: list[Tensor] = []
        self._last: tuple[Tensor, Tensor, Tensor] | None = None  # point, residual, size

    def step(self, z: Tensor, residual: Tensor) -> Tensor:
        size = (residual * self._scale).square().sum(1)
        back = torch.zeros_like(self.done)
        if self._last is not None:
            point, before, smaller = self._last
            back = (size > GROWTH**2 * smaller) & ~self.done
            keep = (~back)[:, None]
            self._moves.append(torch.where(keep, z - point, 0.0))
            self._changes.append(torch.where(keep, residual - before, 0.0))
            if bool(back.any()):
                z, residual = torch.where(keep, z, point), torch.where(keep, residual, before)
                size = torch.where(back, torch.inf, size)  # whatever comes of the plain step is taken
                for kept in (*self._moves, *self._changes):
                    kept.mul_(keep)
            del self._moves[:-WINDOW], self._changes[:-WINDOW]
        self._last = z, residual, size
        moved = z + 0.5 * residual
        if self._moves:
            moves, changes = torch.stack(self._moves, 1), torch.stack(self._changes, 1)
            scaled = changes * self._scale[:, None]
            gram = scaled @ scaled.mT
            largest = gram.diagonal(dim1=1, dim2=2).amax(1)
            ridge = torch.where(largest > 0, RIDGE * largest, 1.0)[:, None]
            gram = gram + torch.diag_embed(ridge.expand(-1, gram.shape[1]))
            share = torch.linalg.solve(gram, scaled @ (residual * self._scale)[..., None])
            moved = moved - ((moves + 0.5 * changes).mT @ share)[..., 0]
        return torch.where(self.done[:, None], z, moved)


def converged(found: Potentials, tolerance: float) -> Potentials:
    """The same, where every problem's marginals are right to the tolerance.

    Raises:
        DataError: where they are not, with by how much, and what to do.
    """
    worst, passes = float(found.error.max()), int(found.iterations.max())
    if worst <= tolerance:
        return found
    raise DataError(
        f"optimal transport has not converged: the plan's marginals are off by {worst:.2g} after {passes} passes, the "
        f"tolerance is {tolerance:.2g}; take a larger regularisation (blur= or epsilon=), allow more iterations=, or "
        "a larger tolerance= (infinity takes what the annealing gives)"
    )
