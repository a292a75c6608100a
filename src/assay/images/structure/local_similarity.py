"""The one computation below structural similarity: local luminance and contrast terms, and their mean.

Both terms are written as what they lack of 1, (a - b)^2 / (a^2 + b^2 + C1) and var(x - y) / (var x + var y + C2): equal
images have exactly 1. Second moments are taken about a channel's mean: a variance of 1e-4 beside a square of 1 would
lose its last digits in single precision.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ...scale.each_pair import at_once
from ...scale.first_derivative import differentiable_again
from ...scale.separable import window_spread, windowed
from .ssim_conventions import Window


def local_terms(x: Tensor, y: Tensor, window: Window, data_range: float) -> tuple[Tensor, Tensor]:
    """Luminance and contrast-structure terms of every window, (B, C, H', W') each, in plain operations."""
    c1, c2 = _constants(window, data_range)
    if window.mirrored:
        x, y = (functional.pad(z, (window.edge,) * 4, mode="reflect") for z in (x, y))
    middle = x.detach().mean((2, 3), keepdim=True)
    u, v = x - middle, y - middle
    maps = torch.stack([u, v, u * u + v * v, (x - y).square()])
    mean_x, mean_y, squares, difference = windowed(maps, window.taps)
    gap = mean_x - mean_y
    contrast = 1 - (difference - gap.square()).clamp_min(0.0) / (
        squares - mean_x.square() - mean_y.square() + c2
    )
    mean_x, mean_y = mean_x + middle, mean_y + middle
    return 1 - gap.square() / (mean_x.square() + mean_y.square() + c1), contrast


def mean_similarity(x: Tensor, y: Tensor, window: Window, data_range: float, *, luminance: bool) -> Tensor:
    """The mean over windows of contrast-structure, with `luminance` times luminance, for each channel: (B, C).

    A channel's gradient is known up to one factor as soon as its value is: it is computed beside the value, from the
    same local maps, and nothing but the gradient itself is kept. A gradient that is to be differentiated again is
    computed anew, in plain operations.

    Args:
        x, y: (B, C, H, W) at the size of the convention.
        window: the convention's.
        data_range: R of the constants.
        luminance: whether the luminance term counts.

    Complexity: four windowed maps, and three more for the gradient by one of the two images; memory of a few channels'
    maps and of the gradients.
    """
    if torch.compiler.is_compiling():
        return _plain(x, y, window, data_range, luminance)
    value: Tensor = _MeanSimilarity.apply(x, y, window, data_range, luminance)  # type: ignore[no-untyped-call]
    return value


def _plain(x: Tensor, y: Tensor, window: Window, data_range: float, luminance: bool) -> Tensor:
    bright, contrast = local_terms(x, y, window, data_range)
    return (bright * contrast if luminance else contrast).mean((2, 3))


def _constants(window: Window, data_range: float) -> tuple[float, float]:
    """C1, and C2 by which variances without the convention's factor may be compared."""
    return (0.01 * data_range) ** 2, (0.03 * data_range) ** 2 / window.covariance_scale


class _MeanSimilarity(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, window: Window, data_range: float, luminance: bool) -> Tensor:
        planes_x, planes_y = x.flatten(0, 1), y.flatten(0, 1)
        wanted = ctx.needs_input_grad[:2]
        slopes = [
            torch.empty_like(p) if w else None for p, w in zip((planes_x, planes_y), wanted, strict=True)
        ]
        size = at_once(planes_x)
        values = x.new_empty(len(planes_x))
        for start in range(0, len(planes_x), size):
            rows = slice(start, start + size)
            parts = [None if s is None else s[rows] for s in slopes]
            values[rows] = _some(planes_x[rows], planes_y[rows], window, data_range, luminance, parts)
        # the images too, of which a second derivative takes the plain operations
        ctx.save_for_backward(x, y, *(s.view_as(x) for s in slopes if s is not None))
        ctx.options = window, data_range, luminance
        return values.view(x.shape[:2])

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():

            def plain(x: Tensor, y: Tensor) -> Tensor:
                return _plain(x, y, *ctx.options)

            images, asked = ctx.saved_tensors[:2], ctx.needs_input_grad[:2]
            return *differentiable_again(plain, images, asked, slope), None, None, None
        kept = iter(ctx.saved_tensors[2:])
        wanted = ctx.needs_input_grad[:2]
        return *(next(kept) * slope[..., None, None] if w else None for w in wanted), None, None, None


