"""The coefficients of Haar wavelets of 2, 4 and 8 pixels, and the way back from them to the image.

A filter of K x K pixels is 1 / K times the sum of one half less that of the other, from K / 2 - 1 pixels before. A half
is a box, and every box is the sum of two smaller ones: eight additions make all that the six filters need.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

SIZES = (2, 4, 8)
LARGEST = SIZES[-1]
HEIGHT, WIDTH = -2, -1

# of a box, height and width: the box that it is twice of, and where the second one begins
BOXES: dict[tuple[int, int], tuple[tuple[int, int], int, int]] = {
    (1, 2): ((1, 1), WIDTH, 1),
    (2, 1): ((1, 1), HEIGHT, 1),
    (2, 2): ((1, 2), HEIGHT, 1),
    (2, 4): ((2, 2), WIDTH, 2),
    (4, 2): ((2, 2), HEIGHT, 2),
    (4, 4): ((2, 4), HEIGHT, 2),
    (4, 8): ((4, 4), WIDTH, 4),
    (8, 4): ((4, 4), HEIGHT, 4),
}
PADDING = (3, 4, 3, 4)


def haar_coefficients(bright: Tensor) -> list[list[Tensor]]:
    """Coefficients of 2, 4 and 8 pixels, of edges across the height and then across the width; shapes as the input."""
    boxes = {(1, 1): functional.pad(bright, PADDING)}
    for box, (part, axis, shift) in BOXES.items():
        whole = boxes[part]
        count = whole.shape[axis] - shift
        boxes[box] = whole.narrow(axis, 0, count) + whole.narrow(axis, shift, count)
    return [
        [_difference(boxes[_half(size, axis)], size, axis, bright) for size in SIZES]
        for axis in (HEIGHT, WIDTH)
    ]


def haar_spread(slopes: list[list[Tensor]]) -> Tensor:
    """The transpose of `haar_coefficients`, from as many maps as those are to one; no graph."""
    first = slopes[0][0]
    height, width = first.shape[-2:]
    sums = {
        (h, w): first.new_zeros(*first.shape[:-2], height + LARGEST - h, width + LARGEST - w)
        for h, w in ((1, 1), *BOXES)
    }
    for axis, scales in zip((HEIGHT, WIDTH), slopes, strict=True):
        for size, slope in zip(SIZES, scales, strict=True):
            before, after = _sides(sums[_half(size, axis)], size, axis, first)
            before.sub_(slope, alpha=1 / size)
            after.add_(slope, alpha=1 / size)
    for box, (part, axis, shift) in reversed(BOXES.items()):
        own, count = sums[box], sums[box].shape[axis]
        sums[part].narrow(axis, 0, count).add_(own)
        sums[part].narrow(axis, shift, count).add_(own)
    return sums[1, 1][..., PADDING[2] : PADDING[2] + height, PADDING[0] : PADDING[0] + width]


def _half(size: int, axis: int) -> tuple[int, int]:
    return (size // 2, size) if axis == HEIGHT else (size, size // 2)


def _sides(box: Tensor, size: int, axis: int, image: Tensor) -> tuple[Tensor, Tensor]:
    """The two halves of a filter around every pixel."""
    start = (LARGEST - size) // 2
    height, width = image.shape[-2:]
    kept = (
        box[..., start:, start : start + width]
        if axis == HEIGHT
        else box[..., start : start + height, start:]
    )
    count = image.shape[axis]
    return kept.narrow(axis, 0, count), kept.narrow(axis, size // 2, count)


def _difference(box: Tensor, size: int, axis: int, image: Tensor) -> Tensor:
    before, after = _sides(box, size, axis, image)
    return (after - before) / size
