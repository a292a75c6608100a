"""Fréchet distance: how far apart are the Gaussians with two sets' moments?"""

from __future__ import annotations

from torch import Tensor

from ..laws import rotation_invariant, scales_with, symmetric, translation_invariant, zero_on_equal
from ..measure import measure
from ..statistics import Moments
from ..statistics.coupling import root_trace


@measure(
    statistic=Moments,
    best="min",
    lower=0.0,
    laws=[zero_on_equal, symmetric, translation_invariant, rotation_invariant, scales_with(2)],
    enough=lambda d: 2 * d,
    reference="Heusel et al. 2017, arXiv:1706.08500; Dowson and Landau 1982 for the closed form",
)
def frechet_distance(x: Moments, y: Moments) -> Tensor:
    r"""Squared 2-Wasserstein distance between the Gaussians with the moments of x and y.

    $$ d^2 = |m_x - m_y|^2 + \operatorname{tr}\big(C_x + C_y - 2 (C_x^{1/2} C_y C_x^{1/2})^{1/2}\big) $$

    with means m (d,) and covariances C (d, d), W - 1 in their denominators. Of Inception features it is the FID.

    Args:
        x: real side, (n, d) features or `Moments`.
        y: generated side, (m, d) features or `Moments`.

    Returns:
        A scalar in [0, inf), in the features' squared units; lower is better. Rounding leaves about 1e-8 of the
        total variance, of either sign.

    Raises:
        UsageError: fewer than two samples on a side, or different numbers of features.

    The trace of the root is the sum of the singular values of F_x F_y^T, for any factors C = F^T F: no general matrix
    root, no complex part to throw away, nothing added to a diagonal. A side of fewer samples than features is its own
    factor, and everything goes through the small side. Gradients are exact where the covariances are singular too:
    a direction one side has not got adds its kink's symmetric derivative, which is zero.

    Complexity: O((n + m) d^2 + d^3), or O(min(n, m)^2 d) where a side has fewer samples than features. The factor of
    a reference is computed once and kept with its `Moments`.

    FAQ:
        *Why does it change with the number of samples?* Its bias is about the number of features times the variance
        over n, often larger than the distance itself. Report `estimate(...).corrected`.
    """
    for name, side in (("x", x), ("y", y)):
        side.at_least(2, name)
    shift = (x.mean - y.mean).square().sum()
    return shift + x.variance_sum() + y.variance_sum() - 2 * root_trace(x, y)
