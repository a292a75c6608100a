"""Could two sets have come from one distribution? A measure's value against its spread under random relabelling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .checks import finite
from .errors import UsageError
from .scale.progress import tick

if TYPE_CHECKING:
    from .set_measure import Measure


@dataclass(frozen=True)
class PermutationTest:
    """What relabelling says.

    Attributes:
        value: the measure of the two sets as given.
        p_value: the share of labellings, the given one among them, whose value is at least as far from agreement.
        relabelled: (B,) values under random labellings, float64.
    """

    value: float
    p_value: float
    relabelled: Tensor

    def __str__(self) -> str:
        return f"value {self.value:.4g}, p = {self.p_value:.3g} over {len(self.relabelled)} relabellings"


def permutation_test(
    measure: Measure, x: Tensor, y: Tensor, permutations: int, generator: torch.Generator | None
) -> PermutationTest:
    """See `Measure.permutation_test`. A measure with a fast null form answers all labellings in one pass."""
    if permutations < 1:
        raise UsageError(f"permutations: expected at least 1, got {permutations}")
    if x.shape[1] != y.shape[1]:
        raise UsageError(f"x has {x.shape[1]} features and y has {y.shape[1]}; use one extractor for both")
    if min(len(x), len(y)) < 2:
        raise UsageError(f"permutation_test: needs at least 2 samples a side, got {len(x)} and {len(y)}")
    finite(x, "x")
    finite(y, "y")
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    n, pooled = len(x), torch.cat([x.detach(), y.detach()])
    with torch.no_grad():
        if measure.null is not None:
            first = torch.zeros(len(pooled), permutations + 1, dtype=torch.float32)
            first[:n, 0] = 1
            for b in range(1, permutations + 1):
                first[torch.randperm(len(pooled), generator=generator)[:n], b] = 1
            values = measure.null(pooled, first.to(pooled.device), **measure.options).cpu()
        else:
            drawn = [measure(x, y)]
            for b in range(permutations):
                order = torch.randperm(len(pooled), generator=generator).to(pooled.device)
                drawn.append(measure(pooled[order[:n]], pooled[order[n:]]))
                tick("relabellings", b + 1, permutations)
            values = torch.stack(drawn).to(torch.float64).cpu()
    away = values if measure.best == "min" else -values
    # labellings that are equal in exact arithmetic (the sides exchanged) differ by rounding
    rounding = 1e-5 * float(away.max() - away.min())
    at_least = int((away[1:] >= away[0] - rounding).sum())
    return PermutationTest(float(values[0]), (1 + at_least) / (1 + permutations), values[1:])
