"""Whose balls hold whose samples, and which of them would if one sample were left out?

A ball reaches to the k-th nearest other sample of its own set. Leaving a sample out does two things: its ball goes, and
the balls of those that had it among their k nearest grow to their (k+1)-th. Two passes over the pairs of the two sets,
one at either radius, therefore say what every single leaving out does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..scale.nearest import pairs_within
from .surroundings import Surroundings, tally

AT_ONCE = 2**22  # pairs kept before those that are named twice are dropped


@dataclass(frozen=True)
class Balls:
    """The balls of one set (n samples) around another's (m samples); counts are float64.

    Attributes:
        around: (m,) how many balls hold each sample of the other set.
        inside: (n,) how many samples of the other set each ball holds.
        grown: (n,) how many it holds when it reaches to the (k+1)-th neighbour.
        alone: (n,) the one sample that a ball holds; of meaning only where `inside` is 1.
        near: (n, k) each sample's k nearest in its own set.
        held_without: (n,) how many samples of the other set lie in some ball when this sample is left out.
    """

    around: Tensor
    inside: Tensor
    grown: Tensor
    alone: Tensor
    near: Tensor
    held_without: Tensor


def balls_of_both(x: Surroundings, y: Surroundings, k: int) -> tuple[Balls, Balls]:
    """The balls of x around the samples of y, and those of y around the samples of x.

    Each set needs k + 2 samples, so that every one still has k others when one is left out.
    """
    own = x.own(k + 1), y.own(k + 1)
    counts = _Counts(len(x), len(y), own[0].index[:, :k]), _Counts(len(y), len(x), own[1].index[:, :k])
    for i, j, in_x, in_y in _pairs(x, y, own[0].squared[:, k - 1], own[1].squared[:, k - 1]):
        counts[0].add(i[in_x], j[in_x])
        counts[1].add(j[in_y], i[in_y])
    for i, j, in_x, in_y in _pairs(x, y, own[0].squared[:, k], own[1].squared[:, k]):
        counts[0].add_grown(i[in_x], j[in_x])
        counts[1].add_grown(j[in_y], i[in_y])
    return counts[0].balls(), counts[1].balls()


def _pairs(
    x: Surroundings, y: Surroundings, radii_x: Tensor, radii_y: Tensor
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    return pairs_within(x.features, y.features, radii_x.contiguous(), radii_y.contiguous())


class _Counts:
    """What two passes over the pairs tell of one set's balls."""

    def __init__(self, n: int, m: int, near: Tensor) -> None:
        device = near.device
        self.n, self.m, self.near = n, m, near
        self.around = torch.zeros(m, dtype=torch.int64, device=device)
        self.owner = torch.zeros_like(
            self.around
        )  # the sum of the balls' rows: the ball itself where there is one
        self.inside = torch.zeros(n, dtype=torch.int64, device=device)
        self.alone = torch.zeros_like(self.inside)
        self.grown = torch.zeros_like(self.inside)
        self.saved: list[Tensor] = []  # codes i' * m + j: leaving i' out, a grown ball holds j
        self.waiting = 0

    def add(self, i: Tensor, j: Tensor) -> None:
        self.around.index_add_(0, j, torch.ones_like(j))
        self.owner.index_add_(0, j, i)
        self.inside.index_add_(0, i, torch.ones_like(i))
        self.alone.index_add_(0, i, j)

    def add_grown(self, i: Tensor, j: Tensor) -> None:
        self.grown.index_add_(0, i, torch.ones_like(i))
        # only what lies in no ball, or in a single one that may go, changes its side
        few = (self.around[j] == 0) | ((self.around[j] == 1) & (self.owner[j] != i))
        i, j = i[few], j[few]
        out = self.near[i]
        matters = (self.around[j] == 0)[:, None] | (out == self.owner[j][:, None])
        codes = (out * self.m + j[:, None])[matters]
        self.saved.append(codes)
        self.waiting += len(codes)
        if self.waiting > AT_ONCE:
            self.saved, self.waiting = [torch.unique(torch.cat(self.saved))], 0

    def balls(self) -> Balls:
        codes = torch.unique(torch.cat(self.saved)) if self.saved else self.owner[:0]
        lost = tally(self.owner[self.around == 1], self.n)
        held = (self.around > 0).sum().to(torch.float64)
        without = held - lost + tally(codes.div(self.m, rounding_mode="floor"), self.n)
        return Balls(
            around=self.around.to(torch.float64),
            inside=self.inside.to(torch.float64),
            grown=self.grown.to(torch.float64),
            alone=self.alone,
            near=self.near,
            held_without=without,
        )
