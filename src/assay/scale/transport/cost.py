"""What one pass over all pairs gives a transport solver: soft minima along rows and columns, and sums over the plan.

The cost is |x - y| (p = 1) or |x - y|^2 / 2 (p = 2). A pass forms  E_ij = exp((f_i + g_j - C_ij) / epsilon), the plan's
density against independence: near the solution its weighted row and column sums are about 1, so one exponential a pair
serves both directions, and no maximum has to be taken out first. Exponents are cut at +-60: beyond, exponentials and
their products with weights are denormal numbers, which a CPU computes a hundred times slower, or infinite. Where
potentials are so far from the solution that a sum leaves the safe range, the pass is made again the careful way.

A leading axis counts problems: `HeldCost` solves a batch of small ones, whose costs it holds; `TiledCost` one large
one, whose costs are formed a tile at a time and forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..tiles import tiles

HELD = 2**22  # costs held at once: 16 MiB in float32
SHAPE = (512, 1024)  # a tile of 2 MiB in float32, square ones of half: what a core's cache holds
CUT = 60.0
LEAST, MOST = 1e-12, 1e20  # sums beyond these may have been cut
NARROW = 16  # up to so many features distances are subtracted a coordinate at a time


@dataclass(frozen=True)
class PlanSums:
    """Sums over the plan's density E, or over E / C where they are asked for so.

    Attributes:
        rows: (B, n, e) sum_j b_j E_ij v_j.
        columns: (B, m, e) sum_i a_i E_ij u_i; for a set against itself the rows again.
    """

    rows: Tensor
    columns: Tensor


@dataclass(frozen=True)
class HeldCost:
    """A batch of problems small enough for their costs to be held.

    Attributes:
        cost: (B, n, m).
        a, b: (B, n) and (B, m) float64, each summing to 1.
        within: whether each problem is a set against itself.
    """

    cost: Tensor
    a: Tensor
    b: Tensor
    within: bool

    def soft_minima(self, f: Tensor, g: Tensor, epsilon: Tensor) -> tuple[Tensor, Tensor]:
        """-eps log sum_j b_j exp((g_j - C_ij) / eps) for every i, and its mirror image for every j; float64."""
        density = self._density(f, g, epsilon)
        rows = (density @ self.b.to(density.dtype)[..., None])[..., 0].to(torch.float64)
        u = f - epsilon[:, None] * rows.log()
        if self.within:
            return (u, u) if _safe(rows) else (self._careful(g, epsilon, 2),) * 2
        columns = (self.a.to(density.dtype)[:, None, :] @ density)[:, 0].to(torch.float64)
        if _safe(rows, columns):
            return u, g - epsilon[:, None] * columns.log()
        return self._careful(g, epsilon, 2), self._careful(f, epsilon, 1)

    def plan_sums(
        self, f: Tensor, g: Tensor, epsilon: Tensor, u: Tensor, v: Tensor, over_cost: bool
    ) -> PlanSums:
        """Sums of u (B, n, e) along columns and v (B, m, e) along rows of the plan's density."""
        density = self._density(f, g, epsilon)
        if over_cost:
            density = _divided(density, self.cost)
        narrow = density.dtype
        rows = (density @ (self.b[..., None] * v).to(narrow)).to(torch.float64)
        if self.within:
            return PlanSums(rows, rows)
        return PlanSums(rows, (density.mT @ (self.a[..., None] * u).to(narrow)).to(torch.float64))

    def _density(self, f: Tensor, g: Tensor, epsilon: Tensor) -> Tensor:
        narrow = self.cost.dtype
        exponent = f.to(narrow)[:, :, None] - self.cost
        exponent += g.to(narrow)[:, None, :]
        exponent *= epsilon.reciprocal().to(narrow)[:, None, None]
        return exponent.clamp_(-CUT, CUT).exp_()

    def _careful(self, potential: Tensor, epsilon: Tensor, along: int) -> Tensor:
        weights = self.b if along == 2 else self.a
        other = (potential / epsilon[:, None] + weights.log()).unsqueeze(3 - along)
        scaled = self.cost * epsilon.reciprocal().to(self.cost.dtype)[:, None, None]
        return -epsilon[:, None] * torch.logsumexp(other - scaled, along)


