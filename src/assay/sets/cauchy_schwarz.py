"""Cauchy-Schwarz divergence: how far from parallel are two densities?"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import UsageError
from ..laws import rotation_invariant, scales_with, translation_invariant, zero_on_equal
from ..measure import measure
from ..scale.kernels import log_gaussian
from ..scale.log_sums import logsumexp_pairs
from ..statistics import Samples


@measure(
    statistic=Samples,
    best="min",
    lower=0.0,
    laws=[zero_on_equal, translation_invariant, rotation_invariant, scales_with(0)],
    degenerate=True,
    reference="Jenssen et al. 2006, doi:10.1016/j.jfranklin.2006.03.018; Yu et al. 2024, arXiv:2404.17951",
)
def cauchy_schwarz(x: Samples, y: Samples, *, bandwidth: float | None = None) -> Tensor:
    r"""Cauchy-Schwarz divergence of the two sets' kernel density estimates, in nats.

    $$ D_{CS} = \log \frac{\sum_{ii'} k(x_i, x_{i'})}{n^2} + \log \frac{\sum_{jj'} k(y_j, y_{j'})}{m^2}
       - 2 \log \frac{\sum_{ij} k(x_i, y_j)}{n m}, \qquad k(a, b) = e^{-|a - b|^2 / 2 s^2} $$

    which estimates $-\log \frac{(\int p q)^2}{\int p^2 \int q^2}$ of the densities smoothed by Gaussians of variance
    s^2 / 2. With counts w the sums are weighted and n is W. It is minus twice the logarithm of the cosine between the
    two mean embeddings, where `kernel_distance` is their squared distance.

    Args:
        x: real side, (n, d) features or `Samples`.
        y: generated side, (m, d) features or `Samples`.
        bandwidth: s, in units of the features. By default the root mean square distance between samples of x: a rule
            that the real side alone fixes, so that all candidates are measured with one ruler.

    Returns:
        A scalar in [0, inf); lower is better, 0 for equal sets. With a given bandwidth exchanging the sides changes
        nothing; by default scaling all samples changes nothing.

    Raises:
        UsageError: a bandwidth that is not above zero; none given and all samples of x equal; different numbers of
            features.

    Sums are kept as logarithms: sets that are so far apart that every kernel value across is 0 in floating point have
    their divergence and its gradient all the same. Pairs of a sample with itself are among the sums, as published:
    the value at n samples is biased by terms of order 1/n, which `estimate` corrects; its interval is for the
    population's value at this bandwidth (at the population's root mean square distance, by default).

    Complexity: O((n + m)^2 d) time, O((n + m) d) memory, forward and backward.

    FAQ:
        *Which bandwidth?* It sets everything: far below the distances between neighbours only a sample's pair with
        itself is left, far above them only the means are. `median_bandwidth(reference)` is the other common rule.
        *Two far clusters, float32?* Distances come from products of centred samples: they are off by about 1e-7 of
        the squared distance to the centre, which must be small against s^2.
        *For regression and information bottlenecks?* `conditional_cauchy_schwarz` and
        `cauchy_schwarz_mutual_information`.
    """
    if bandwidth is not None and not 0 < bandwidth < float("inf"):
        raise UsageError(f"bandwidth: expected a number above zero or None, got {bandwidth!r}")
    centre = x.features.detach().mean(0)
    width = _root_mean_square_distance(x, centre) if bandwidth is None else bandwidth
    a, b = (x.features - centre) / width, (y.features - centre) / width
    kernel = log_gaussian()
    across = logsumexp_pairs(a, b, x.counts, y.counts, kernel)
    within_x = logsumexp_pairs(a, None, x.counts, None, kernel)
    within_y = logsumexp_pairs(b, None, y.counts, None, kernel)
    return within_x + within_y - 2 * across


def _root_mean_square_distance(x: Samples, centre: Tensor) -> Tensor:
    features = (x.features - centre).to(torch.float64)
    mean = x.counts @ features / x.weight
    squared = 2 * (x.counts @ (features - mean).square().sum(1)) / x.weight
    looks = squared.device.type == "cpu" and not torch.compiler.is_compiling()
    if looks and not float(squared.detach()) > 0:
        raise UsageError(
            "bandwidth: all samples of x are equal, so their distances give none; pass a number above zero"
        )
    return squared.sqrt().to(x.features.dtype)
