"""What laws of pair measures are tried on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .errors import UsageError

if TYPE_CHECKING:
    from .pairs import PairMeasure


@dataclass(frozen=True)
class PairInputs:
    """What laws are tried on.

    Attributes:
        members: one tensor a member, float64 where floating, of at least 8 pairs.
        counts: (B,) whole numbers of at least 1, float64.
        seed: for whatever else a law draws.
    """

    members: tuple[Tensor, ...]
    counts: Tensor
    seed: int

    def generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)


def draw_pair_inputs(measure: PairMeasure, *, n: int, size: int, seed: int) -> PairInputs:
    """n related pairs: what the measure draws itself, or normal embeddings of `size` features, random images of
    `size` x `size` x 3 in [0, 1], random probabilities of as many classes and places. A third member is a mask.

    Raises:
        UsageError: for the domain "any" without `draw`: its members only its author can draw.
    """
    g = torch.Generator().manual_seed(seed)
    if measure.draw is not None:
        members = tuple(measure.draw(n, g))
    elif measure.domain == "any":
        raise UsageError(
            f"{measure.name}: members of the domain 'any' are not drawn; give @pair_measure(draw=...), or build "
            "assay.pair_laws.PairInputs and call each law of assay.pair_laws.laws_of_pairs(measure) with it"
        )
    elif measure.domain == "embeddings":
        first = torch.randn(n, size, dtype=torch.float64, generator=g)
        members = (first, 0.5 * first + torch.randn(n, size, dtype=torch.float64, generator=g))
    else:
        first = torch.rand(n, 3, size, size, dtype=torch.float64, generator=g)
        second = 0.7 * first + 0.3 * torch.rand(first.shape, dtype=torch.float64, generator=g)
        mask = (torch.rand(n, 1, size, size, dtype=torch.float64, generator=g) < 0.7).to(torch.float64)
        members = (first, second, mask)
    counts = torch.randint(1, 4, (n,), generator=g).to(torch.float64)
    return PairInputs(members[: len(measure.members)], counts, seed)


def cast(member: Tensor, dtype: torch.dtype) -> Tensor:
    """A floating member in this precision; whole numbers stay what they are."""
    return member.to(dtype) if member.is_floating_point() else member
