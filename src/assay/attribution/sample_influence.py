"""What would a sample with these features do to the value? The scalar that a map explains."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..arguments import sampled_of, sort_keywords
from ..checks import as_samples
from ..contrast import Sampled, value_of
from ..errors import UsageError
from ..scale.kernels import polynomial
from ..scale.precision import full_precision
from ..scale.tiles import bilinear, row_sum
from ..set_measure import Measure
from ..sets import kernel_distance
from ..statistics import Moments, Samples

# the count of a point that is asked about where a derivative by its position is wanted: that derivative is
# proportional to the count, so that it must not be zero, and the sets stay as they are up to this share
TRACE = 1e-9
NODES = (1, 3, 7, 15, 31)  # of the path's quadrature; 1 is exact for a quadratic, 3 for a cubic kernel
EXACT = 1e-7

Frozen = Callable[[Tensor], tuple[Tensor, Tensor]]  # points (B, d) float64 -> values (B,), slopes (B, d)


@dataclass(frozen=True)
class FrozenInfluence:
    """The influence phi of a sample as a function of its features, with the sets as they are.

    Call it with features (B, d): it gives (B,) float64, differentiable in them once. At a row of the set it equals
    `Measure.influence` of that row.

    Attributes:
        measure: what the influence is on.
        side: which set the sample is one of.
        frozen: features (B, d) float64 -> phi (B,) and its gradient (B, d), both float64.
        width: d.
        device: where the sets are.
    """

    measure: Measure
    side: str
    frozen: Frozen
    width: int
    device: torch.device

    def __call__(self, features: Tensor) -> Tensor:
        """phi (B,) float64 of features (B, d).

        Raises:
            UsageError: another shape, width or type.
        """
        return _Frozen.apply(self._points(features, "features"), self.frozen)  # type: ignore[no-untyped-call,no-any-return]

    def mean_slope(self, features: Tensor, baselines: Tensor) -> Tensor:
        r"""The gradient of phi averaged on the straight line from each baseline to each sample, (B, d) float64.

        $$ \bar g = \int_0^1 \nabla\phi\big(b + t (f - b)\big)\,dt, \qquad
           \langle \bar g, f - b \rangle = \phi(f) - \phi(b) $$

        Args:
            features: f, (B, d).
            baselines: b, (B, d).

        The integral is Gauss and Legendre's sum. One point, the middle, is exact for the Fréchet distance, whose phi
        is quadratic; three are for the cubic kernel. (Simpson's rule, with three points too, is exact for the kernel's
        values to other samples, but not for its value of a sample with itself, a polynomial of the sixth degree.)
        Other measures take up to 31.

        Raises:
            UsageError: another shape, width or type.
        """
        f, b = self._points(features.detach(), "features"), self._points(baselines.detach(), "baselines")
        if f.shape != b.shape:
            raise UsageError(f"baselines: expected {tuple(f.shape)} as features has, got {tuple(b.shape)}")
        step = f - b
        ends = self.frozen(f)[0] - self.frozen(b)[0]
        slope = torch.zeros_like(f)
        for count in NODES:
            nodes, weights = np.polynomial.legendre.leggauss(count)
            along = [self.frozen(b + 0.5 * (1 + float(t)) * step)[1] for t in nodes]
            slope = sum(0.5 * float(w) * g for w, g in zip(weights, along, strict=True))  # type: ignore[assignment]
            parts = slope * step
            off = (parts.sum(1) - ends).abs()
            if bool((off <= EXACT * parts.abs().sum(1)).all()):
                return slope
        worst = float((off / ends.abs().clamp_min(1e-300)).max())
        if worst > 0.01:
            warnings.warn(
                f"{self.measure.name}: the average gradient on the path misses the difference in influence by up to "
                f"{100 * worst:.0f}%: the measure is not smooth between the samples and their baselines",
                stacklevel=2,
            )
        return slope

    def _points(self, value: Tensor, name: str) -> Tensor:
        points = as_samples(value, name)
        if points.shape[1] != self.width:
            raise UsageError(
                f"{name}: expected {self.width} features a sample, as the sets have, got {points.shape[1]}"
            )
        return points.to(self.device, torch.float64)


def sample_influence(measure: Measure, *sets: Any, of: str | None = None, **keywords: Any) -> FrozenInfluence:
    r"""The influence of a sample of one set as a function of its features f, every set kept as it is.

    $$ \phi(f) = W \frac{\partial T}{\partial w}(f) - \sum_j w_j \frac{\partial T}{\partial w}(y_j) $$

    with the derivative of the measure T by the count of a sample at f. What it comes to:

    * a measure of `Moments`, such as the Fréchet distance: the quadratic
      (f - m)^T G (f - m) + <g, f - m> - tr G C (W - 1) / W, where g is T's derivative by the mean m, and G is W times
      that by the scatter; both come from the measure's own gradient;
    * `kernel_distance`: (2 sum_j w_j k(f, y_j) - k(f, f)) / (W - 1) - 2 sum_i v_i k(x_i, f) / V, less its mean over the
      set;
    * any other smooth measure: the gradient of the whole value, at the cost of evaluating it.

    Args:
        measure: a measure that is smooth in its samples.
        sets: as in the measure's call; the set that `of` names as samples (n, d).
        of: the side the sample is one of; by default the generated one.
        keywords: `weights_x` and so on, and the measure's options.

    Raises:
        UsageError: a measure without a gradient in its samples, or one of class probabilities; an unknown side; the
            side's set given as a statistic.

    FAQ:
        *Fewer samples than features?* Then the Fréchet distance has a kink wherever the set has no spread, and phi
        takes the kink's symmetric derivative: right for the set's own rows (a tested law), but a sample outside their
        span seems worse than it is. Compare such a sample with `kernel_distance`, which has no kink.
    """
    weights, options = sort_keywords(measure, keywords)
    measure = measure.with_options(**options)
    of = measure.sides[min(1, len(measure.sides) - 1)] if of is None else of
    if of not in measure.sides:
        raise UsageError(f"of: expected one of {', '.join(map(repr, measure.sides))}, got {of!r}")
    if not measure.differentiable:
        raise UsageError(
            f"{measure.name} has no gradient in its samples, so that no pixel has a part in it; "
            "use frechet_distance or kernel_distance"
        )
    if measure.domain != "features":
        raise UsageError(
            f"{measure.name} is of class {measure.domain}; maps are of measures of features, such as frechet_distance"
        )
    sampled = {
        name: s.ordinary() for name, s in sampled_of(measure, sets, weights, {}).items()
    }  # tensors made in inference mode take no part in a gradient
    side = sampled[of]
    if side.samples is None:
        raise UsageError(f"{of}: the influence of its samples needs the samples, not a statistic")
    with torch.inference_mode(False):
        frozen = _frozen(measure, sampled, of)
    return FrozenInfluence(measure, of, frozen, side.samples.shape[1], side.samples.device)


def any_influence(measure: Measure, sampled: Mapping[str, Sampled], of: str) -> Frozen:
    """phi and its gradient by the gradient of the whole value, for any smooth measure.

    The points join the set with a count of 1e-9 of a sample: the value's derivative by that count is phi, and that by
    the position, over the count, its gradient.
    """
    own, counts = _tensor(sampled[of]), sampled[of].filled()
    statistic: Any = measure.statistic
    others = {
        name: s.exact if s.exact is not None else statistic.of(_tensor(s), s.filled())
        for name, s in sampled.items()
        if name != of
    }

    def frozen(points: Tensor) -> tuple[Tensor, Tensor]:
        with torch.inference_mode(False), torch.enable_grad():
            at = points.detach().clone().requires_grad_()
            extra = counts.new_full((len(points),), TRACE)
            shares = torch.cat([counts, extra]).requires_grad_()
            there = statistic.of(torch.cat([own, at]), shares)
            value = value_of(measure, {**others, of: there}, tuple(sampled))
            by_count, by_place = torch.autograd.grad(value, (shares, at))
        weight = counts.sum()
        here, new = by_count[: len(own)], by_count[len(own) :]
        return weight * new - counts @ here, weight * by_place / TRACE

    return frozen


def _frozen(measure: Measure, sampled: Mapping[str, Sampled], of: str) -> Frozen:
    if measure.statistic is Moments:
        return _of_moments(measure, sampled, of)
    if measure.function is kernel_distance.function and all(s.samples is not None for s in sampled.values()):
        return _of_kernel(measure, sampled, of)
    return any_influence(measure, sampled, of)


def _of_moments(measure: Measure, sampled: Mapping[str, Sampled], of: str) -> Frozen:
    statistics = {
        name: s.exact if s.exact is not None else Moments.of(_tensor(s), s.filled())
        for name, s in sampled.items()
    }
    own: Moments = statistics[of]
    weight, mean = own.weight.detach(), own.mean.detach().requires_grad_()
    scatter = own.dense_scatter().detach().requires_grad_()
    with torch.enable_grad():
        value = value_of(measure, {**statistics, of: Moments(weight, mean, scatter=scatter)}, tuple(sampled))
        by_mean, by_scatter = torch.autograd.grad(value, (mean, scatter), allow_unused=True)
    g = torch.zeros_like(mean) if by_mean is None else by_mean
    half = torch.zeros_like(scatter) if by_scatter is None else by_scatter
    quadratic = 0.5 * weight * (half + half.T)
    centre = mean.detach()
    constant = (quadratic * scatter.detach()).sum() / weight

    def frozen(points: Tensor) -> tuple[Tensor, Tensor]:
        away = points.detach() - centre
        pulled = away @ quadratic
        return (pulled * away).sum(1) + away @ g - constant, 2 * pulled + g

    return frozen


def _of_kernel(measure: Measure, sampled: Mapping[str, Sampled], of: str) -> Frozen:
    (other,) = (name for name in sampled if name != of)
    own, counts = _tensor(sampled[of]), sampled[of].filled()
    across, counts_across = _tensor(sampled[other]), sampled[other].filled()
    kernel = measure.options["kernel"]
    kernel = polynomial(width=own.shape[1]) if kernel is None else kernel
    weight, weight_across = counts.sum(), counts_across.sum()
    biased = bool(measure.options["biased"])

    def raw(points: Tensor) -> Tensor:
        within = 2 * row_sum(points, own, kernel, counts)
        if biased:
            within = within / weight
        else:
            within = (within - kernel.diagonal(points)) / (weight - 1)
        return within - 2 * row_sum(points, across, kernel, counts_across) / weight_across

    # over all pairs, and so in the samples' own precision, as the measure itself is
    here, there = (Samples.of(_samples(sampled[name]), sampled[name].filled()) for name in (of, other))
    with torch.no_grad(), full_precision(own.device):
        pairs = bilinear(here.features, None, counts, None, kernel)
        between = bilinear(here.features, there.features, counts, counts_across, kernel)
        self_pairs = 0.0 if biased else counts @ kernel.diagonal(here.features).to(torch.float64)
    within_mean = (2 * pairs - self_pairs) / (weight if biased else weight - 1)
    constant = (within_mean - 2 * between / weight_across) / weight

    def frozen(points: Tensor) -> tuple[Tensor, Tensor]:
        with torch.inference_mode(False), torch.enable_grad():
            at = points.detach().clone().requires_grad_()
            values = raw(at)
            (slopes,) = torch.autograd.grad(values.sum(), at)
        return values.detach() - constant, slopes

    return frozen


def _samples(side: Sampled) -> Tensor:
    assert side.samples is not None
    return side.samples


def _tensor(side: Sampled) -> Tensor:
    return _samples(side).to(torch.float64)


class _Frozen(torch.autograd.Function):
    """A function that gives its own gradient, as part of a graph."""

    @staticmethod
    def forward(ctx: Any, points: Tensor, frozen: Frozen) -> Tensor:
        values, slopes = frozen(points)
        ctx.save_for_backward(slopes)
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        (slopes,) = ctx.saved_tensors
        return slope[:, None] * slopes, None