def _some(
    x: Tensor, y: Tensor, window: Window, data_range: float, luminance: bool, slopes: list[Tensor | None]
) -> Tensor:
    """Values of a few planes (p, H, W); their gradients are written into what is given of `slopes`."""
    c1, c2 = (x.new_tensor(c) for c in _constants(window, data_range))
    edge = window.edge if window.mirrored else 0
    middle = x.mean((1, 2), keepdim=True)
    maps = x.new_empty(4, len(x), x.shape[1] + 2 * edge, x.shape[2] + 2 * edge)
    u, v = maps[0], maps[1]
    torch.sub(x, middle, out=_inner(u, edge))
    torch.sub(y, middle, out=_inner(v, edge))
    _mirror(maps[:2], edge)
    torch.addcmul(c2, u, u, out=maps[2]).addcmul_(v, v)
    apart = u - v
    torch.mul(apart, apart, out=maps[3])
    a, b, spread, lack = windowed(maps, window.taps).unbind()
    gap = a - b
    spread.addcmul_(a, a, value=-1).addcmul_(b, b, value=-1)
    # what contrast and luminance lack of 1
    lack = lack.addcmul_(gap, gap, value=-1).clamp_min_(0.0).div_(spread)
    contrast = 1 - lack
    wanted = any(s is not None for s in slopes)
    if not luminance:
        values = contrast.mean((1, 2))
        if wanted:
            to_apart = spread.reciprocal_()
            to_spread = lack.mul_(to_apart)
            means = [
                _by_mean(z, sign * gap, to_apart, to_spread)
                for z, sign, slope in ((a, 1, slopes[0]), (b, -1, slopes[1]))
                if slope is not None
            ]
            _write(slopes, u, v, apart, to_apart, to_spread, means, window)
        return values
    bright_a, bright_b = a + middle, b + middle
    sizes = torch.addcmul(c1, bright_a, bright_a).addcmul_(bright_b, bright_b)
    dark = (gap * gap).div_(sizes)
    bright = 1 - dark
    values = (bright * contrast).mean((1, 2))
    if wanted:
        to_apart = bright.div_(spread)
        to_spread = lack.mul_(to_apart)
        by_bright = contrast.div_(sizes)
        means = []
        for z, own, sign, slope in ((a, bright_a, 1, slopes[0]), (b, bright_b, -1, slopes[1])):
            if slope is not None:
                by = _by_mean(z, sign * gap, to_apart, to_spread)
                means.append(by.addcmul_(by_bright, own.mul_(dark).sub_(gap, alpha=sign)))
        _write(slopes, u, v, apart, to_apart, to_spread, means, window)
    return values


def _by_mean(mean: Tensor, gap: Tensor, to_apart: Tensor, to_spread: Tensor) -> Tensor:
    """Half the slope by a window's mean through the second moments, which are taken about it."""
    return (gap * to_apart).addcmul_(mean, to_spread, value=-1)


def _write(
    slopes: list[Tensor | None],
    u: Tensor,
    v: Tensor,
    apart: Tensor,
    to_apart: Tensor,
    to_spread: Tensor,
    means: list[Tensor],
    window: Window,
) -> None:
    """Half the value's slopes by the windowed maps, spread back to the pixels of the two images."""
    spread = iter(window_spread(torch.stack([to_apart, to_spread, *means]), window.taps).unbind())
    differences, squares = next(spread), next(spread)
    scale = 2.0 / to_apart[0].numel()
    for slope, own, sign in ((slopes[0], u, -1), (slopes[1], v, 1)):
        if slope is None:
            continue
        total = next(spread).addcmul_(apart, differences, value=sign).addcmul_(own, squares)
        edge = (total.shape[-1] - slope.shape[-1]) // 2
        _fold(total, edge)
        torch.mul(_inner(total, edge), scale, out=slope)


def _inner(maps: Tensor, edge: int) -> Tensor:
    """Maps without their border of `edge` pixels."""
    return maps[..., edge : maps.shape[-2] - edge, edge : maps.shape[-1] - edge]


def _mirror(maps: Tensor, edge: int) -> None:
    """Fill a border of `edge` pixels with the mirrored inside; the outermost inner pixel is not repeated."""
    for axis in (-1, -2) if edge else ():
        size = maps.shape[axis]
        maps.narrow(axis, 0, edge).copy_(maps.narrow(axis, edge + 1, edge).flip(axis))
        maps.narrow(axis, size - edge, edge).copy_(maps.narrow(axis, size - 2 * edge - 1, edge).flip(axis))


def _fold(maps: Tensor, edge: int) -> None:
    """The transpose of `_mirror`: add what belongs to mirrored pixels to the inner ones they were taken from."""
    for axis in (-2, -1) if edge else ():
        size = maps.shape[axis]
        maps.narrow(axis, edge + 1, edge).add_(maps.narrow(axis, 0, edge).flip(axis))
        maps.narrow(axis, size - 2 * edge - 1, edge).add_(maps.narrow(axis, size - edge, edge).flip(axis))
