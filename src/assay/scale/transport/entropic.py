"""Entropic optimal transport between weighted sets, as a number with exact derivatives.

At the solution the dual objective is stationary in the potentials, so derivatives by samples, weights and
regularisation are those of the objective at fixed potentials (the envelope theorem): nothing is differentiated through
the iterations. How many of those are needed depends on the numbers, on which a traced graph cannot branch: hence
operators.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...errors import UsageError
from ..first_derivative import first_derivative_only
from ..precision import full_precision
from ..tiles import of_one_precision, spans
from .cost import HELD, cost_of
from .sinkhorn import Potentials, converged, solve

TOLERANCE = {torch.float32: 3e-4, torch.float64: 1e-9}  # of marginals
ACCEPTED = 1e-3  # where the iterations end before the default tolerance is reached


@dataclass(frozen=True)
class Transport:
    """Solved problems, B of them.

    Attributes:
        value: (B,) float64, differentiable.
        f, g: (B, n) and (B, m) float64 potentials, without gradient.
        error: (B,) of the plan's marginals; see `assay.scale.sinkhorn.Potentials`.
        passes: (B,) over all pairs.
    """

    value: Tensor
    f: Tensor
    g: Tensor
    error: Tensor
    passes: Tensor


def entropic_transport(
    x: Tensor,
    y: Tensor | None,
    a: Tensor,
    b: Tensor | None,
    epsilon: Tensor,
    *,
    p: int,
    reach: float = math.inf,
    scaling: float = 0.5,
    tolerance: float | None = None,
    iterations: int = 2000,
) -> Transport:
    r"""min over plans P of  <P, C> + epsilon KL(P | a b^T) + reach (KL(P 1 | a) + KL(P^T 1 | b)),  a problem a row.

    The value is the dual objective at the potentials found,  sum_i a_i phi(f_i) + sum_j b_j phi(g_j) - epsilon (M - 1)
    with the plan's mass M and phi(f) = f, or reach (1 - exp(-f / reach)) with a penalty: a lower bound of the optimum,
    off by the square of what the potentials are off by.

    Args:
        x: (B, n, d) samples.
        y: (B, m, d), or None for x against itself, at half the price.
        a: (B, n) float64 weights that sum to 1.
        b: (B, m) likewise; None with y.
        epsilon: (B,) float64 regularisation, above zero.
        p: of the cost, |x - y| for 1 and |x - y|^2 / 2 for 2.
        reach: strength of the penalty on the marginals; infinity prescribes them.
        scaling: the length |epsilon|^(1/p) shrinks by this factor at each annealing step.
        tolerance: of the marginals' error; by default 3e-4 in float32 and 1e-9 in float64, and 1e-3 is taken
            where the iterations end before. Not below what rounding of costs that are large against epsilon lets
            through.
        iterations: at most so many after the annealing.

    Raises:
        DataError: no convergence, or NaN in the samples.

    Complexity: O(n m d) time a pass, O((n + m) d) memory; up to 2^22 costs are held.
    """
    if y is not None:
        x, y = of_one_precision(x, y)
    if tolerance is None:
        tolerance, accepted = TOLERANCE[x.dtype], ACCEPTED
    else:
        accepted = tolerance
    value, f, g, _, _, error, passes = _entropic_transport(
        x, y, a, b, epsilon, p, reach, scaling, tolerance, accepted, iterations
    )
    return Transport(value, f, g, error, passes)


def plan_means(
    x: Tensor, y: Tensor, a: Tensor, b: Tensor, f: Tensor, g: Tensor, epsilon: Tensor, p: int, values: Tensor
) -> Tensor:
    """For each x_i the mean of values (B, m, e) over where the plan sends it, (B, n, e) float64; no gradient.

    Arguments as in `entropic_transport`, with its potentials. O((n + m) (d + e)) memory.
    """
    x, y = of_one_precision(x.detach(), y.detach())
    wide = values.detach().to(torch.float64)
    v = torch.cat([torch.ones_like(wide[..., :1]), wide], -1)
    means = torch.empty(*x.shape[:2], wide.shape[2], dtype=torch.float64, device=x.device)
    for i, j in _together(x, y):
        xs, ys, _ = _centred(x[i:j], y[i:j])
        with full_precision(x.device):
            u = torch.ones_like(a[i:j])[..., None]
            sums = cost_of(xs, ys, a[i:j], b[i:j], p).plan_sums(
                f[i:j], g[i:j], epsilon[i:j], u, v[i:j], over_cost=False
            )
        means[i:j] = sums.rows[..., 1:] / sums.rows[..., :1]
    return means


@torch.library.custom_op("assay::entropic_transport", mutates_args=())
def _entropic_transport(
    x: Tensor,
    y: Tensor | None,
    a: Tensor,
    b: Tensor | None,
    epsilon: Tensor,
    p: int,
    reach: float,
    scaling: float,
    tolerance: float,
    accepted: float,
    iterations: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Value, f, g, row and column sums of the plan over the weights, error, passes."""
    if not bool((epsilon > 0).all()):
        raise UsageError(
            f"the regularisation must be above zero, got {float(epsilon.min()):g}: the real side's samples are all "
            "equal, so that its spread gives no scale; pass blur= or epsilon="
        )
    parts = []
    for i, j in _together(x, y):
        xs, ys, radius = _centred(x[i:j], None if y is None else y[i:j])
        weights = a[i:j], a[i:j] if b is None else b[i:j]
        eps = epsilon[i:j].to(torch.float64)
        with full_precision(x.device):
            found = solve(
                cost_of(xs, ys, *weights, p),
                eps,
                reach,
                start=radius**p,
                factor=scaling**p,
                tolerance=tolerance,
                iterations=iterations,
            )
        # what rounding moves an exponent by, the tolerance cannot ask to resolve
        rounding = 16 * torch.finfo(x.dtype).eps * float((radius**p / eps).max())
        parts.append(converged(found, max(accepted, rounding)))
    found = Potentials(
        *(torch.cat([getattr(part, name) for part in parts]) for name in Potentials.__annotations__)
    )
    other = a if b is None else b
    mass = 0.5 * ((a * found.rows).sum(1) + (other * found.columns).sum(1))
    value = (a * _phi(found.f, reach)).sum(1) + (other * _phi(found.g, reach)).sum(1) - epsilon * (mass - 1)
    g, columns = (found.g.clone(), found.columns.clone()) if y is None else (found.g, found.columns)
    return value, found.f, g, found.rows, columns, found.error, found.iterations


