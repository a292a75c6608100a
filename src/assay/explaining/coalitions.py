"""How far from the real set is a mixture in which some groups are replaced by real samples?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..contrast import value_of
from ..scale.kernels import Kernel, polynomial
from ..scale.tiles import bilinear
from ..set_measure import Measure
from ..sets import kernel_distance
from ..statistics import Moments

Array = NDArray[np.float64]
AT_MOST = 2000  # samples a side for measures that look at all pairs again at every coalition


def most_samples(measure: Measure) -> int | None:
    """How many samples a side `coalition_values` should be given; None for any number."""
    return None if measure.statistic is Moments or measure.function is kernel_distance.function else AT_MOST


def coalition_values(
    measures: Sequence[Measure], reference: Tensor, made: Sequence[Tensor], replaced: Sequence[Tensor]
) -> Callable[[int], Array]:
    """v: the measures of the reference and the mixture of the groups in a coalition (bit i set) and of real samples.

    Args:
        measures: of one statistic and two sets.
        reference: (n, d) the real side.
        made: each group's samples.
        replaced: for each group as many real samples, in no other group and not in the reference.

    Moments are merged, which passes over no sample; a kernel distance is a sum over blocks of pairs, computed once.
    Other measures are evaluated on the samples of each coalition.
    """
    if all(m.function is kernel_distance.function for m in measures):
        each = [_from_blocks(m, reference, made, replaced) for m in measures]
        return lambda mask: np.array([value(mask) for value in each])
    statistic: Any = measures[0].statistic
    with torch.no_grad():
        real = statistic.of(reference)
        groups = [(statistic.of(b), statistic.of(a)) for a, b in zip(made, replaced, strict=True)]

    def value(mask: int) -> Array:
        with torch.no_grad():
            mixture = reduce(
                lambda left, right: left.merge(right), (pair[mask >> i & 1] for i, pair in enumerate(groups))
            )
            sets = {"real": real, "mixture": mixture}
            return np.array([float(value_of(m, sets, ("real", "mixture"))) for m in measures])

    return value


def _from_blocks(
    measure: Measure, reference: Tensor, made: Sequence[Tensor], replaced: Sequence[Tensor]
) -> Callable[[int], float]:
    """The kernel distance of every coalition from the kernel's sums over each pair of pieces."""
    given = measure.options["kernel"]
    kernel: Kernel = polynomial(width=reference.shape[1]) if given is None else given
    biased = bool(measure.options["biased"])
    parts = [*replaced, *made, reference]
    ones = [torch.ones(len(p), dtype=torch.float64, device=p.device) for p in parts]
    sums = np.zeros((len(parts), len(parts)))
    with torch.no_grad():
        for i, (x, u) in enumerate(zip(parts, ones, strict=True)):
            sums[i, i] = float(bilinear(x, None, u, None, kernel))
            for j in range(i):
                sums[i, j] = sums[j, i] = float(bilinear(x, parts[j], u, ones[j], kernel))
        own = np.array([float(kernel.diagonal(p).to(torch.float64).sum()) for p in parts])
    sizes = np.array([float(len(p)) for p in parts])

    def mean_within(chosen: list[int]) -> float:
        total, n = float(sums[np.ix_(chosen, chosen)].sum()), float(sizes[chosen].sum())
        return total / n**2 if biased else (total - float(own[chosen].sum())) / (n * (n - 1))

    groups, real = len(made), len(parts) - 1
    within_real = mean_within([real])

    def value(mask: int) -> float:
        chosen = [i + groups * (mask >> i & 1) for i in range(groups)]
        across = float(sums[chosen, real].sum()) / float(sizes[chosen].sum() * sizes[real])
        return within_real + mean_within(chosen) - 2 * across

    return value
