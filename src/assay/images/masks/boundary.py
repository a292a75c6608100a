"""Do the outlines agree, to within a few pixels?"""

from __future__ import annotations

import math
from itertools import product

import torch
from torch import Tensor

from ...errors import UsageError
from ...pair_laws import symmetric_pairs, value_on_equal
from ...pairs import pair_measure
from .class_mean import Absent, checked_threshold, class_mean, safe_ratio


def mask_boundary(masks: Tensor) -> Tensor:
    """(B, C, *places) truth values: places that differ from one of their next neighbours along or across the axes.

    Looking only forwards (right, below, and diagonally) makes an outline one pixel wide; the image's border is none.
    """
    axes = range(2, masks.ndim)
    edges = torch.zeros_like(masks)
    for steps in product((0, 1), repeat=masks.ndim - 2):
        if not any(steps):
            continue
        shifted = masks
        for axis, step in zip(axes, steps, strict=True):
            if step:
                size = shifted.shape[axis]
                last = shifted.narrow(axis, size - 1, 1)
                shifted = torch.cat([shifted.narrow(axis, 1, size - 1), last], axis)
        edges = edges | (masks ^ shifted)
    return edges


def near(places: Tensor, radius: int) -> Tensor:
    """(B, C, *places) whether a marked place lies within the radius, in Euclidean distance.

    Squared distances up to the radius are minima of parabolas, one axis after the other.
    """
    squared = torch.where(places, 0.0, math.inf)
    for axis in range(2, places.ndim):
        size = squared.shape[axis]
        least = squared.clone()
        for step in range(1, min(radius, size - 1) + 1):
            rest = size - step
            low, high = least.narrow(axis, 0, rest), least.narrow(axis, step, rest)
            torch.minimum(low, squared.narrow(axis, step, rest) + step**2, out=low)
            torch.minimum(high, squared.narrow(axis, 0, rest) + step**2, out=high)
        squared = least
    return squared <= radius**2


def tolerance_in_places(tolerance: float, sizes: tuple[int, ...]) -> int:
    """The radius; a tolerance below 1 is a share of the diagonal, rounded up.

    Raises:
        UsageError: below 0, or a number of places that is not whole.
    """
    if isinstance(tolerance, bool) or not isinstance(tolerance, (int, float)) or not 0 <= tolerance < 1e6:
        raise UsageError(
            f"tolerance: expected whole pixels (1, 2, ...) or, below 1, a share of the diagonal, got {tolerance!r}"
        )
    if tolerance < 1:
        return math.ceil(tolerance * math.hypot(*sizes))
    if tolerance != int(tolerance):
        raise UsageError(f"tolerance: from 1 on, expected whole pixels, got {tolerance!r}")
    return int(tolerance)


@pair_measure(
    domain="masks",
    best="max",
    lower=0.0,
    upper=1.0,
    laws=[symmetric_pairs, value_on_equal(1.0)],
    differentiable=False,
    reference="Csurka et al. 2013, BMVC; Perazzi et al. 2016, CVPR (DAVIS)",
)
def boundary_f(
    prediction: Tensor,
    target: Tensor,
    *,
    tolerance: float = 0.008,
    threshold: float = 0.5,
    absent: Absent = "one",
) -> Tensor:
    r"""Boundary F-measure: which share of each outline has the other one near it, a class at a time.

    $$ F = \frac{2 P R}{P + R}, \qquad P = \frac{|\{u \in \partial p : d(u, \partial t) \le r\}|}{|\partial p|}, \qquad
       R = \frac{|\{u \in \partial t : d(u, \partial p) \le r\}|}{|\partial t|} $$

    The outline of a mask is where a place differs from a neighbour to the right, below, or diagonally below right (in
    three dimensions the seven neighbours ahead); the border of the image is no outline. d is the Euclidean distance.

    Args:
        prediction: (B, C, H, W) or (B, C, D, H, W), one channel a class.
        target: likewise.
        tolerance: r: below 1 a share of the image's diagonal, rounded up to whole pixels (0.008 is DAVIS's, 4 pixels
            at 256 x 256 and 8 at 480 x 854; 0.0075 Csurka's); from 1 on pixels; 0 for outlines that coincide.
        threshold: places above it belong to the mask, for probabilities.
        absent: what a class counts without an outline on either side; as in `dice`.

    Returns:
        (B,) in [0, 1]; higher is better. With an outline on one side only a class scores 0. A mask that fills the
        image has no outline, as an empty one.

    Raises:
        UsageError: members that are no masks of one shape, a tolerance below 0 or of a fraction of pixels above 1, or a
            threshold outside [0, 1). `objective` too: the value is piecewise constant; `segmentation_hybrid` has a
            term that sees boundaries.
        DataError: in `estimate`: values outside [0, 1], NaN, or a pair without a class to count.

    Complexity: O(r) passes an axis, memory of a few copies of the masks.

    FAQ:
        *Is this DAVIS's F?* Yes, equal to its toolkit to rounding, a frame and an object at a time; DAVIS's table is
        the mean over objects of the mean over frames without each sequence's first and last.

        *And the boundary IoU, or the normalised surface distance?* Those are other measures: the first compares bands
        along the outlines, the second pools both outlines' places instead of taking the harmonic mean of two shares.
    """
    threshold = checked_threshold(threshold)
    radius = tolerance_in_places(tolerance, tuple(prediction.shape[2:]))
    outline_p, outline_t = (mask_boundary(m > threshold) for m in (prediction, target))
    dtype = prediction.dtype
    drawn, wanted = (o.flatten(2).sum(2).to(dtype) for o in (outline_p, outline_t))
    right = (outline_p & near(outline_t, radius)).flatten(2).sum(2).to(dtype)
    found = (outline_t & near(outline_p, radius)).flatten(2).sum(2).to(dtype)
    precision, recall = safe_ratio(right, drawn, 1.0), safe_ratio(found, wanted, 1.0)
    score = safe_ratio(2 * precision * recall, precision + recall, 0.0)
    return class_mean(score, drawn > 0, wanted > 0, absent)
