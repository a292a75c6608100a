"""Has the mask as many pieces, holes and cavities as it should?"""

from __future__ import annotations

from itertools import product
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from ...errors import MissingExtra, UsageError
from ...pair_laws import symmetric_pairs, value_on_equal
from ...pairs import pair_measure
from ..option_values import is_whole
from .class_mean import checked_threshold

Connectivity = Literal["full", "faces"]


def betti_numbers(masks: Any, *, connectivity: Connectivity = "full") -> Tensor:
    """How many pieces, and holes (2-D), or tunnels and cavities (3-D), every mask has.

    Pieces are counted by labelling, cavities by labelling the background, whose places touch in the dual way (a
    foreground that connects across corners has a background that connects across faces only, or a circle drawn with
    one pixel would leak). The rest follows from the Euler characteristic, a sum over the cells of the mask:
    pieces - holes in 2-D, pieces - tunnels + cavities in 3-D.

    Args:
        masks: (B, C, H, W) or (B, C, D, H, W), above 0 where the class is.
        connectivity: of the foreground: "full", across corners (8 neighbours, 26 in 3-D), or "faces" (4, or 6).

    Returns:
        (B, C, 2) or (B, C, 3) whole numbers on the processor: Betti numbers b0, b1 and, in 3-D, b2. Outside the image
        is background.

    Raises:
        MissingExtra: without scipy: the extra "masks".
        UsageError: other shapes, or an unknown connectivity.

    Complexity: a few passes over the masks.
    """
    if connectivity not in get_args(Connectivity):
        raise UsageError(f"connectivity: expected 'full' or 'faces', got {connectivity!r}")
    array = (torch.as_tensor(masks).detach() > 0).cpu().numpy()
    if array.ndim not in (4, 5) or 0 in array.shape:
        raise UsageError(f"masks: expected (B, C, H, W) or (B, C, D, H, W), got {array.shape}")
    places = array.ndim - 2
    flat = array.reshape(-1, *array.shape[2:])
    padded = np.pad(flat, ((0, 0), *((1, 1) for _ in range(places))))
    pieces = _pieces(padded, connectivity == "full")
    euler = _euler_characteristic(padded, connectivity == "full")
    numbers = [pieces, pieces - euler]
    if places == 3:
        cavities = _pieces(~padded, connectivity != "full") - 1
        numbers = [pieces, pieces + cavities - euler, cavities]
    return torch.from_numpy(np.stack(numbers, -1).reshape(*array.shape[:2], places))


def _pieces(masks: Any, across_corners: bool) -> Any:
    """(N,) connected pieces of masks (N, *places), which are labelled in one go: nothing connects two of them."""
    try:
        from scipy import ndimage  # type: ignore[import-untyped]
    except ImportError:
        raise MissingExtra("scipy", "masks", "counting connected pieces") from None
    places = masks.ndim - 1
    structure = np.zeros((3,) * masks.ndim, dtype=bool)
    for steps in product((-1, 0, 1), repeat=places):
        structure[(1, *(1 + step for step in steps))] = across_corners or sum(map(abs, steps)) <= 1
    labels, _ = ndimage.label(masks, structure)
    # numbers go up in the order of first places, so a mask's highest number counts all pieces up to its end
    highest = np.maximum.accumulate(labels.reshape(len(masks), -1).max(1))
    return np.diff(highest.astype(np.int64), prepend=0)


def _euler_characteristic(masks: Any, closed: bool) -> Any:
    """(N,) alternating sums of cells: of closed places, which share corners, or of the graph of places."""
    places = masks.ndim - 1
    total = np.zeros(len(masks), dtype=np.int64)
    merge = np.logical_or if closed else np.logical_and
    for joined in product((False, True), repeat=places):
        cells = masks
        for axis, join in enumerate(joined, start=1):
            if join:
                size = cells.shape[axis]
                low, high = (np.take(cells, range(k, size - 1 + k), axis) for k in (0, 1))
                cells = merge(low, high)
        odd = (places - sum(joined)) % 2 if closed else sum(joined) % 2
        count = cells.reshape(len(masks), -1).sum(1)
        total += -count if odd else count
    return total


@pair_measure(
    domain="masks",
    best="min",
    lower=0.0,
    laws=[symmetric_pairs, value_on_equal(0.0)],
    differentiable=False,
    reference="Clough et al. 2020, arXiv:1910.01877; Hu et al. 2019, arXiv:1906.05404",
)
def betti_error(
    prediction: Tensor,
    target: Tensor,
    *,
    dimension: int | None = None,
    connectivity: Connectivity = "full",
    threshold: float = 0.5,
) -> Tensor:
    r"""Betti number error: by how many pieces and holes two masks differ, a class at a time, then the classes' mean.

    $$ E_c = \sum_i |b_i(p_c) - b_i(t_c)| $$

    with the Betti numbers b0 (pieces), b1 (holes; tunnels in 3-D) and b2 (cavities, 3-D only) of `betti_numbers`.

    Args:
        prediction: (B, C, H, W) or (B, C, D, H, W), one channel a class.
        target: likewise.
        dimension: i, to count 0 (pieces), 1 or 2 only; None sums all.
        connectivity: of the foreground, "full" (across corners) or "faces"; the background connects the dual way.
        threshold: places above it belong to the mask, for probabilities.

    Returns:
        (B,) from 0, a count; lower is better. An empty mask has no pieces and no holes: both empty give 0, one empty
        the other's numbers.

    Raises:
        MissingExtra: without scipy: the extra "masks".
        UsageError: members that are no masks of one shape, an unknown dimension or connectivity, a threshold outside
            [0, 1). `objective` too: the value is piecewise constant.
        DataError: in `estimate`: values outside [0, 1] or NaN.

    Complexity: a few passes over the masks, on the processor.

    FAQ:
        *0, so the topology is right?* The numbers agree, not the places: a piece missing here and one too many there
        cancel. Read it beside `dice` or `cldice`.

        *A crop's value is not its part of the whole's.* A vessel leaves a crop and comes back as two pieces. Papers
        that report a mean over random patches, as Hu et al. do, have other numbers than over whole images.

        *Gudhi's cubical complexes?* Those of top-dimensional cells are "full", those of vertices "faces".
    """
    threshold = checked_threshold(threshold)
    dimensions = range(prediction.ndim - 2)
    if dimension is not None and not (is_whole(dimension) and dimension in dimensions):
        raise UsageError(f"dimension: expected None or one of {list(dimensions)}, got {dimension!r}")
    numbers = [betti_numbers(m > threshold, connectivity=connectivity) for m in (prediction, target)]
    gaps = (numbers[0] - numbers[1]).abs()
    error = gaps.sum(2) if dimension is None else gaps[..., dimension]
    return error.to(prediction).mean(1)
