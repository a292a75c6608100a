"""Integrated gradients: which inputs make up the difference between a function's value and its value at a baseline?"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import UsageError
from .layer_outputs import ordinary_gradients, part_in_gradients
from .sample_influence import FrozenInfluence

FIRST_STEPS = 8
MOST_STEPS = 512
TOLERANCE = 0.01
AT_ONCE = 16  # points of paths that go through the function together
ROUNDING = 1e-5  # of the values without their signs: a miss so small is the precision of the function itself


@dataclass(frozen=True)
class IntegratedGradients:
    """Attributions and how complete they are.

    All on the CPU, as not every device has float64.

    Attributes:
        values: as the inputs, float64: an input's part of the difference.
        difference: (B,) float64, the function's value at the inputs minus that at the baselines.
        residual: (B,) float64, |sum of the values - difference| over |difference|; 0 where it is rounding beside what
            the values add up to without their signs.
        steps: (B,) int64, how many steps of the path it took.
    """

    values: Tensor
    difference: Tensor
    residual: Tensor
    steps: Tensor


def integrated_gradients(
    function: Callable[[Tensor], Tensor],
    inputs: Tensor,
    baselines: Tensor,
    *,
    tolerance: float = TOLERANCE,
    most_steps: int = MOST_STEPS,
    at_once: int = AT_ONCE,
) -> IntegratedGradients:
    r"""Each input's part of the difference F(x) - F(b).

    $$ \mathrm{IG}_i = (x_i - b_i) \int_0^1 \frac{\partial F}{\partial x_i}\big(b + t (x - b)\big)\, dt, \qquad
       \sum_i \mathrm{IG}_i = F(x) - F(b) $$

    The integral is a trapezoidal sum. Its steps are doubled, the points so far kept, for those samples whose sum
    misses the difference by more than `tolerance` of it.

    Args:
        function: (B, ...) -> (B,), each value of its own row only.
        inputs: x, (B, ...).
        baselines: b, as inputs.
        tolerance: of the residual, relative to the difference.
        most_steps: a cap; where it is met first, a warning says how incomplete the values are.
        at_once: how many points of paths go through the function together: what memory is needed for.

    Raises:
        UsageError: baselines of another shape; a tolerance, cap or number that is not above zero; a function that
            gives another shape, or has no gradient.

    Source: Sundararajan et al. 2017, arXiv:1703.01365.
    """
    if inputs.shape != baselines.shape or inputs.ndim < 2 or len(inputs) == 0:
        raise UsageError(
            f"baselines: expected the inputs' shape {tuple(inputs.shape)}, (B, ...), got {tuple(baselines.shape)}"
        )
    if not tolerance > 0 or most_steps < 1 or at_once < 1:
        raise UsageError(
            f"tolerance, most_steps, at_once: expected above zero, got {tolerance}, {most_steps}, {at_once}"
        )
    with ordinary_gradients():
        x, b = part_in_gradients(inputs), part_in_gradients(baselines).to(inputs.dtype)
        path = _Path(function, x, b, at_once)
        everyone = torch.arange(len(x))
        ends, slopes = path.at(everyone, torch.ones(1))
        starts, first = path.at(everyone, torch.zeros(1))
        difference = (ends - starts)[:, 0]
        total = 0.5 * (slopes + first)  # the trapezoidal sum over the points so far, of one step
        steps = torch.ones(len(x), dtype=torch.int64)
        away = _wide(x - b)
        count = min(FIRST_STEPS, most_steps)
        todo, between = everyone, torch.arange(1, count) / count
        while True:
            if len(between):
                total[todo] += path.at(todo, between)[1]
            steps[todo] = count
            values = away * total / steps.view(-1, *[1] * (x.ndim - 1))
            flat = values.flatten(1)
            residual = _relative(flat.sum(1) - difference, difference, ROUNDING * flat.abs().sum(1))
            todo = (residual > tolerance).nonzero()[:, 0]
            if len(todo) == 0 or 2 * count > most_steps:
                break
            between = (torch.arange(count) + 0.5) / count
            count *= 2
    if len(todo):
        warnings.warn(
            f"integrated gradients: {len(todo)} of {len(x)} still miss their difference by up to "
            f"{100 * float(residual.max()):.2g}% after {count} steps; raise most_steps",
            stacklevel=2,
        )
    return IntegratedGradients(values, difference, residual, steps)


@dataclass(frozen=True)
class PixelMaps:
    """Signed maps of pixels.

    Attributes:
        values: (B, H, W) float64; each map sums, but for the residual, to `influence - of_baseline`.
        influence: (B,) float64, of the images.
        of_baseline: (B,) float64, that a sample with the baseline's features would have.
        residual: (B,) by how much of the difference the sum misses it.
    """

    values: Tensor
    influence: Tensor
    of_baseline: Tensor
    residual: Tensor


def pixel_maps(
    module: nn.Module,
    influence: FrozenInfluence,
    images: Tensor,
    baselines: Tensor,
    *,
    tolerance: float = TOLERANCE,
    most_steps: int = MOST_STEPS,
    at_once: int = AT_ONCE,
) -> PixelMaps:
    """Integrated gradients of an image's influence, summed over its channels; for any module of images.

    Args:
        module: images (B, 3, H, W) in [0, 1] -> features (B, d).
        influence: phi.
        images: (B, 3, H, W).
        baselines: as images: their nearest real ones, or grey.
        tolerance, most_steps, at_once: as in `integrated_gradients`.

    Raises:
        UsageError: as `integrated_gradients`.
    """
    found = integrated_gradients(
        lambda x: influence(module(x)),
        images,
        baselines,
        tolerance=tolerance,
        most_steps=most_steps,
        at_once=at_once,
    )
    with torch.no_grad():
        of_baseline = torch.cat([_wide(influence(module(part))) for part in torch.split(baselines, at_once)])
    return PixelMaps(found.values.sum(1), of_baseline + found.difference, of_baseline, found.residual)


class _Path:
    def __init__(self, function: Callable[[Tensor], Tensor], x: Tensor, b: Tensor, at_once: int) -> None:
        self.function, self.x, self.b, self.at_once = function, x, b, at_once

    def at(self, rows: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        """Values (rows, times) and the sum over times of the gradients (rows, ...), float64."""
        x, b = self.x[rows.to(self.x.device)], self.b[rows.to(self.x.device)]
        which = torch.arange(len(rows)).repeat_interleave(len(times))
        when = times.repeat(len(rows)).to(x)
        values, slopes = [], torch.zeros(x.shape, dtype=torch.float64)
        for some, t in zip(torch.split(which, self.at_once), torch.split(when, self.at_once), strict=True):
            t, here = t.view(-1, *[1] * (x.ndim - 1)), some.to(x.device)
            points = torch.lerp(b[here], x[here], t).requires_grad_()
            found = self.function(points)
            if not isinstance(found, Tensor) or found.shape != (len(points),):
                got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
                raise UsageError(f"function: gives {got} for {len(points)} inputs, expected ({len(points)},)")
            if not found.requires_grad:
                raise UsageError("function: has no gradient by its inputs")
            (slope,) = torch.autograd.grad(found.sum(), points)
            slopes.index_add_(0, some, _wide(slope))
            values.append(_wide(found.detach()))
        return torch.cat(values).view(len(rows), len(times)), slopes


def _wide(value: Tensor) -> Tensor:
    return value.cpu().to(torch.float64)


def _relative(miss: Tensor, difference: Tensor, rounding: Tensor) -> Tensor:
    """|miss| over |difference|; 0 where the miss is within rounding."""
    whole = difference.abs()
    return torch.where(miss.abs() <= rounding, 0.0, miss.abs() / torch.where(whole > 0, whole, 1e-300))
