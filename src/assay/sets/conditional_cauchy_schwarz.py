"""Does a prediction follow its input as the target does, and how much does a representation know of the input?

Both compare densities of joined variables by the Cauchy-Schwarz divergence. A product of Gaussian kernels of paired
rows is the Gaussian kernel of the rows joined, each divided by its bandwidth: every sum here is a row sum of one kernel
over tiles, kept as a logarithm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..batch_laws import symmetric
from ..batch_objective import batch_objective
from ..errors import UsageError
from ..scale.kernels import log_gaussian
from ..scale.log_sums import row_logsumexp_within
from ..scale.tiles import row_logsumexp


@batch_objective(
    best="min",
    samples=("x", "y", "prediction"),
    widths=(("x",), ("y", "prediction")),
    reference="Yu et al., arXiv:2301.08970; as a loss for regression Yu et al. 2024, arXiv:2404.17951",
)
def conditional_cauchy_schwarz(
    x: Tensor, y: Tensor, prediction: Tensor, *, bandwidths: Sequence[float] = (1.0, 1.0)
) -> Tensor:
    r"""Conditional Cauchy-Schwarz divergence of p(y|x) and p(prediction|x), of paired rows, in nats.

    $$ \log \sum_j \frac{\sum_i K_{ji} L_{ji}}{(\sum_i K_{ji})^2}
       + \log \sum_j \frac{\sum_i K_{ji} \hat L_{ji}}{(\sum_i K_{ji})^2}
       - 2 \log \sum_j \frac{\sum_i K_{ji} M_{ji}}{(\sum_i K_{ji})^2} $$

    with K the Gaussian kernel of x, L that of y, L-hat that of the prediction, and  M_ji = k(prediction_j, y_i). A loss
    for regression that compares distributions given the input: near inputs must have near predictions, and their
    spread must be the target's.

    Args:
        x: (B, d) inputs, or features of them.
        y: (B, e) targets.
        prediction: (B, e) what is predicted of x; rows belong together.
        bandwidths: of the kernel of x and of that of y and the prediction, exp(-|a - b|^2 / 2 s^2), in the units of
            each: plain numbers, such as `median_bandwidth` of a fixed set, which do not follow what is trained.

    Returns:
        A scalar, differentiable in all three, lower is better; 0 where the predictions are the targets. The
        population's value is at least zero. An estimate is not bounded there, because the kernel matrix divided by its
        squared row sums is not symmetric.

    Raises:
        UsageError: rows that do not fit together, or bandwidths that are not two numbers above zero.

    Complexity: O(B^2 (d + e)) time, O(B (d + e)) memory, forward and backward; no matrix of pairs is held.

    FAQ:
        *The authors' code gives another number?* It divides by the sum of the squared kernel values where the
        definition, from  p(y|x)^2 = p(x, y)^2 / p(x)^2,  has the square of their sum, and takes logarithms to base 2.
    """
    width_x, width_y = _two(bandwidths)
    inputs, target, made = x / width_x, y / width_y, prediction / width_y
    kernel = log_gaussian()
    with_target, with_made = torch.cat([inputs, target], 1), torch.cat([inputs, made], 1)
    squared = 2 * row_logsumexp_within(inputs, kernel)
    of_target = (row_logsumexp_within(with_target, kernel) - squared).logsumexp(0)
    of_made = (row_logsumexp_within(with_made, kernel) - squared).logsumexp(0)
    across = (row_logsumexp(with_made, with_target, kernel) - squared).logsumexp(0)
    return of_target + of_made - 2 * across


@batch_objective(
    best="min",
    lower=0.0,
    samples=("x", "t"),
    widths=(("x",), ("t",)),
    laws=[symmetric],
    reference="Principe 2010, Information Theoretic Learning; Yu et al. 2024, arXiv:2404.17951",
)
def cauchy_schwarz_mutual_information(
    x: Tensor, t: Tensor, *, bandwidths: Sequence[float] = (1.0, 1.0)
) -> Tensor:
    r"""Quadratic mutual information: the Cauchy-Schwarz divergence of p(x, t) and p(x) p(t), of paired rows, in nats.

    $$ \log \frac{\sum_{ij} K_{ij} Q_{ij}}{B^2} + \log \frac{\sum_{ij} K_{ij} \sum_{ij} Q_{ij}}{B^4}
       - 2 \log \frac{\sum_i (\sum_j K_{ij}) (\sum_j Q_{ij})}{B^3} $$

    with K the Gaussian kernel of x and Q that of t. In an information bottleneck t is what a network keeps of x, and
    this is added to the loss with a small factor.

    Args:
        x: (B, d) one variable.
        t: (B, e) the other; rows belong together.
        bandwidths: of the kernels of x and of t, in the units of each.

    Returns:
        A scalar in [0, inf), differentiable in both; 0 where t is constant, about 0 for independent variables and many
        rows. Exchanging x and t (and their bandwidths) changes nothing.

    Raises:
        UsageError: rows that do not fit together, or bandwidths that are not two numbers above zero.

    Pairs of a row with itself are among the sums: at B rows independent variables read above 0, the more the smaller
    the bandwidths are.

    Complexity: O(B^2 (d + e)) time, O(B (d + e)) memory, forward and backward.
    """
    width_x, width_t = _two(bandwidths)
    first, second = x / width_x, t / width_t
    kernel = log_gaussian()
    of_x, of_t = row_logsumexp_within(first, kernel), row_logsumexp_within(second, kernel)
    joint = row_logsumexp_within(torch.cat([first, second], 1), kernel).logsumexp(0)
    # the powers of B cancel: -2 - 4 + 6
    return joint + of_x.logsumexp(0) + of_t.logsumexp(0) - 2 * (of_x + of_t).logsumexp(0)


def _two(bandwidths: Sequence[float]) -> Sequence[float]:
    if len(bandwidths) != 2 or not all(0 < b < math.inf for b in bandwidths):
        raise UsageError(f"bandwidths: expected two numbers above zero, got {bandwidths!r}")
    return bandwidths
