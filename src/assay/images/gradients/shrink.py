"""At which size does somebody see the image?

The measures of this topic average F x F pixels before they compare, as the authors' programs do: a mean of F x F pixels
around every pixel, zero outside, of which every F-th is kept, beginning with the first.
"""

from __future__ import annotations

import math
from functools import reduce

import torch
from torch import Tensor
from torch.nn import functional

from ...errors import UsageError
from ..colour import Matrix, in_colours


def factor_to_256(x: Tensor) -> int:
    """The whole number nearest to the short side over 256, halves up, at least 1."""
    return max(1, math.floor(min(x.shape[-2:]) / 256 + 0.5))


def shrunk(x: Tensor, factor: int) -> Tensor:
    """Means of factor x factor pixels: (B, C, H, W) -> (B, C, ceil(H / factor), ceil(W / factor)).

    The first mean begins (factor - 1) // 2 pixels before the image, and where a side is no multiple of the factor the
    last one reaches beyond it: the zeros there count.
    """
    return shrunk_colours(x, None, factor)


def shrunk_colours(x: Tensor, matrix: Matrix | None, factor: int) -> Tensor:
    """`shrunk` of `in_colours`, the colours mixed while there are as few pixels as have lines of their own."""
    if factor == 1:
        return x if matrix is None else in_colours(x, matrix)
    before = (factor - 1) // 2
    pads = []
    for side in (x.shape[-1], x.shape[-2]):
        pads += [before, -(-side // factor) * factor - side - before]
    # sums of strided views: half the time of a pooling layer on a processor, backward included
    x = functional.pad(x, pads) if any(pads) else x
    batch, channels, height, width = x.shape
    rows = reduce(torch.add, x.reshape(batch, channels, height // factor, factor, width).unbind(3))
    rows = rows if matrix is None else in_colours(rows, matrix)
    columns = rows.reshape(batch, rows.shape[1], height // factor, width // factor, factor)
    return reduce(torch.add, columns.unbind(4)) / factor**2


def spread(slopes: Tensor, factor: int, height: int, width: int) -> Tensor:
    """The transpose of `shrunk` times factor^2: every value to the pixels of its mean, (B, C, h, w) -> (B, C, H, W)."""
    if factor == 1:
        return slopes
    batch, channels, h, w = slopes.shape
    columns = slopes.new_empty(batch, channels, h, w, factor)
    for k in range(factor):
        columns[..., k] = slopes
    rows = columns.new_empty(batch, channels, h, factor, w * factor)
    rows.copy_(columns.view(batch, channels, h, 1, w * factor))
    before = (factor - 1) // 2
    return rows.view(batch, channels, h * factor, w * factor)[
        ..., before : before + height, before : before + width
    ]


def at_least(x: Tensor, side: int, why: str) -> None:
    """Refuse images whose short side has fewer than `side` pixels."""
    if min(x.shape[-2:]) < side:
        raise UsageError(
            f"x: images of {x.shape[-2]} x {x.shape[-1]} are too small: {why}, which takes {side} pixels a side; "
            "enlarge them, or use a measure of single pixels"
        )


def both(x: Tensor, y: Tensor) -> Tensor:
    """One batch of the images and then their targets: what is done to each is done once."""
    return torch.cat((x, y))


def halves(z: Tensor) -> tuple[Tensor, Tensor]:
    """What `both` put together: the images' part and the targets'."""
    ours, target = z.chunk(2)
    return ours, target
