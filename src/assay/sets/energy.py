"""Energy distance: how much farther are two sets' samples from each other than from their own kind?"""

from __future__ import annotations

from torch import Tensor

from ..laws import rotation_invariant, scales_with, symmetric, translation_invariant, zero_in_expectation
from ..measure import measure
from ..scale.kernels import negative_distance
from ..statistics import Samples
from .kernel import kernel_distance


def _relabelled(pooled: Tensor, first: Tensor, *, exponent: float, biased: bool) -> Tensor:
    """The distance under every labelling at once: it is a kernel distance."""
    null = kernel_distance.null
    assert null is not None
    return null(pooled, first, kernel=negative_distance(exponent), biased=biased)


@measure(
    statistic=Samples,
    best="min",
    laws=[zero_in_expectation, symmetric, translation_invariant, rotation_invariant, scales_with(1)],
    unbiased=lambda exponent, biased: not biased,
    degenerate=True,
    null=_relabelled,
    reference="Székely and Rizzo 2013, doi:10.1016/j.jspi.2013.03.018; as a kernel distance: arXiv:1207.6076",
)
def energy_distance(x: Samples, y: Samples, *, exponent: float = 1.0, biased: bool = False) -> Tensor:
    r"""Energy distance, exact over all pairs: twice the mean distance across less the mean distances within.

    $$ \mathcal E = \frac{2 \sum_{ij} |x_i - y_j|^b}{n m} - \frac{\sum_{i \ne j} |x_i - x_j|^b}{n (n - 1)}
       - \frac{\sum_{i \ne j} |y_i - y_j|^b}{m (m - 1)} $$

    With counts w the sums are weighted and n (n - 1) is W (W - 1). `biased=True` divides by W^2 instead. It is
    `kernel_distance` with the kernel -|x - y|^b: no bandwidth is to be chosen, and every difference of two
    distributions is seen in the end (for b < 2).

    Args:
        x: real side, (n, d) features or `Samples`.
        y: generated side, (m, d) features or `Samples`.
        exponent: b in (0, 2]. Smaller ones bear heavier tails; 2 sees the means only (twice their squared distance).
        biased: the V-statistic, never below zero, in place of the unbiased one.

    Returns:
        A scalar in units of the features to the power b; lower is better. The population's value is at least zero,
        zero for equal distributions only (b < 2); the unbiased estimate of a small one may come out below. Multiplying
        all samples by c multiplies it by c^b.

    Raises:
        UsageError: an exponent outside (0, 2]; fewer than two samples on a side (unbiased); different numbers of
            features.

    The interval of `estimate` is for the population's value: U-statistics have no bias, and near agreement, where
    influences vanish, the spread's second order is counted once.

    Complexity: O((n + m)^2 d) time, O((n + m) d) memory, forward and backward.

    FAQ:
        *How does it compare with `scipy.stats.energy_distance`?* That is the square root of the biased form, in one
        dimension: a distance of the sample, whose square is here.
        *Copies and float32?* Distances come from inner products of centred samples. Two samples closer than about 0.2%
        of their distance to the centre read as copies in float32: distance 0, gradient 0. Pass float64 where sets have
        tight, far-away clusters.
        *Its gradient at zero?* |x - y| has none at x = y; a coinciding pair contributes 0.
    """
    return kernel_distance.function(x, y, kernel=negative_distance(exponent), biased=biased)
