"""CMMD: the kernel distance of image embeddings as published for CLIP."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..laws import rotation_invariant, scales_with, symmetric, zero_on_equal
from ..measure import measure
from ..scale.kernels import Kernel
from ..scale.tiles import bilinear
from ..statistics import Samples
from .kernel import _relabelled

SCALE = 1000.0
BANDWIDTH = 10.0


def _less_one(products: Tensor, x: Tensor, y: Tensor, *, rate: float) -> Tensor:
    return torch.expm1((x + y - 2 * products).clamp_min(0) * -rate)


def _less_one_slope(
    products: Tensor, x: Tensor, y: Tensor, cotangent: Tensor, *, rate: float
) -> tuple[Tensor, Tensor, Tensor]:
    distances = x + y - 2 * products
    pulled = torch.where(distances > 0, cotangent * torch.exp(-rate * distances) * -rate, 0.0)
    return -2 * pulled, pulled, pulled


# exp(-|x - y|^2 / 200) less 1: unit vectors are 2 apart at most, so that the kernel is 0.98 to 1 and most of its digits
# say nothing; the 1 cancels in the distance, and without it they all count
_KERNEL = Kernel(
    f"rbf({BANDWIDTH:g}) - 1",
    partial(_less_one, rate=0.5 / BANDWIDTH**2),
    shift_invariant=True,
    slope=partial(_less_one_slope, rate=0.5 / BANDWIDTH**2),
)


def _null(pooled: Tensor, first: Tensor) -> Tensor:
    return SCALE * _relabelled(normalize(pooled, dim=1), first, kernel=_KERNEL, biased=True)


@measure(
    statistic=Samples,
    best="min",
    lower=0.0,
    laws=[zero_on_equal, symmetric, rotation_invariant, scales_with(0)],
    degenerate=True,
    null=_null,
    reference="Jayasumana et al. 2024, arXiv:2401.09603",
)
def cmmd(x: Samples, y: Samples) -> Tensor:
    r"""Squared maximum mean discrepancy of unit vectors under a Gaussian kernel of bandwidth 10, times 1000.

    $$ 1000 \Big( \frac{1}{n^2} \sum_{ij} k(x_i, x_j) + \frac{1}{m^2} \sum_{ij} k(y_i, y_j)
       - \frac{2}{n m} \sum_{ij} k(x_i, y_j) \Big), \qquad
       k(a, b) = \exp\Big( -\frac{1}{200} \Big| \frac{a}{|a|} - \frac{b}{|b|} \Big|^2 \Big) $$

    It is `kernel_distance` of the directions with `kernel=rbf(10.0), biased=True`, times 1000, with more digits. Of
    CLIP embeddings (ViT-L/14 at 336 pixels) it is the CMMD as published.

    Args:
        x: real side, (n, d) embeddings or `Samples`.
        y: generated side, (m, d) embeddings or `Samples`.

    Returns:
        A scalar in [0, inf); lower is better. The source uses the biased form: for equal distributions it is about
        1000 (1 - mean k) (1/n + 1/m), which `estimate` corrects. The vector of zeros has no direction and stays where
        it is.

    Raises:
        UsageError: different numbers of features.

    Complexity: as `kernel_distance`.
    """
    sides = [(normalize(s.features, dim=1), s.counts, s.weight) for s in (x, y)]
    (a, u, n), (b, v, m) = sides
    within = [
        side.once("cmmd", partial(bilinear, unit, None, counts, None, _KERNEL)) / weight**2
        for side, (unit, counts, weight) in zip((x, y), sides, strict=True)
    ]
    return SCALE * (within[0] + within[1] - 2 * bilinear(a, b, u, v, _KERNEL) / (n * m))
