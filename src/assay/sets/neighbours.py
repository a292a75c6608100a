"""Precision, recall, density, coverage, authenticity, realism: whose neighbourhoods hold whose samples?

A sample's ball reaches to its k-th nearest other sample of its own set and is closed: a point on its surface is
inside. That is the definition of improved precision and recall; it also makes precision(x, x) = 1 where samples
coincide, which an open ball of radius zero would call 0.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..checks import as_samples
from ..errors import UsageError
from ..joint import joint
from ..laws import one_on_equal, rotation_invariant, scales_with, translation_invariant
from ..measure import measure
from ..scale.nearest import nearest
from ..statistics import Neighbours

PIECEWISE = "counts of neighbours are piecewise constant in the samples and looked up by value"
EXCEPTIONS = {"compiled_agrees": PIECEWISE, "gradient_is_right": PIECEWISE}
INVARIANT = [translation_invariant, rotation_invariant, scales_with(0)]


@measure(
    statistic=Neighbours,
    best="max",
    lower=0.0,
    upper=1.0,
    laws=[one_on_equal, *INVARIANT],
    differentiable=False,
    spread="half-samples",
    exceptions=EXCEPTIONS,
    reference="Kynkäänniemi et al. 2019, arXiv:1904.06991",
)
def precision(x: Neighbours, y: Neighbours, *, nearest_k: int = 5) -> Tensor:
    r"""Share of generated samples that lie among the real ones: fidelity.

    $$ \frac{1}{W_y} \sum_j w_j \, \mathbf 1\Big[ \exists i: |y_j - x_i| \le r_k(x_i) \Big] $$

    with r_k(x_i) the distance from x_i to its k-th nearest other real sample.

    Args:
        x: real side, (n, d) features or `Neighbours`.
        y: generated side, (m, d) features or `Neighbours`.
        nearest_k: k; published values use 3 (the paper) or 5.

    Returns:
        A scalar in [0, 1]; higher is better. It depends on the number of samples: compare equal counts only.

    Raises:
        UsageError: a side of k samples or fewer.

    Complexity: O((n^2 + n m) d) time, O((n + m) d) memory. One real outlier has a ball that holds everything near
    it; `density` is the remedy.
    """
    held = (x.overlap(y, nearest_k).balls_around_y > 0).to(torch.float64)
    return (y.counts @ held) / y.weight


@measure(
    statistic=Neighbours,
    best="max",
    lower=0.0,
    upper=1.0,
    laws=[one_on_equal, *INVARIANT],
    differentiable=False,
    spread="half-samples",
    exceptions=EXCEPTIONS,
    reference="Kynkäänniemi et al. 2019, arXiv:1904.06991",
)
def recall(x: Neighbours, y: Neighbours, *, nearest_k: int = 5) -> Tensor:
    r"""Share of real samples that lie among the generated ones: diversity. Precision with the sides exchanged.

    $$ \frac{1}{W_x} \sum_i w_i \, \mathbf 1\Big[ \exists j: |x_i - y_j| \le r_k(y_j) \Big] $$

    Args:
        x: real side, (n, d) features or `Neighbours`.
        y: generated side, (m, d) features or `Neighbours`.
        nearest_k: k; published values use 3 (the paper) or 5.

    Returns:
        A scalar in [0, 1]; higher is better. A generator that also scatters far from the data has wide balls and a
        flattering recall; `coverage` is the remedy.

    Raises:
        UsageError: a side of k samples or fewer.

    Complexity: O((m^2 + n m) d) time, O((n + m) d) memory.
    """
    held = (x.overlap(y, nearest_k).balls_around_x > 0).to(torch.float64)
    return (x.counts @ held) / x.weight


@measure(
    statistic=Neighbours,
    best="max",
    lower=0.0,
    laws=INVARIANT,
    differentiable=False,
    spread="half-samples",
    exceptions=EXCEPTIONS,
    reference="Naeem et al. 2020, arXiv:2002.09797",
)
def density(x: Neighbours, y: Neighbours, *, nearest_k: int = 5) -> Tensor:
    r"""How many real balls hold a generated sample, on average, over k: fidelity that an outlier cannot flatter.

    $$ \frac{1}{k W_y} \sum_j w_j \sum_i v_i \, \mathbf 1\big[ |y_j - x_i| \le r_k(x_i) \big] $$

    Args:
        x: real side, (n, d) features or `Neighbours`, counts v.
        y: generated side, (m, d) features or `Neighbours`, counts w.
        nearest_k: k; the paper uses 5.

    Returns:
        A scalar in [0, inf); 1 in expectation for samples of one distribution, higher where generated samples crowd
        into dense regions of the real ones.

    Raises:
        UsageError: a side of k samples or fewer.

    Complexity: as `precision`.
    """
    return (y.counts @ x.overlap(y, nearest_k).balls_around_y) / (nearest_k * y.weight)


@measure(
    statistic=Neighbours,
    best="max",
    lower=0.0,
    upper=1.0,
    laws=[one_on_equal, *INVARIANT],
    differentiable=False,
    spread="half-samples",
    exceptions=EXCEPTIONS,
    reference="Naeem et al. 2020, arXiv:2002.09797",
)
def coverage(x: Neighbours, y: Neighbours, *, nearest_k: int = 5) -> Tensor:
    r"""Share of real samples that have a generated one in their ball: diversity that scattering cannot flatter.

    $$ \frac{1}{W_x} \sum_i w_i \, \mathbf 1\Big[ \exists j: |x_i - y_j| \le r_k(x_i) \Big] $$

    Args:
        x: real side, (n, d) features or `Neighbours`.
        y: generated side, (m, d) features or `Neighbours`.
        nearest_k: k; the paper uses 5.

    Returns:
        A scalar in [0, 1]; higher is better. For samples of one distribution and equal counts its expectation is
        about 1 - 2^(-k).

    Raises:
        UsageError: a side of k samples or fewer.

    Complexity: as `precision`.
    """
    held = (x.overlap(y, nearest_k).inside_ball_of_x > 0).to(torch.float64)
    # the balls move with the counts of x too: a derivative with the balls held fixed would not be one
    counts = x.counts.detach()
    return (counts @ held) / counts.sum()


prdc = joint(precision, recall, density, coverage, name="prdc")


@measure(
    statistic=Neighbours,
    best="max",
    lower=0.0,
    upper=1.0,
    laws=INVARIANT,
    differentiable=False,
    spread="half-samples",
    exceptions=EXCEPTIONS,
    reference="Alaa et al. 2022, arXiv:2102.08921",
)
def authenticity(x: Neighbours, y: Neighbours) -> Tensor:
    r"""Share of generated samples that are no copies: farther from their nearest real sample than it is from its own.

    $$ \frac{1}{W_y} \sum_j w_j \, \mathbf 1\big[ |y_j - x_{i(j)}| > r_1(x_{i(j)}) \big],
       \qquad i(j) = \arg\min_i |y_j - x_i| $$

    with r_1(x_i) the distance from x_i to its nearest other real sample.

    Args:
        x: real (training) side, (n, d) features or `Neighbours`.
        y: generated side, (m, d) features or `Neighbours`.

    Returns:
        A scalar in [0, 1]; higher is better. 0 for a generator that returns training samples. For new samples of the
        same distribution it is the chance that nearest neighbours are not mutual: 1/3 in one dimension and rising
        with their number (0.68 measured in 16), so compare it with a held-out real set's.

    Raises:
        UsageError: fewer than two real samples.

    Complexity: O((n^2 + n m) d) time, O((n + m) d) memory.
    """
    found = y.nearest_in(x)
    own = x.radii(1)[found.index[:, 0]]
    return (y.counts @ (found.squared[:, 0] > own).to(torch.float64)) / y.weight


def realism(x: Any, y: Any, *, nearest_k: int = 5) -> Tensor:
    r"""How deep each generated sample lies among the real ones, (m,).

    $$ R(y_j) = \max_i \frac{r_k(x_i)}{|y_j - x_i|} $$

    over the real samples whose radius is at most the median one: the wide balls of sparse regions say little.

    Args:
        x: real side, (n, d) features or `Neighbours`.
        y: generated side, (m, d) features or `Neighbours`.
        nearest_k: k.

    Returns:
        (m,) float64 in [0, inf]; at least 1 exactly where the sample is inside some kept ball, inf on a copy of a
        kept real sample.

    Raises:
        UsageError: k real samples or fewer, or different numbers of features.

    Source: Kynkäänniemi et al. 2019, arXiv:1904.06991, section 5.

    Complexity: O((n^2 + n m) d) time, O((n + m) d) memory.
    """
    real = x if isinstance(x, Neighbours) else Neighbours.of(as_samples(x, "x"))
    made = y if isinstance(y, Neighbours) else Neighbours.of(as_samples(y, "y"))
    if real.width != made.width:
        raise UsageError(f"x has {real.width} features and y has {made.width}; use one extractor for both")
    radii = real.radii(nearest_k)
    kept = radii <= _median(radii, real.counts)
    out = torch.zeros(len(made.features), dtype=torch.float64, device=made.features.device)
    wide, point = kept & (radii > 0), kept & (radii == 0)
    if bool(wide.any()):
        out = nearest(made.features, real.features[wide], 1, scale=radii[wide]).squared[:, 0].rsqrt()
    if bool(point.any()):  # real samples that coincide: their ball is a point, and only a copy is in it
        copies = nearest(made.features, real.features[point], 1).squared[:, 0] == 0
        out = torch.where(copies, torch.inf, out)
    return out


def _median(values: Tensor, counts: Tensor) -> Tensor:
    """The lower median of counted values."""
    ordered, order = values.sort()
    reached = counts[order].cumsum(0) >= 0.5 * counts.sum()
    return ordered[int(reached.to(torch.uint8).argmax())]
