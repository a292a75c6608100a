"""A measure, or a difference of measures, as a function of the weights of named sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .checks import sane
from .errors import UsageError
from .scale.precision import full_precision
from .statistics.moments import POPULATION

if TYPE_CHECKING:
    from .resample import Units
    from .set_measure import Measure


@dataclass(frozen=True)
class Sampled:
    """One side: samples with counts and cluster labels, or a statistic that is taken as exact."""

    samples: Tensor | None = None
    counts: Tensor | None = None
    clusters: Any = None
    exact: Any = None

    def ordinary(self) -> Sampled:
        """The same side of tensors that can take part in a gradient; those made in inference mode cannot."""
        exact = self.exact
        if exact is not None and any(t.is_inference() for t in exact.tensors().values()):
            exact = type(exact).from_tensors({name: t.clone() for name, t in exact.tensors().items()})
        samples, counts = (
            t.clone() if t is not None and t.is_inference() else t for t in (self.samples, self.counts)
        )
        return Sampled(samples, counts, self.clusters, exact)

    def filled(self) -> Tensor:
        """(n,) float64 counts."""
        assert self.samples is not None
        if self.counts is not None:
            return self.counts.detach()
        return torch.ones(len(self.samples), dtype=torch.float64, device=self.samples.device)

    def total(self) -> float:
        return float(self.exact.weight) if self.exact is not None else float(self.filled().sum())

    def known_total(self) -> float | None:
        """None where the statistic is a population's, or does not say of how many samples it is."""
        total = self.total()
        return None if self.exact is not None and total >= POPULATION else total

    @property
    def width(self) -> int:
        if self.exact is not None:
            return int(self.exact.width)
        assert self.samples is not None
        return self.samples.shape[1]


@dataclass(frozen=True)
class Term:
    """One summand of a contrast: a coefficient and the names of the sets the measure is taken of."""

    coefficient: float
    sets: tuple[str, ...]


Contrast = tuple[Term, ...]


@dataclass(frozen=True)
class Plan:
    """What is to be estimated: several measures of one statistic, over named sets, in several contrasts.

    A measure of certain sets is evaluated once, however many contrasts it is part of: values, biases and influences
    of a contrast are sums of its terms'. Where it is `traced`, how the samples moved each single value is kept.
    """

    measures: tuple[Measure, ...]
    sampled: Mapping[str, Sampled]
    contrasts: tuple[Contrast, ...]
    units: Units
    level: float
    traced: bool = False

    def traces(self, contrast: Contrast) -> bool:
        """Whether a trace of the contrast is wanted: of a value, not of a difference."""
        return self.traced and len(contrast) == 1

    @property
    def statistic(self) -> Any:
        return self.measures[0].statistic

    @property
    def evaluations(self) -> list[tuple[str, ...]]:
        """The sets that any term needs a measure of, each once."""
        return list(dict.fromkeys(term.sets for contrast in self.contrasts for term in contrast))


def total(contrast: Contrast, by_sets: Mapping[tuple[str, ...], float]) -> float:
    """The contrast of values that are known by their sets."""
    return sum(term.coefficient * by_sets[term.sets] for term in contrast)


def influences(measure: Measure, sampled: Mapping[str, Sampled], of: str) -> Tensor:
    """(n,) float64 influences of one side's samples; see `Measure.influence`."""
    with torch.inference_mode(False):
        return _influences(measure, {name: s.ordinary() for name, s in sampled.items()}, of)


def _influences(measure: Measure, sampled: Mapping[str, Sampled], of: str) -> Tensor:
    side = sampled[of]
    if side.samples is None:
        raise UsageError(f"{of}: the influence of its samples needs the samples, not a statistic")
    sane(side.samples, of, measure.domain)
    counts = {of: side.filled().requires_grad_()}
    statistic: Any = measure.statistic
    with torch.enable_grad():
        statistics = {
            name: s.exact if s.exact is not None else statistic.of(s.samples, counts.get(name, s.counts))
            for name, s in sampled.items()
        }
        value = value_of(measure, statistics, tuple(sampled))
        slope = slopes(value, counts)[of]
    if slope is None:
        raise UsageError(
            f"{measure.name} does not vary smoothly with the weights of {of}: its value only jumps when a sample "
            f"comes or goes; ask for the influence of another side, or use estimate for the spread"
        )
    return centred(slope, counts[of].detach())


def value_of(measure: Measure, statistics: Mapping[str, Any], sets: Sequence[str]) -> Tensor:
    """The measure of the named sets, float64, from their statistics."""
    two = [statistics[name] for name in sets]
    with full_precision(two[0].weight.device):
        return measure.function(*two, **measure.options).to(torch.float64)


def slopes(value: Tensor, counts: Mapping[str, Tensor]) -> dict[str, Tensor | None]:
    """Derivatives of the value by each set's counts; None where it does not depend on them smoothly."""
    if not value.requires_grad:
        return dict.fromkeys(counts)
    grads = torch.autograd.grad(value, list(counts.values()), retain_graph=True, allow_unused=True)
    return dict(zip(counts, grads, strict=True))


def centred(slope: Tensor, counts: Tensor) -> Tensor:
    """Influences from derivatives: they sum to zero under the counts."""
    weight = counts.sum()
    return weight * slope - (counts * slope).sum()


def part_of(statistic: Any, side: Sampled, counts: Tensor, share: Tensor) -> Any:
    """The statistic of a share (n,) of each row's counts; rows with none of it are left out."""
    rows = (share > 0).nonzero()[:, 0]
    assert side.samples is not None
    return statistic.of(side.samples[rows], counts[rows] * share[rows])


def in_two(statistic: Any, side: Sampled, counts: Tensor, share: Tensor) -> tuple[Any, Any]:
    """The statistics of the two halves; a row whose counts are split goes into both."""
    return part_of(statistic, side, counts, share), part_of(statistic, side, counts, 1 - share)


def split_all(
    statistic: Any, sampled: Mapping[str, Sampled], shares: Mapping[str, Tensor]
) -> dict[str, tuple[Any, Any]]:
    """The two halves of every set; a set that is exact is both of its halves."""
    return {
        name: (s.exact, s.exact) if s.exact is not None else in_two(statistic, s, s.filled(), shares[name])
        for name, s in sampled.items()
    }
