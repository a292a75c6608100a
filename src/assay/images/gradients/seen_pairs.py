"""A value for each pair of images as a definition sees them, in its colours and at its size, and its gradient.

A pair's gradient is known up to one factor as soon as its value is. It is computed beside the value, by what the
definition sees, which has fewer channels or pixels than the image; only that is kept for the way back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...scale.each_pair import at_once
from ...scale.first_derivative import differentiable_again
from ...scale.precision import full_precision
from ..colour import LUMA, Matrix
from .shrink import shrunk_colours, spread

Wanted = tuple[bool, bool]
Slopes = tuple[Tensor | None, Tensor | None]

# (2, b, k, h, w), images and then targets as they are seen, and whose slopes are wanted -> (b,) values and the slopes
Compare = Callable[[Tensor, Wanted], tuple[Tensor, Slopes]]
Plain = Callable[[Tensor, Tensor], Tensor]


class Sight(NamedTuple):
    """What is seen: rows of a matrix over three channels, or the image as it is, then means of factor^2 pixels."""

    matrix: Matrix | None
    factor: int


def brightness(x: Tensor) -> Matrix | None:
    """The brightness of RGB images; grey ones as they are."""
    return LUMA if x.shape[1] == 3 else None


def each_seen_pair(compare: Compare, plain: Plain, sight: Sight, x: Tensor, y: Tensor) -> Tensor:
    """compare's values, (B,), a few pairs at a time; entry i must depend on pair i alone.

    Args:
        compare: values, and their slopes by what is seen, without a graph; it may write over what it is given.
        plain: the same values of images (b, C, H, W) in plain operations: what a compiler and a second derivative see.
        sight: how the images are seen.
        x, y: (B, C, H, W) floating-point images.

    Complexity: compare's own time; memory of a few pairs, of the slopes by what is seen and of the gradients. A second
    derivative keeps the graph of `plain` for the whole batch.
    """
    if torch.compiler.is_compiling():
        return plain(x, y)
    if not torch.is_grad_enabled() or not (x.requires_grad or y.requires_grad):
        return _compared(compare, sight, x, y, (None, None))
    return _EachSeenPair.apply(compare, plain, sight, x, y)  # type: ignore[no-untyped-call,no-any-return]


def _compared(compare: Compare, sight: Sight, x: Tensor, y: Tensor, kept: Slopes) -> Tensor:
    size = at_once(x)
    values = x.new_empty(len(x))
    for start in range(0, len(x), size):
        rows = slice(start, start + size)
        seen = torch.stack([shrunk_colours(z[rows], *sight) for z in (x, y)])
        values[rows], slopes = compare(seen, (kept[0] is not None, kept[1] is not None))
        for whole, part in zip(kept, slopes, strict=True):
            if whole is not None and part is not None:
                whole[rows] = part
    return values


class _EachSeenPair(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, compare: Compare, plain: Plain, sight: Sight, x: Tensor, y: Tensor) -> Tensor:
        height, width = (-(-side // sight.factor) for side in x.shape[2:])
        channels = x.shape[1] if sight.matrix is None else len(sight.matrix)
        first, second = (
            x.new_empty(len(x), channels, height, width) if needed else None
            for needed in ctx.needs_input_grad[3:]
        )
        values = _compared(compare, sight, x, y, (first, second))
        ctx.save_for_backward(x, y, *(s for s in (first, second) if s is not None))
        ctx.plain, ctx.sight = plain, sight
        return values

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        x, y, *kept = ctx.saved_tensors
        needed = ctx.needs_input_grad[3:]
        if torch.is_grad_enabled():  # the gradient will be differentiated again: it needs a graph of its own
            return None, None, None, *differentiable_again(ctx.plain, (x, y), needed, slope)
        with full_precision(slope.device):  # a backward pass may be called from within autocast
            found = iter([_spread_back(s, slope, ctx.sight, x) for s in kept])
        return None, None, None, *(next(found) if each else None for each in needed)


def _spread_back(slopes: Tensor, factor: Tensor, sight: Sight, image: Tensor) -> Tensor:
    """The transpose of `shrunk_colours`, each pair times its own factor."""
    scale = factor / sight.factor**2
    if sight.matrix is None:
        by_channel = slopes * scale[:, None, None, None]
    else:
        mixing = torch.tensor(sight.matrix, dtype=slopes.dtype, device=slopes.device).mT
        mixed = torch.bmm(mixing * scale[:, None, None], slopes.flatten(2))
        by_channel = mixed.view(len(slopes), -1, *slopes.shape[2:])
    return spread(by_channel, sight.factor, *image.shape[2:])
