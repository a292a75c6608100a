"""Which samples make a value what it is?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .direction import Direction
from .errors import UsageError


@dataclass(frozen=True)
class Nearest:
    """The real sample nearest to each generated one.

    Attributes:
        row: (m,) int64, which row of the real set.
        distance: (m,) float32, Euclidean in feature space, recomputed by subtraction: exact copies read 0.
        copied: (m,) bool, closer than real samples are to each other; see `explain` for the rule.
    """

    row: NDArray[np.int64]
    distance: NDArray[np.float32]
    copied: NDArray[np.bool_]


@dataclass(frozen=True)
class GroupShare:
    """What one group of generated samples adds to the distance.

    Attributes:
        name: of the group.
        rows: (k,) int64, its rows in the generated set.
        share: its Shapley share of the value: the shares and the floor sum to the total.
        low, high: interval of the share where coalitions were sampled; equal to the share where all were taken.
    """

    name: str
    rows: NDArray[np.int64]
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Explanation:
    """One candidate by one measure, sample by sample.

    Attributes:
        name: of the measure as it is printed, with the feature space: `fd[efficientnet-lite0]`.
        measure: the measure's full name.
        candidate: the set's name.
        direction: which direction is better.
        of_generated: (m,) float32 influence of each generated sample, or None where the measure has none: a sample of
            positive influence raises the value, and leaving it out changes the value by about -influence / (m - 1). It
            sums to zero where it is a derivative; see `method`.
        of_real: (n,) float32, the same of each real one.
        method: how the influences were found, and how far they can be trusted.
        groups: one a group, where groups were asked for.
        floor: what the distance is when every group is replaced by held-out real samples; None without groups.
        nearest: the nearest real sample of each generated one.
    """

    name: str
    measure: str
    candidate: str
    direction: Direction
    of_generated: NDArray[np.float32] | None
    of_real: NDArray[np.float32] | None
    method: str
    groups: tuple[GroupShare, ...] = ()
    floor: float | None = None
    nearest: Nearest | None = None

    def badness(self) -> NDArray[np.float32]:
        """(m,) how much worse each generated sample makes the value: influence, or minus it where higher is better.

        Raises:
            UsageError: the generated samples have no influence; `method` says why.
        """
        if self.of_generated is None:
            raise UsageError(f"{self.name}: the samples of {self.candidate} have no influence: {self.method}")
        return self.of_generated if self.direction == "lower is better" else -self.of_generated

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON: the groups, and how many samples are suspected copies."""
        return {
            "name": self.name,
            "candidate": self.candidate,
            "method": self.method,
            "floor": self.floor,
            "groups": [
                {"name": g.name, "n": len(g.rows), "share": g.share, "low": g.low, "high": g.high}
                for g in self.groups
            ],
            "copied": None if self.nearest is None else int(self.nearest.copied.sum()),
        }
