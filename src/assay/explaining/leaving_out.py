"""What does a count of neighbours become when a sample is left out? Exactly, for every sample, from one look."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
from torch import Tensor

from ..set_measure import Measure
from ..sets import authenticity, coverage, density, precision, recall
from .balls import Balls, balls_of_both
from .surroundings import Surroundings, tally

Changes = tuple[
    Tensor, Tensor
]  # (n,) and (m,): by how much the value changes when a sample of x or of y is left out


@dataclass(frozen=True, eq=False)
class Neighbourhoods:
    """Two sets and how their balls lie, found once for all measures of one number of neighbours."""

    x: Surroundings
    y: Surroundings
    _balls: dict[int, tuple[Balls, Balls]] = field(default_factory=dict, repr=False)

    def balls(self, k: int) -> tuple[Balls, Balls]:
        """The balls of x, and those of y."""
        if k not in self._balls:
            self._balls[k] = balls_of_both(self.x, self.y, k)
        return self._balls[k]


def can_leave_out(measure: Measure) -> bool:
    """Whether `changes_without` knows the measure."""
    return measure.function in _CHANGES


def fewest_to_leave_out(measure: Measure) -> tuple[int, int]:
    """How many samples x and y need at least, so that one can be left out."""
    if measure.function is authenticity.function:
        return 3, 2
    k = int(measure.options["nearest_k"])
    return k + 2, k + 2


def changes_without(measure: Measure, both: Neighbourhoods) -> Changes:
    """Value without a sample minus value with it, for every sample of x (n,) and of y (m,), float64.

    Exact: what leaving out each sample in turn would give, without doing so. O((n^2 + m^2 + n m) d) time for all
    measures of one number of neighbours together, as their values; O((n + m) (k + d)) memory and the pairs whose
    coming or going matters.
    """
    return _CHANGES[measure.function](measure, both)


def _precision(measure: Measure, both: Neighbourhoods) -> Changes:
    of_x, _ = both.balls(measure.options["nearest_k"])
    held = (of_x.around > 0).to(torch.float64)
    return (of_x.held_without - held.sum()) / len(held), _one_less(held)


def _recall(measure: Measure, both: Neighbourhoods) -> Changes:
    _, of_y = both.balls(measure.options["nearest_k"])
    held = (of_y.around > 0).to(torch.float64)
    return _one_less(held), (of_y.held_without - held.sum()) / len(held)


def _density(measure: Measure, both: Neighbourhoods) -> Changes:
    k = measure.options["nearest_k"]
    of_x, _ = both.balls(k)
    more = torch.zeros_like(of_x.inside)
    more.index_add_(0, of_x.near.reshape(-1), (of_x.grown - of_x.inside).repeat_interleave(k))
    return (more - of_x.inside) / (k * len(of_x.around)), _one_less(of_x.around / k)


def _coverage(measure: Measure, both: Neighbourhoods) -> Changes:
    k = measure.options["nearest_k"]
    of_x, _ = both.balls(k)
    n, held = len(of_x.inside), (of_x.inside > 0).to(torch.float64)
    gained = torch.zeros_like(held)
    gains = ((of_x.inside == 0) & (of_x.grown > 0)).to(torch.float64)
    gained.index_add_(0, of_x.near.reshape(-1), gains.repeat_interleave(k))
    without_x = (held.sum() - held + gained) / (n - 1) - held.mean()
    return without_x, -tally(of_x.alone[of_x.inside == 1], len(of_x.around)) / n


def _authenticity(measure: Measure, both: Neighbourhoods) -> Changes:
    x, y = both.x, both.y
    own, found = x.own(2), y.among(x, 2)
    first, second = found.index[:, 0], found.index[:, 1]
    new = (found.squared[:, 0] > own.squared[first, 0]).to(torch.float64)
    change = torch.zeros(len(x), dtype=torch.float64, device=new.device)
    # the nearest real sample is left out: the second takes its place, whose own nearest may be the one that went
    reach = torch.where(own.index[second, 0] == first, own.squared[second, 1], own.squared[second, 0])
    change.index_add_(0, first, (found.squared[:, 1] > reach).to(torch.float64) - new)
    # the nearest one's own nearest is left out
    wider = (found.squared[:, 0] > own.squared[first, 1]).to(torch.float64)
    change.index_add_(0, own.index[first, 0], wider - new)
    return change / len(new), _one_less(new)


def _one_less(terms: Tensor) -> Tensor:
    """What each term's going does to the mean of all."""
    return (terms.mean() - terms) / (len(terms) - 1)


_CHANGES: Mapping[Callable[..., Tensor], Callable[[Measure, Neighbourhoods], Changes]] = MappingProxyType(
    {
        precision.function: _precision,
        recall.function: _recall,
        density.function: _density,
        coverage.function: _coverage,
        authenticity.function: _authenticity,
    }
)