@_entropic_transport.register_fake
def _(
    x: Tensor,
    y: Tensor | None,
    a: Tensor,
    b: Tensor | None,
    epsilon: Tensor,
    p: int,
    reach: float,
    scaling: float,
    tolerance: float,
    accepted: float,
    iterations: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    second = a if b is None else b
    one = a.new_empty(len(a))
    return (
        one,
        torch.empty_like(a),
        torch.empty_like(second),
        torch.empty_like(a),
        torch.empty_like(second),
        torch.empty_like(one),
        torch.empty_like(one),
    )


@torch.library.custom_op("assay::entropic_transport_slopes", mutates_args=())
def _slopes(
    x: Tensor, y: Tensor | None, a: Tensor, b: Tensor | None, f: Tensor, g: Tensor, epsilon: Tensor, p: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Derivatives of <P, C> at a fixed plan P by x and by y (nothing without one), and <P, C>; samples' precision."""
    by_x, total = torch.empty_like(x), torch.empty_like(epsilon)
    by_y = torch.empty_like(x if y is None else y)
    for i, j in _together(x, y):
        xs, ys, _ = _centred(x[i:j], None if y is None else y[i:j])
        left, right = a[i:j], a[i:j] if b is None else b[i:j]
        other = xs if ys is None else ys
        u, v = _with_one(xs), _with_one(other)
        with full_precision(x.device):
            sums = cost_of(xs, ys, left, right, p).plan_sums(
                f[i:j], g[i:j], epsilon[i:j].to(torch.float64), u, v, over_cost=p == 1
            )
        to_x = left[..., None] * (sums.rows[..., :1] * u[..., 1:] - sums.rows[..., 1:])
        to_y = right[..., None] * (sums.columns[..., :1] * v[..., 1:] - sums.columns[..., 1:])
        total[i:j] = ((to_x * u[..., 1:]).sum((1, 2)) + (to_y * v[..., 1:]).sum((1, 2))) / p
        by_x[i:j] = (to_x + to_y if y is None else to_x).to(x.dtype)
        by_y[i:j] = to_y.to(x.dtype)
    return by_x, by_y, total


@_slopes.register_fake
def _(
    x: Tensor, y: Tensor | None, a: Tensor, b: Tensor | None, f: Tensor, g: Tensor, epsilon: Tensor, p: int
) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(x if y is None else y), torch.empty_like(epsilon)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, y, a, b, epsilon, p, reach = inputs[:7]
    _, f, g, rows, columns, _, _ = output
    ctx.save_for_backward(x, y, a, b, epsilon, f, g, rows, columns)
    ctx.p, ctx.reach = p, reach
    ctx.mark_non_differentiable(*output[1:])


@first_derivative_only("entropic transport")
def _backward(ctx: Any, slope: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
    x, y, a, b, epsilon, f, g, rows, columns = ctx.saved_tensors
    by_x = by_y = by_a = by_b = by_epsilon = None
    eps, up = epsilon[:, None], slope[:, None]
    if ctx.needs_input_grad[2] or ctx.needs_input_grad[3]:
        by_a = up * (_phi(f, ctx.reach) - eps * (rows - 1))
        by_b = up * (_phi(g, ctx.reach) - eps * (columns - 1))
        if b is None:
            by_a, by_b = by_a + by_b, None
    if ctx.needs_input_grad[0] or ctx.needs_input_grad[1] or ctx.needs_input_grad[4]:
        by_x, by_y, total = _slopes(x, y, a, b, f, g, epsilon, ctx.p)
        wide = slope.to(x.dtype)[:, None, None]
        by_x, by_y = by_x * wide, None if y is None else by_y * wide
        second = a if b is None else b
        mass = 0.5 * ((a * rows).sum(1) + (second * columns).sum(1))
        entropy = ((a * rows * f).sum(1) + (second * columns * g).sum(1) - total) / epsilon
        by_epsilon = slope * (1 - mass + entropy)
    return by_x, by_y, by_a, by_b, by_epsilon, None, None, None, None, None, None


_entropic_transport.register_autograd(_backward, setup_context=_remember)


def _phi(potential: Tensor, reach: float) -> Tensor:
    return potential if reach == math.inf else -reach * torch.expm1(-potential / reach)


def _together(x: Tensor, y: Tensor | None) -> list[tuple[int, int]]:
    """Which problems are solved at once: as many as can be held."""
    pairs = x.shape[1] * (x if y is None else y).shape[1]
    return spans(len(x), max(1, HELD // pairs))


def _centred(x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor | None, Tensor]:
    """Both sets about the mean of the first, and (B,) a bound of the largest distance from there, float64."""
    centre = x.to(torch.float64).mean(1, keepdim=True)
    moved = [(s.to(torch.float64) - centre).to(s.dtype) for s in (x, y) if s is not None]
    radius = torch.stack([s.norm(dim=2).amax(1) for s in moved]).amax(0).to(torch.float64)
    return moved[0], None if y is None else moved[1], radius


def _with_one(samples: Tensor) -> Tensor:
    wide = samples.to(torch.float64)
    return torch.cat([torch.ones_like(wide[..., :1]), wide], -1)
