"""Are partners near, and is the sphere filled? What contrastive embeddings trade against one another."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from ..batch_laws import ignores_length, only_equality_of_labels_counts, rotation_invariant, symmetric
from ..batch_objective import batch_objective
from ..errors import DataError, UsageError
from ..scale.contrast.softmax_tiles import log_partition_within
from .class_sums import class_sums
from .scaled_rows import scaled_rows, unit_rows


@batch_objective(
    best="min",
    lower=0.0,
    samples=("x", "y"),
    laws=[symmetric, rotation_invariant, ignores_length],
    reference="Wang and Isola 2020, arXiv:2005.10242",
)
def alignment(
    x: Tensor, y: Tensor, *, alpha: float = 2.0, reduction: Literal["mean", "none"] = "mean"
) -> Tensor:
    r"""How far partners are apart on the unit sphere: row i of x and row i of y are one sample.

    $$ \frac{1}{N} \sum_i \left| \frac{x_i}{|x_i|} - \frac{y_i}{|y_i|} \right|^\alpha $$

    Args:
        x, y: (N, d) embeddings; only their directions count.
        alpha: the power of the distance, above zero.
        reduction: "mean", or "none" for the value a pair, (N,).

    Returns:
        A scalar from 0, where partners are equal, to $2^\alpha$; smaller is better. With alpha = 2 it is 2 - 2 cos.

    Raises:
        UsageError: rows that do not fit together, an alpha that is not above zero.

    Complexity: O(N d).

    FAQ:
        *Where partners are equal?* The gradient is 0, also for alpha below 2, where the power has no slope there.
    """
    _above_zero(alpha, "alpha")
    squared = (unit_rows(x) - unit_rows(y)).square().sum(1).to(torch.float64)
    if alpha == 2:
        values = squared
    else:
        apart = squared > 0
        values = torch.where(apart, torch.where(apart, squared, 1.0) ** (alpha / 2), 0.0)
    return values.mean() if reduction == "mean" else values


@batch_objective(
    best="min",
    upper=0.0,
    samples=("x",),
    laws=[rotation_invariant, ignores_length],
    reference="Wang and Isola 2020, arXiv:2005.10242",
)
def uniformity(x: Tensor, *, t: float = 2.0) -> Tensor:
    r"""How evenly embeddings cover the unit sphere: the logarithm of the mean Gaussian potential of two of them.

    $$ \log \frac{1}{N (N - 1)} \sum_{i \neq j} e^{-t |u_i - u_j|^2}, \qquad u_i = \frac{x_i}{|x_i|} $$

    Args:
        x: (N, d) embeddings, at least two; only their directions count.
        t: the potential's sharpness, above zero.

    Returns:
        A scalar from -4t to 0, where all directions are equal; smaller is better. Samples of the uniform distribution
        come to  $-2t + \log {}_0F_1(; d/2; t^2)$  in expectation before the logarithm.

    Raises:
        UsageError: fewer than two rows, a t that is not above zero.

    Complexity: O(N^2 d) time, O(N d) memory; each pair is visited once.

    FAQ:
        *Is the value free of sample-size bias?* The mean of the potential is (no row meets itself); its logarithm is
        slightly low in expectation.
        *Why no value an anchor?* A logarithm of a mean is no mean over anchors.
    """
    _above_zero(t, "t")
    if len(x) < 2:
        raise UsageError(f"x: two rows make a pair, got {len(x)}")
    (u,), bound = scaled_rows((x,), 1 / (2 * t), True)
    n = len(x)
    within: Tensor = log_partition_within(u, bound=bound)
    return within.logsumexp(0) - 2 * t - math.log(n * (n - 1))


@batch_objective(
    best="max",
    lower=-1.0,
    upper=1.0,
    samples=("z",),
    labels=("labels",),
    laws=[rotation_invariant, ignores_length, only_equality_of_labels_counts],
    reference="Wang and Liu 2021, arXiv:2012.09740",
)
def tolerance(z: Tensor, labels: Tensor) -> Tensor:
    r"""How similar the members of one class are to each other: the mean cosine over pairs with equal labels.

    $$ \frac{\sum_{i \neq j} [y_i = y_j]\, u_i^\top u_j}{\sum_{i \neq j} [y_i = y_j]}, \qquad u_i = \frac{z_i}{|z_i|} $$

    It falls where a loss pushes samples of one class apart, as a contrastive loss of low temperature does in order to
    be uniform.

    Args:
        z: (N, d) embeddings; only their directions count.
        labels: (N,) classes, whole numbers.

    Returns:
        A scalar from -1 to 1, larger is better: 1 where classes are points.

    Raises:
        UsageError: rows that do not fit together.
        DataError: no two rows of one class.

    Complexity: O(N d): pairs of a class are summed through the class's sum.

    FAQ:
        *Which pairs count?* Every ordered pair of different rows with equal labels, so that large classes count by
        their pairs. The paper writes an expectation over all pairs of the product with the indicator; that is this
        value times the fraction of pairs with equal labels, and says how many classes there are before anything else.
    """
    u = unit_rows(z)
    sums, count = class_sums(u, labels, labels)
    pairs = (count - 1).sum()
    if int(pairs) == 0:
        raise DataError("labels: no two rows have one label, so there is no pair to measure")
    together: Tensor = torch.linalg.vecdot(u, sums).to(torch.float64) - u.square().sum(1)
    return together.sum() / pairs


def _above_zero(value: float, name: str) -> None:
    if not (isinstance(value, (int, float)) and 0 < value < math.inf):
        raise UsageError(f"{name}: expected a number above zero, got {value!r}")
