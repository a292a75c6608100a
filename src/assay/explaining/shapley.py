"""How is a value shared out among groups?"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..scale.progress import tick

Array = NDArray[np.float64]
EXACT_TO = 8  # groups: 256 coalitions
EVALUATIONS = 512  # about so many coalitions are looked at beyond that
FEWEST_PAIRS = 16
REACH = 2.131  # Student's t at 95% with 15 degrees of freedom, those of the fewest pairs


@dataclass(frozen=True)
class Shares:
    """Of g groups in q values at once, float64.

    Attributes:
        share: (g, q) Shapley shares; with the floor they sum to the total.
        low, high: (g, q) 95% intervals for what all coalitions would give; the share itself where all were taken.
        floor: (q,) the value of no group.
        total: (q,) the value of all groups.
    """

    share: Array
    low: Array
    high: Array
    floor: Array
    total: Array


def shapley(value: Callable[[int], Array], groups: int, generator: torch.Generator) -> Shares:
    r"""Shapley shares of g groups.

    $$ \phi_i = \sum_{S \not\ni i} \frac{|S|! \, (g - |S| - 1)!}{g!} \big( v(S \cup \{i\}) - v(S) \big) $$

    Exact up to 8 groups. Beyond, the mean over random orders of the groups of what each adds to those before it, an
    order and its reverse together (which cancels what is linear in the place in line); the interval is over such pairs,
    for the luck of the orders alone. Either way the shares and v of the empty set sum to v of all, up to rounding.

    Args:
        value: v, (q,) numbers, of a coalition: bit i is set where group i is in it.
        groups: how many.
        generator: for the orders.

    Source: Shapley 1953; the pairs: Mitchell et al. 2022, arXiv:2104.12199.
    """
    everyone = (1 << groups) - 1
    if groups <= EXACT_TO:
        values = []
        for mask in range(everyone + 1):
            values.append(value(mask))
            tick("coalitions", mask + 1, everyone + 1)
        v = np.stack(values)
        share = np.zeros((groups, v.shape[1]))
        for mask in range(everyone + 1):
            before = mask.bit_count()
            if before == groups:
                continue
            chance = 1 / (groups * math.comb(groups - 1, before))
            for i in range(groups):
                if not mask >> i & 1:
                    share[i] += chance * (v[mask | 1 << i] - v[mask])
        return Shares(share, share, share, v[0], v[everyone])
    kept: dict[int, Array] = {}
    pairs = max(FEWEST_PAIRS, EVALUATIONS // (2 * (groups - 1)))

    def known(mask: int) -> Array:
        if mask not in kept:
            kept[mask] = value(mask)
        return kept[mask]

    drawn = []
    for k in range(pairs):
        order = torch.randperm(groups, generator=generator).tolist()
        drawn.append((_added(known, order) + _added(known, order[::-1])) / 2)
        tick("orders of groups", k + 1, pairs)
    each = np.stack(drawn)
    share = each.mean(0)
    reach = REACH * each.std(0, ddof=1) / math.sqrt(pairs)
    return Shares(share, share - reach, share + reach, known(0), known(everyone))


def _added(value: Callable[[int], Array], order: list[int]) -> Array:
    """(g, q) what each group adds to those before it."""
    before = value(0)
    added = np.zeros((len(order), len(before)))
    mask = 0
    for i in order:
        mask |= 1 << i
        after = value(mask)
        added[i] = after - before
        before = after
    return added
