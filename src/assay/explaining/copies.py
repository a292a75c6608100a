"""Which generated samples are closer to a real one than real ones are to each other?"""

from __future__ import annotations

import numpy as np

from ..explanation import Nearest
from .surroundings import Surroundings

DEPTH = 5  # the neighbour a distance is compared with: real samples that come in a few copies do not hide more of them
RATE = 1e-3


def false_alarm_rate(n: int) -> float:
    """The share of new samples of the real distribution that `copies` flags, about and at most, with n real ones."""
    return max(RATE, 2 / (n + 1))


def copies(real: Surroundings, made: Surroundings) -> Nearest:
    """The nearest real sample of each generated one, and whether it looks like a copy of it.

    A distance alone says little, as there are dense and sparse places. It is therefore taken relative to the distance
    of the 5th nearest real sample from the same place,

        q(y) = d_1(y) / d_5(y),   d_k(y) from y to its k-th nearest real sample,

    and held against the same ratio of each real sample to the other real ones. A generated sample is flagged where its
    ratio is below the quantile of these at the rate 0.001 (of fewer than 2000 real samples: below all of them), so that
    of new samples of the real distribution about one in a thousand (two in n + 1) is flagged. Where real samples lie at
    random around a place, the law of q there does not depend on how dense they are, so that bad samples are not taken
    for copies: the rate is of the same order for generated samples of another distribution.

    Real samples that are exact copies of another are left out of the comparison; near-copies among the real ones are
    not, and make the rule less strict. An exact copy, at distance 0, is always flagged.

    Args:
        real: n samples; of fewer than 3, only exact copies are flagged.
        made: m samples.

    Complexity: O((n^2 + n m) d) time, O((n + m) d) memory.
    """
    n = len(real)
    depth = min(DEPTH, n - 1)
    found = made.among(real, max(1, depth))
    squared = found.squared[:, 0]
    flagged = squared == 0
    if depth >= 2:
        own = real.own(depth).squared
        alone = own[:, 0] > 0
        usual = own[alone, 0] / own[alone, depth - 1]
        if len(usual):
            # the smallest ratios come in pairs, of samples that are each other's nearest: as many as half are drawn
            place = max(1, 2 * int(RATE * (len(usual) + 1) / 2))
            # without a division: five real samples in one point are a distance of 0
            flagged = flagged | (squared < usual.kthvalue(place).values * found.squared[:, depth - 1])
    return Nearest(
        found.index[:, 0].cpu().numpy().astype(np.int64),
        squared.sqrt().cpu().numpy().astype(np.float32),
        flagged.cpu().numpy(),
    )
