"""Which real samples stand in for a group, and which are the measure's real side?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import DataError

MOST_GROUPS = 64


@dataclass(frozen=True)
class Pieces:
    """Rows, no real one named twice.

    Attributes:
        reference: of the real set, that every coalition is measured against.
        made: a group's rows of the generated set, one tensor a group.
        replaced: for each group as many rows of the real samples that take its place.
    """

    reference: Tensor
    made: tuple[Tensor, ...]
    replaced: tuple[Tensor, ...]


def pieces(
    groups: Sequence[Tensor],
    real: int,
    held_out: int | None,
    at_most: int | None,
    generator: torch.Generator,
) -> Pieces:
    """Divide the samples so that every coalition is of as many, and all that are compared are independent.

    Real samples that stand in for a group must not be on the real side too: a set is nearer to its own samples than to
    new ones, and the value of nothing but replacements would not be the distance of two real sets. Without held-out
    samples at most half of the real ones are therefore taken out, at random, as many as there are generated ones; the
    rest is the reference. Where there are more generated samples than replacements, as many are taken of each group, at
    random and in proportion: a distance depends on the number of samples, and a coalition of more of them would read
    nearer.

    Args:
        groups: rows of each group.
        real: how many real samples there are.
        held_out: how many samples a set has that the replacements can be taken from; None for a part of the real one.
        at_most: how many samples a side may have, where the measure looks at all pairs of them.
        generator: for the draws.

    Raises:
        DataError: more than 64 groups, or fewer real samples to replace them by than groups.
    """
    refuse_many(len(groups))
    made = sum(len(rows) for rows in groups)
    pool = stand_ins(real, held_out)
    size = min(made, pool, *(() if at_most is None else (at_most,)))
    refuse_few(len(groups), pool)
    shuffled = torch.randperm(real, generator=generator)
    if held_out is None:
        stand_in, reference = shuffled[:size], shuffled[size:]
    else:
        stand_in, reference = torch.randperm(held_out, generator=generator)[:size], shuffled
    reference = reference[:at_most].sort().values
    sizes = _in_proportion([len(rows) for rows in groups], size)
    chosen = [
        rows if len(rows) == k else rows[torch.randperm(len(rows), generator=generator)[:k].sort().values]
        for rows, k in zip(groups, sizes, strict=True)
    ]
    return Pieces(reference, tuple(chosen), torch.split(stand_in, sizes))


def stand_ins(real: int, held_out: int | None) -> int:
    """How many real samples can take the place of groups: the held-out ones, or half of the real set."""
    return real // 2 if held_out is None else held_out


def refuse_few(groups: int, pool: int, fewest: int = 1) -> None:
    """Raise `DataError` for fewer real samples to replace groups by than there are groups, or than `fewest`."""
    if pool < groups:
        raise DataError(
            f"groups: {groups} groups and {pool} real samples to put in their place; give more real samples or "
            "fewer groups"
        )
    if pool < fewest:
        raise DataError(
            f"groups: shares of these measures need at least {fewest} real samples to put in the groups' place, and "
            f"there are {pool}; give more real or held-out samples"
        )


def refuse_many(groups: int) -> None:
    """Raise `DataError` for more groups than shares are told for."""
    if groups > MOST_GROUPS:
        raise DataError(
            f"groups: {groups} groups; shares are told for at most {MOST_GROUPS}: join some of them in a CSV file, "
            "or take clusters (kmeans:8)"
        )


def _in_proportion(sizes: Sequence[int], total: int) -> list[int]:
    """Whole numbers of at least 1 and at most the sizes, in proportion to them, that sum to the total."""
    if sum(sizes) == total:
        return list(sizes)
    exact = [size * total / sum(sizes) for size in sizes]
    out = [max(1, int(share)) for share in exact]
    rest = sorted(range(len(sizes)), key=lambda k: out[k] - exact[k])
    while sum(out) < total:
        for k in rest:
            if sum(out) < total and out[k] < sizes[k]:
                out[k] += 1
    while sum(out) > total:
        out[max(range(len(out)), key=lambda k: out[k] - exact[k] if out[k] > 1 else -1.0)] -= 1
    return out
