"""Nearest-neighbour entropy: how spread out is a set, in nats?"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import DataError, UsageError
from ..laws import rotation_invariant, translation_invariant
from ..measure import measure
from ..scale.nearest import nearest
from ..statistics import Samples

WHOLE = 1e-3  # counts are whole numbers, up to what a derivative by one tries


@measure(
    statistic=Samples,
    best="max",
    laws=[translation_invariant, rotation_invariant],
    spread="half-samples",
    exceptions={"compiled_agrees": "nearest samples are looked up by value"},
    reference="Kozachenko and Leonenko 1987; Kraskov et al. 2004, arXiv:cond-mat/0305641; for GANs: arXiv:2208.12055",
)
def knn_entropy(y: Samples, *, nearest_k: int = 3) -> Tensor:
    r"""Kozachenko and Leonenko's estimate of the differential entropy, in nats.

    $$ \hat H = \psi(W) - \psi(k) + \log V_d + \frac dW \sum_i w_i \log r_k(y_i), \qquad
       V_d = \frac{\pi^{d/2}}{\Gamma(1 + d/2)} $$

    with r_k the distance to the k-th nearest other sample, V_d the volume of the unit ball and psi the digamma
    function. A neighbour of count w is w neighbours, and a sample of count w has w - 1 others at distance 0.

    Args:
        y: the set, (n, d) features or `Samples`.
        nearest_k: k. 1 has the least bias and the most spread; 2 to 4 are common.

    Returns:
        A scalar; higher is more spread out. It has no bounds. Moving or rotating all samples changes nothing, scaling
        by s adds d log s. A standard normal in d dimensions has d/2 log(2 pi e).

    Raises:
        DataError: samples with k or more copies of themselves, with their rows: a density of finite entropy does not
            repeat itself, and the estimate would be minus infinity. More neighbours bear more copies.
        UsageError: k of 0 or below, or not fewer than the number of samples.

    The estimate assumes a density on all d dimensions: samples on a lower-dimensional sheet, as most features are, have
    an entropy of minus infinity and read lower the more of them there are. Compare equal numbers of samples. The
    interval of `estimate` is for the value at this number, from half-samples; the bias falls like n^(-2/d), slowly in
    many dimensions, and is not corrected.

    Complexity: O(n^2 d) time, O(n (k + d)) memory. Distances that matter are computed by subtraction in float64.

    FAQ:
        *As a training signal?* The gradient moves each sample away from its k-th neighbour with force d / r: it is
        large where two nearly coincide. Clip it, or add a little noise, as the source for GANs does with k = 1.
        *Influences?* They hold a sample's own term, not what it does to its neighbours' distances: the interval
        therefore comes from half-samples.
    """
    if isinstance(nearest_k, bool) or int(nearest_k) != nearest_k or nearest_k < 1:
        raise UsageError(f"nearest_k: expected a whole number of at least 1, got {nearest_k!r}")
    present = y.counts.detach() > 0  # a sample counted zero times is nobody's neighbour
    features, counts = y.features[present], y.counts[present]
    weight = counts.sum()
    if float(weight.detach()) < nearest_k + 1 - WHOLE:
        raise UsageError(
            f"nearest_k={nearest_k} needs at least {nearest_k + 1} samples, got {float(weight.detach()):g}: "
            "lower nearest_k or add samples"
        )
    squared = _kth_distance(features, counts.detach(), nearest_k)
    _refuse_copies(squared.detach(), present, nearest_k)
    d = y.width
    volume = 0.5 * d * math.log(math.pi) - math.lgamma(1 + 0.5 * d)
    spread = 0.5 * d * (counts @ squared.log()) / weight
    return torch.digamma(weight) - _digamma(nearest_k) + volume + spread


def _kth_distance(features: Tensor, counts: Tensor, k: int) -> Tensor:
    """(n,) squared distance to the k-th nearest other sample by count, float64, differentiable; 0 among copies."""
    n = len(features)
    own = (counts - 1).clamp_min(0)
    if n == 1:
        return torch.zeros(1, dtype=torch.float64, device=features.device)
    with torch.no_grad():
        depth = min(n - 1, math.ceil(k / min(1.0, float(counts.min()) + WHOLE)))
        found = nearest(features, None, depth)
        reached = own[:, None] + counts[found.index].cumsum(1) >= k - WHOLE
        # where rounding leaves a fraction short the farthest one stands for the k-th
        first = torch.where(reached.any(1), reached.to(torch.uint8).argmax(1), depth - 1)
        which = found.index.gather(1, first[:, None])[:, 0]
    wide = features.to(torch.float64)
    squared = (wide - wide[which]).square().sum(1)
    return torch.where(own >= k - WHOLE, 0.0, squared)


def _refuse_copies(squared: Tensor, present: Tensor, k: int) -> None:
    copies = present.nonzero()[:, 0][squared == 0]
    if len(copies):
        rows = ", ".join(str(int(i)) for i in copies[:5]) + (", ..." if len(copies) > 5 else "")
        raise DataError(
            f"knn_entropy: {len(copies)} of {len(squared)} samples have {k} or more copies of themselves "
            f"(rows {rows}), so the entropy is minus infinity; remove the copies, or raise nearest_k above their number"
        )


def _digamma(k: int) -> float:
    return float(torch.digamma(torch.tensor(float(k), dtype=torch.float64)))
