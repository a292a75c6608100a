"""How far off is the depth, in its unit or as a share?"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from ...errors import UsageError
from ...pair_laws import value_on_equal
from ...pairs import pair_measure
from ..option_values import is_number
from ..root import root
from .draw import draw_depths
from .measured import known_places, logarithmic_error, mean_over, positive

Of = Literal["depth", "log"]


@pair_measure(
    domain="images",
    best="min",
    lower=0.0,
    laws=[value_on_equal(0.0)],
    draw=draw_depths,
    reference="Eigen et al. 2014, arXiv:1406.2283",
)
def abs_rel(
    prediction: Tensor, target: Tensor, *, min_depth: float = 0.0, max_depth: float = math.inf
) -> Tensor:
    r"""Absolute relative error of depth maps, $\frac1n \sum_u |p_u - t_u| / t_u$ over the measured places.

    Args:
        prediction: (B, C, H, W) depths; C is 1 as a rule.
        target: likewise, in the same unit; 0 or below is no measurement.
        min_depth, max_depth: only measurements between the two count, both exclusive.

    Returns:
        (B,) from 0, 0.1 for a tenth off; lower is better. A pair without a measurement has the value NaN and the
        gradient zero; `estimate` refuses it. Where a place is exact its gradient is 0.

    Raises:
        UsageError: members that are no images of one shape, or limits that leave nothing between them.
        DataError: in `estimate`: NaN, or a pair without a measurement.

    FAQ:
        *Scale and crop?* Nothing is aligned or cropped. Papers that align the median of a prediction of unknown scale,
        cut at 80 m or look at a part of the image do that before.
    """
    known = known_places(target, min_depth, max_depth)
    truth = torch.where(known, target, 1.0)
    return mean_over(torch.where(known, (prediction - truth).abs() / truth, 0.0), known)


@pair_measure(
    domain="images",
    best="min",
    lower=0.0,
    laws=[value_on_equal(0.0)],
    draw=draw_depths,
    reference="Eigen et al. 2014, arXiv:1406.2283",
)
def depth_rmse(
    prediction: Tensor,
    target: Tensor,
    *,
    of: Of = "depth",
    min_depth: float = 0.0,
    max_depth: float = math.inf,
) -> Tensor:
    r"""Root mean squared error of depth maps, $\sqrt{\frac1n \sum_u (p_u - t_u)^2}$ over the measured places.

    Args:
        prediction: (B, C, H, W) depths; C is 1 as a rule.
        target: likewise, in the same unit; 0 or below is no measurement.
        of: "depth", or "log" for the error of the natural logarithms (RMSE log): `silog` with lambda 0 and scale 1.
        min_depth, max_depth: only measurements between the two count, both exclusive.

    Returns:
        (B,) from 0, in the depths' unit; lower is better. A pair without a measurement has the value NaN and the
        gradient zero; `estimate` refuses it. Where the value is 0 so is the gradient.

    Raises:
        UsageError: members that are no images of one shape, an unknown `of`, or limits that leave nothing between them.
        DataError: in `estimate`: NaN, or a pair without a measurement.

    FAQ:
        *The root of the mean, or the mean of the roots?* The mean over images is the mean of their roots, as in
        the evaluation of KITTI and BTS; a root over all places of all images is larger.
    """
    if of not in get_args(Of):
        raise UsageError(f"of: expected 'depth' or 'log', got {of!r}")
    known = known_places(target, min_depth, max_depth)
    if of == "log":
        error = logarithmic_error(prediction, target, known)
    else:
        error = torch.where(known, prediction - target, 0.0)
    return root(mean_over(error.square(), known))


@pair_measure(
    domain="images",
    best="max",
    lower=0.0,
    upper=1.0,
    laws=[value_on_equal(1.0)],
    draw=draw_depths,
    differentiable=False,
    reference="Ladicky et al. 2014, CVPR; Eigen et al. 2014, arXiv:1406.2283",
)
def delta_accuracy(
    prediction: Tensor,
    target: Tensor,
    *,
    threshold: float = 1.25,
    min_depth: float = 0.0,
    max_depth: float = math.inf,
) -> Tensor:
    r"""Share of measured places whose depth is right to within a factor, max(p / t, t / p) < threshold.

    Args:
        prediction: (B, C, H, W) depths; C is 1 as a rule.
        target: likewise, in the same unit; 0 or below is no measurement.
        threshold: the factor, above 1: 1.25, 1.25**2 and 1.25**3 are reported as delta 1, 2 and 3.
        min_depth, max_depth: only measurements between the two count, both exclusive.

    Returns:
        (B,) in [0, 1]; higher is better. A pair without a measurement has the value NaN; `estimate` refuses it. A
        prediction of 0 or below is wrong.

    Raises:
        UsageError: members that are no images of one shape, a threshold not above 1, or limits that leave nothing
            between them. `objective` too: the value is piecewise constant; train with `silog`.
        DataError: in `estimate`: NaN, or a pair without a measurement.
    """
    if not is_number(threshold) or not threshold > 1:
        raise UsageError(f"threshold: expected a factor above 1, such as 1.25, got {threshold!r}")
    known = known_places(target, min_depth, max_depth)
    truth = torch.where(known, target, 1.0)
    off = torch.maximum(prediction / truth, truth / positive(prediction))
    right = known & (off < threshold)
    return mean_over(right.to(prediction.dtype), known)