@dataclass(frozen=True)
class TiledCost:
    """One problem of any size; vectors carry a leading axis of 1.

    Attributes:
        x: (n, d), centred.
        y: (m, d), centred alike; x again for a set against itself.
        a, b: (1, n) and (1, m) float64, each summing to 1.
        p: 1 or 2.
        within: whether y is x: each tile is then visited once, for both of its halves.
    """

    x: Tensor
    y: Tensor
    a: Tensor
    b: Tensor
    p: int
    within: bool

    def soft_minima(self, f: Tensor, g: Tensor, epsilon: Tensor) -> tuple[Tensor, Tensor]:
        """As `HeldCost.soft_minima`."""
        rows = torch.zeros(len(self.x), dtype=torch.float64, device=self.x.device)
        columns = rows if self.within else torch.zeros(len(self.y), dtype=torch.float64, device=self.x.device)
        a, b = self.a[0].to(self.x.dtype), self.b[0].to(self.x.dtype)
        for i, j, mirrored, density in self._densities(f[0], g[0], epsilon):
            rows[i] += density @ b[j]
            if mirrored or not self.within:
                columns[j] += a[i] @ density
        if not _safe(rows, columns):
            u = self._careful(g, epsilon, self.x, self.y, self.b)
            return u, u if self.within else self._careful(f, epsilon, self.y, self.x, self.a)
        u = f - epsilon * rows.log()
        return u, u if self.within else g - epsilon * columns.log()

    def plan_sums(
        self, f: Tensor, g: Tensor, epsilon: Tensor, u: Tensor, v: Tensor, over_cost: bool
    ) -> PlanSums:
        """As `HeldCost.plan_sums`."""
        dtype = self.x.dtype
        left, right = (self.a[0, :, None] * u[0]).to(dtype), (self.b[0, :, None] * v[0]).to(dtype)
        rows = torch.zeros(len(self.x), right.shape[1], dtype=torch.float64, device=self.x.device)
        columns = rows if self.within else rows.new_zeros(len(self.y), left.shape[1])
        for i, j, mirrored, density in self._densities(f[0], g[0], epsilon):
            if over_cost:
                density = _divided(density, costs(self.x[i], self.y[j], self.p))
            rows[i] += density @ right[j]
            if mirrored or not self.within:
                columns[j] += density.T @ left[i]
        return PlanSums(rows[None], columns[None])

    def _densities(
        self, f: Tensor, g: Tensor, epsilon: Tensor
    ) -> Iterator[tuple[slice, slice, bool, Tensor]]:
        """Every tile of E, in memory that the next one overwrites."""
        n, m = len(self.x), len(self.y)
        dtype, device = self.x.dtype, self.x.device
        if self.p == 2:  # one product of rows longer by two gives the whole exponent
            left, right = self._operands(f, g, epsilon)
        else:
            left, right = (f / epsilon).to(dtype)[:, None], (g / epsilon).to(dtype)
            x, y = self.x / epsilon.to(dtype), self.y / epsilon.to(dtype)
        memory = torch.empty(SHAPE[0] * SHAPE[1], dtype=dtype, device=device)
        square = (SHAPE[0], SHAPE[0])
        for i, j, mirrored in tiles(
            n, m, symmetric=self.within, what="transport", shape=square if self.within else SHAPE
        ):
            height, width = min(i.stop, n) - i.start, min(j.stop, m) - j.start
            tile = memory[: height * width].view(height, width)
            if self.p == 2:
                torch.mm(left[i], right[j].T, out=tile)
            else:
                torch.sub(left[i], distances(x[i], y[j]), out=tile)
                tile += right[j]
            yield i, j, mirrored, tile.clamp_(-CUT, CUT).exp_()

    def _operands(self, f: Tensor, g: Tensor, epsilon: Tensor) -> tuple[Tensor, Tensor]:
        dtype = self.x.dtype
        k = ((f - 0.5 * self.x.to(torch.float64).square().sum(1)) / epsilon).to(dtype)[:, None]
        h = ((g - 0.5 * self.y.to(torch.float64).square().sum(1)) / epsilon).to(dtype)[:, None]
        left = torch.cat([self.x / epsilon.to(dtype), k, torch.ones_like(k)], 1)
        return left, torch.cat([self.y, torch.ones_like(h), h], 1)

    def _careful(self, potential: Tensor, epsilon: Tensor, x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
        other = (potential / epsilon + weights.log())[0]
        top = torch.full((len(x),), -torch.inf, dtype=torch.float64, device=x.device)
        total = torch.zeros_like(top)
        for i, j, _ in tiles(len(x), len(y), symmetric=False, what="transport", shape=SHAPE):
            exponent = other[j] - costs(x[i], y[j], self.p) / epsilon
            high = torch.maximum(top[i], exponent.amax(1))
            safe = torch.where(high > -torch.inf, high, 0.0)
            total[i] = total[i] * (top[i] - safe).exp() + (exponent - safe[:, None]).exp().sum(1)
            top[i] = high
        return (-epsilon * (top + total.log()))[None]


def cost_of(x: Tensor, y: Tensor | None, a: Tensor, b: Tensor, p: int) -> HeldCost | TiledCost:
    """The backend for centred sets (B, n, d) and (B, m, d), None for x with itself; large problems come one by one."""
    other = x if y is None else y
    if x.shape[1] * other.shape[1] <= HELD:
        return HeldCost(costs(x, other, p), a, b, y is None)
    assert len(x) == 1, "large problems come one by one"
    return TiledCost(x[0], other[0], a, b, p, y is None)


def costs(x: Tensor, y: Tensor, p: int) -> Tensor:
    """C (..., n, m)."""
    if p == 1:
        return distances(x, y)
    half_x, half_y = 0.5 * x.square().sum(-1), 0.5 * y.square().sum(-1)
    products = x @ y.mT
    return (half_x[..., :, None] - products).add_(half_y[..., None, :]).clamp_min_(0)


def distances(x: Tensor, y: Tensor) -> Tensor:
    """|x_i - y_j|; small ones survive: subtracted for few features, through float64 products for many."""
    if x.shape[-1] <= NARROW:
        return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    wide = torch.cdist(x.to(torch.float64), y.to(torch.float64), compute_mode="use_mm_for_euclid_dist")
    return wide.to(x.dtype)


def _divided(density: Tensor, cost: Tensor) -> Tensor:
    # coinciding points push each other nowhere: the symmetric derivative of the distance at its kink
    return torch.where(cost > 0, density / torch.where(cost > 0, cost, 1.0), 0.0)


def _safe(*sums: Tensor) -> bool:
    return all(bool(((s > LEAST) & (s < MOST)).all()) for s in sums)
