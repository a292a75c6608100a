"""Is the depth right up to one factor?"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...errors import UsageError
from ...pair_laws import value_on_equal
from ...pairs import pair_measure
from ..option_values import is_number
from ..root import root
from .draw import draw_depths
from .measured import known_places, logarithmic_error, mean_over


@pair_measure(
    domain="images",
    best="min",
    lower=0.0,
    laws=[value_on_equal(0.0)],
    draw=draw_depths,
    reference="Eigen et al. 2014, arXiv:1406.2283; as a loss: Lee et al. 2019, arXiv:1907.10326",
)
def silog(
    prediction: Tensor,
    target: Tensor,
    *,
    variance_focus: float = 0.85,
    scale: float = 10.0,
    min_depth: float = 0.0,
    max_depth: float = math.inf,
) -> Tensor:
    r"""Scale-invariant logarithmic error of depth maps.

    $$ \alpha \sqrt{\frac1n \sum_u g_u^2 - \lambda \Big(\frac1n \sum_u g_u\Big)^2}, \qquad g_u = \log p_u - \log t_u $$

    over the n places where a depth was measured. With lambda = 1 it is the standard deviation of the logarithmic error:
    a prediction that is off by one factor everywhere has 0.

    Args:
        prediction: (B, C, H, W) depths above 0, in any unit; C is 1 as a rule.
        target: likewise, in the same unit; 0 or below, as sensors leave it, is no measurement.
        variance_focus: lambda in [0, 1].
        scale: alpha.
        min_depth, max_depth: only measurements between the two count, both exclusive.

    Returns:
        (B,) from 0; lower is better. A pair without a measurement has the value NaN and the gradient zero; `estimate`
        refuses it. Where the value is 0 so is the gradient.

    Raises:
        UsageError: members that are no images of one shape, lambda outside [0, 1], a scale not above 0, or limits that
            leave nothing between them.
        DataError: in `estimate`: NaN, or a pair without a measurement.

    FAQ:
        *Which numbers are the benchmark's?* KITTI's SILog is `silog.with_options(variance_focus=1.0, scale=100.0)`,
        the mean over images. The defaults are BTS's loss. Eigen et al. print the mean of squares, without the root,
        and train with lambda = 0.5.

        *Is the mean over a batch BTS's loss?* No: there the places of the whole batch are one sample, so that an image
        with more measurements weighs more, and the means of images of different scale add to the spread. A pair at a
        time is what the metric does.

        *A prediction at 0 or below?* Counts as the smallest positive number: a large error, not NaN. It has no
        gradient; let the network end in an exponential or a softplus.
    """
    if not is_number(variance_focus) or not 0 <= variance_focus <= 1:
        raise UsageError(f"variance_focus: expected a number in [0, 1], got {variance_focus!r}")
    if not is_number(scale) or not 0 < scale < math.inf:
        raise UsageError(f"scale: expected a number above 0, such as 10 or 100, got {scale!r}")
    known = known_places(target, min_depth, max_depth)
    error = logarithmic_error(prediction, target, known)
    mean = mean_over(error, known)
    # squares of what is left without the mean: a difference of two large numbers would lose a small spread
    spread = mean_over(torch.where(known, error - mean[:, None, None, None], 0.0).square(), known)
    return scale * root(spread + (1.0 - variance_focus) * mean.square())
