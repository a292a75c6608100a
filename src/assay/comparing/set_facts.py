"""What is known of a set's images, beside their features?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..data.facts import FACTS
from ..errors import UsageError

SHARE = 0.05  # of a set's images: from where on two sets count as different, or one as mixed


@dataclass(frozen=True)
class SetFacts:
    """What is known of one set's images.

    Attributes:
        name: as it is printed.
        role: which side it is on; a picture of the real side among the generated ones is a copy.
        facts: by name, (n,) each, as `assay.data.facts.FACTS` has them.
        names: of the n images, for examples.
        labels: classes of the n images, where they are known.

    Raises:
        UsageError: facts that are missing, or not of n images.
    """

    name: str
    role: Literal["real", "generated"]
    facts: Mapping[str, Tensor | NDArray[Any]]
    names: Sequence[str]
    labels: Sequence[str] | None = None

    def __post_init__(self) -> None:
        for fact in FACTS:
            if fact not in self.facts:
                raise UsageError(f"{self.name}: facts lack {fact!r}; they need {', '.join(FACTS)}")
            if len(self.facts[fact]) != len(self.names):
                raise UsageError(
                    f"{self.name}: {len(self.names)} names and {len(self.facts[fact])} values of {fact!r}"
                )
        if self.labels is not None and len(self.labels) != len(self.names):
            raise UsageError(f"{self.name}: {len(self.names)} names and {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.names)

    def of(self, fact: str) -> NDArray[Any]:
        """One fact of every image, (n,)."""
        values = self.facts[fact]
        return values.cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def shares_of(values: Sequence[Any]) -> dict[Any, float]:
    """Value -> its share, the commonest first."""
    return {value: count / len(values) for value, count in Counter(values).most_common()}


def percent(share: float) -> str:
    """A share as whole percents, never 0% of something or 100% of not all."""
    if 0 < share < 0.01:
        return "under 1%"
    if 0.99 < share < 1:
        return "over 99%"
    return f"{100 * share:.0f}%"


def shown(name: str) -> str:
    """A name fit for a one-line message."""
    return name if name.isprintable() else ascii(name)
