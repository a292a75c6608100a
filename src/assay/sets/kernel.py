"""Kernel distance: how far apart are two sets' mean embeddings under a kernel?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..checks import as_samples
from ..errors import UsageError
from ..laws import symmetric, zero_in_expectation
from ..measure import measure
from ..scale.kernels import Kernel, polynomial
from ..scale.tiles import bilinear, quadratic_forms
from ..statistics import Samples


def _relabelled(pooled: Tensor, first: Tensor, *, kernel: Kernel | None, biased: bool) -> Tensor:
    """The distance under every labelling at once: first (n, B) marks the samples that count as x."""
    kernel = polynomial(width=pooled.shape[1]) if kernel is None else kernel
    samples = Samples.of(pooled).features
    within_x, row_sums = quadratic_forms(samples, first.to(samples.dtype), kernel)
    selected = first.to(torch.float64)
    to_all = row_sums @ selected  # sum over x of k(x, everything)
    across = to_all - within_x
    within_y = row_sums.sum() - to_all - across
    own = kernel.diagonal(samples).to(torch.float64)
    own_x = own @ selected
    n, m = selected.sum(0), (1 - selected).sum(0)
    if biased:
        return within_x / n**2 + within_y / m**2 - 2 * across / (n * m)
    return (
        (within_x - own_x) / (n * (n - 1))
        + (within_y - (own.sum() - own_x)) / (m * (m - 1))
        - 2 * across / (n * m)
    )


@measure(
    statistic=Samples,
    best="min",
    laws=[zero_in_expectation, symmetric],
    unbiased=lambda kernel, biased: not biased,
    degenerate=True,
    null=_relabelled,
    reference="Gretton et al. 2012, JMLR 13; the cubic kernel: Binkowski et al. 2018, arXiv:1801.01401",
)
def kernel_distance(x: Samples, y: Samples, *, kernel: Kernel | None = None, biased: bool = False) -> Tensor:
    r"""Squared maximum mean discrepancy, exact over all pairs.

    $$ \mathrm{MMD}^2 = \frac{\sum_{i \ne j} k(x_i, x_j)}{n (n - 1)} + \frac{\sum_{i \ne j} k(y_i, y_j)}{m (m - 1)}
       - \frac{2 \sum_{ij} k(x_i, y_j)}{n m} $$

    With counts w the sums are weighted, the diagonal taken out once per copy pair with itself:
    sum_ij w_i w_j k_ij - sum_i w_i k_ii over W (W - 1). `biased=True` keeps the diagonal and divides by W^2.

    Args:
        x: real side, (n, d) features or `Samples`.
        y: generated side, (m, d) features or `Samples`.
        kernel: by default the cubic polynomial (<x, y> / d + 1)^3; or `rbf(bandwidth)`, or any `Kernel`.
        biased: the V-statistic, never below zero, in place of the unbiased one.

    Returns:
        A scalar; lower is better. The population's value is at least zero; the unbiased estimate of a small one may
        come out below. In units of the kernel's values. Published "KID" figures are means of this over subsets,
        often times 1000.

    Raises:
        UsageError: fewer than two samples on a side (unbiased), or different numbers of features.

    Complexity: O((n + m)^2 d) time, O((n + m) d) memory, forward and backward; nothing all-pairs is ever held.

    FAQ:
        *Which bandwidth?* `rbf(median_bandwidth(reference))`, fixed before candidates are compared: a bandwidth
        that follows the candidate measures each with another ruler.
    """
    kernel = polynomial(width=x.width) if kernel is None else kernel
    if not isinstance(kernel, Kernel):
        raise UsageError(f"kernel: expected an assay Kernel such as rbf(1.0), got {type(kernel).__name__}")
    across = bilinear(x.features, y.features, x.counts, y.counts, kernel)
    return (
        _within(x, kernel, biased, "x") + _within(y, kernel, biased, "y") - 2 * across / (x.weight * y.weight)
    )


def _within(side: Samples, kernel: Kernel, biased: bool, name: str) -> Tensor:
    total = side.once(
        ("within", kernel.key), lambda: bilinear(side.features, None, side.counts, None, kernel)
    )
    if biased:
        return total / side.weight**2
    side.at_least(2, name)
    own = side.counts @ kernel.diagonal(side.features).to(torch.float64)
    return (total - own) / (side.weight * (side.weight - 1))


def median_bandwidth(reference: Any, *, limit: int = 2000) -> float:
    """The median distance between a set's samples, a common bandwidth for `rbf`, as a plain number.

    A number carries no gradient and does not change with the candidate, as a bandwidth must not.

    Args:
        reference: (n, d) features of the real side.
        limit: at most so many samples, evenly spaced, are looked at; all pairs of them.

    Raises:
        UsageError: fewer than two samples, or all samples equal.
    """
    features = as_samples(reference, "reference").detach()
    if len(features) < 2:
        raise UsageError(f"reference: a median distance needs at least 2 samples, got {len(features)}")
    chosen = torch.linspace(0, len(features) - 1, min(limit, len(features))).round().long()
    some = features[chosen.to(features.device)].to(torch.float64)
    median = float(torch.pdist(some).median())
    if median == 0:
        raise UsageError("reference: more than half of the samples are equal; the median distance is 0")
    return median
