"""How did the samples move a value, and what of that is worth keeping?

A difference of two values over one real set is surer than either, because the real set's luck is in both and cancels:
each real sample's influences on the two are subtracted before they are squared. What each value's own samples add is a
variance, one number. So what a later difference needs of a value is a number a real sample and a few more:

* s_i = w_i I_i / W of every shared sample (or pair), and r = sum s_j^2 over the value's own ones;
  the difference's variance is  sum (s_i^b - s_i^a)^2 + r^a + r^b;
* where the measure is degenerate the same within its two random halves, because  V = 3/2 V(n) - 1/4 mean V(n/2);
* where it is not smooth its values of random halves, whose differences spread as the difference does.

The halves of both values must be the same ones: a digest of them is kept beside.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Trace:
    """How the samples of each set moved one value. Counts of one are assumed.

    Attributes:
        shares: set -> (n,) float64, I / W of each sample; empty where the measure is not smooth.
        in_halves: set -> (n,) float64, the same of each sample within its random half; empty where the measure is not
            degenerate.
        halves: set -> a digest of how it was halved; empty where nothing was.
        half_values: the values of random halves, where the measure is not smooth; empty otherwise.
        freed: whether the corrected value is free of its leading sample-size bias.
    """

    shares: Mapping[str, Tensor]
    in_halves: Mapping[str, Tensor]
    halves: Mapping[str, str]
    half_values: tuple[float, ...]
    freed: bool


@dataclass(frozen=True)
class Kept:
    """What is kept of one value.

    Attributes:
        influences: of each set that other values may share, by its role ("real", "held_out", or "pairs" where all sets
            hang together): (n,) float32 influence of each sample, or of each pair.
        in_halves: n I / W of each sample within its random half; empty where the measure is not degenerate.
        rest: the variance that the value's own samples add.
        rest_in_halves: the same, the mean over both halves.
        half_values: the values of random halves, where the measure is not smooth; empty otherwise.
        halves: by role, a digest of how the shared sets were halved.
        freed: whether the corrected value is free of its leading sample-size bias.
    """

    influences: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    in_halves: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    rest: float = 0.0
    rest_in_halves: float = 0.0
    half_values: tuple[float, ...] = ()
    halves: Mapping[str, str] = field(default_factory=dict)
    freed: bool = False


def kept_of(trace: Trace, roles: Mapping[str, str], *, paired: bool) -> Kept:
    """What is to be kept of a value.

    Args:
        trace: how its samples moved it.
        roles: the sets that other values may share, name -> role.
        paired: whether row i of all its sets is one unit.
    """
    influences, rest = _parted(trace.shares, roles, paired)
    in_halves, rest_in_halves = _parted(trace.in_halves, roles, paired)
    if paired:  # all sets are halved alike
        halves = {"pairs": next(iter(trace.halves.values()))} if trace.halves else {}
    else:
        halves = {roles[name]: digest for name, digest in trace.halves.items() if name in roles}
    # the mean of two halves' variances is half of the sum over all samples
    return Kept(influences, in_halves, rest, 0.5 * rest_in_halves, trace.half_values, halves, trace.freed)


class HalvesDigest:
    """A digest of how each set is halved, over all draws."""

    def __init__(self) -> None:
        self._running: dict[str, hashlib.blake2b] = {}

    def add(self, shares: Mapping[str, Tensor] | None) -> None:
        """One draw: the share of each row that falls into the first half; None where nothing can be halved."""
        for name, share in (shares or {}).items():
            running = self._running.setdefault(name, hashlib.blake2b(digest_size=8))
            running.update(share.cpu().numpy().tobytes())

    def of(self, sets: Iterable[str]) -> dict[str, str]:
        """The digests of these sets, without those that were never halved."""
        return {name: self._running[name].hexdigest() for name in sets if name in self._running}


def _parted(
    shares: Mapping[str, Tensor], roles: Mapping[str, str], paired: bool
) -> tuple[dict[str, NDArray[np.float32]], float]:
    """What is shared, times n, by role; and the sum of squares of what is not."""
    if not shares:
        return {}, 0.0
    if paired:
        first, *others = shares.values()
        for other in others:
            first = first + other
        return {"pairs": _single(first)}, 0.0
    shared = {roles[name]: _single(share) for name, share in shares.items() if name in roles}
    return shared, sum(float(share.square().sum()) for name, share in shares.items() if name not in roles)


def _single(share: Tensor) -> NDArray[np.float32]:
    scaled: NDArray[np.float32] = (share * len(share)).cpu().numpy().astype(np.float32)
    return scaled
