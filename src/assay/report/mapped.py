"""Which measure are a report's heat maps of?"""

from __future__ import annotations

from ..comparison import Comparison
from ..explanation import Explanation

# the first that is there: with fewer samples than features the Fréchet distance's maps cannot be told from random ones
MAPPED = ("kernel_distance", "frechet_distance", "cmmd")


def mapped_by_candidate(found: Comparison) -> dict[str, Explanation]:
    """For each candidate the explanation that heat maps are of, where there is one."""
    chosen: dict[str, Explanation] = {}
    for name in MAPPED:
        for each in found.explanations:
            if each.measure == name and each.of_generated is not None:
                chosen.setdefault(each.candidate, each)
    return chosen
