"""A measure over batches that come one at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
from torch import Tensor

from .checks import as_counts, as_samples, sane
from .errors import DataError, UsageError
from .resample import half_of_counts
from .statistics.protocol import on_device

if TYPE_CHECKING:
    from .set_measure import Measure

R = TypeVar("R")


class Pile:
    """Batches merged as they come.

    A statistic that has reached its full size (moments) takes a batch in at once. One that grows (samples) is merged
    pairwise, equal sizes with each other, so that no sample is copied more than log n times.
    """

    def __init__(self) -> None:
        self._levels: list[tuple[int, Any]] = []

    def add(self, statistic: Any) -> None:
        level = 0
        while self._levels and (self._levels[-1][0] <= level or self._levels[-1][1].bounded):
            below, last = self._levels[-1]
            statistic, level = (
                last.merge(statistic),
                max(level, below) + 1,
            )  # may refuse; then nothing is lost
            self._levels.pop()
        self._levels.append((level, statistic))

    def total(self) -> Any:
        """The statistic of everything added, or None."""
        whole = None
        for _, part in reversed(self._levels):
            whole = part if whole is None else part.merge(whole)
        return whole


class Metric(Generic[R]):
    """A streaming measure. The samples of each side go at random into two halves, whose values give the bias.

    Made by `Measure.metric` or `Joint.metric`; `update` streams the generated side, `update_reference` the real one
    and `update_held_out` a third one, where they were not given whole.
    """

    def __init__(
        self,
        measures: Sequence[Measure],
        options: Mapping[str, Any],
        fixed: tuple[Any, Any],
        shape: Callable[[list[Tensor]], R],
    ) -> None:
        self._measures = [
            m.with_options(**{k: v for k, v in options.items() if k in m.options}) for m in measures
        ]
        self._shape = shape
        first = self._measures[0]
        self._statistic: Any = first.statistic
        self._sides = first.sides
        self._made = self._sides[:2][-1]  # the generated side
        self._exact: dict[str, Any] = {}
        for name, at, value in (("reference", 0, fixed[0]), ("held_out", 2, fixed[1])):
            if value is None:
                continue
            if at + 1 > len(self._sides) or self._sides[at] == self._made:
                how = "is a measure of one set" if len(self._sides) == 1 else "has no held-out side"
                raise UsageError(f"{name}: {first.name} {how} and takes none")
            if not isinstance(value, self._statistic):
                samples = as_samples(value, name)
                sane(samples, name, first.domain)
                value = first.statistic.of(samples.detach())  # type: ignore[attr-defined]
            self._exact[self._sides[at]] = value
        self.reset()

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What is measured, with its options."""
        return tuple(self._measures)

    def reset(self) -> None:
        """Forget every batch; a fixed reference stays."""
        self._piles = {side: (Pile(), Pile()) for side in self._sides}
        self._widths: dict[str, int] = {}
        self._generator = torch.Generator().manual_seed(0)

    def update(self, batch: Any, weights: Any = None) -> None:
        """Add a batch (n, d) of the generated side, with counts (n,) if not 1 each.

        Raises:
            DataError: NaN or infinity, with the rows; the batch is then left out whole.
        """
        self._add(self._made, batch, weights)

    def update_reference(self, batch: Any, weights: Any = None) -> None:
        """Add a batch (n, d) of the real side."""
        if len(self._sides) < 2:
            raise UsageError(f"update_reference: {self._measures[0].name} is a measure of one set")
        if self._sides[0] in self._exact:
            raise UsageError("update_reference: this metric was given a fixed reference")
        self._add(self._sides[0], batch, weights)

    def update_held_out(self, batch: Any, weights: Any = None) -> None:
        """Add a batch (n, d) of the held-out side."""
        if len(self._sides) < 3:
            raise UsageError(f"update_held_out: {self._measures[0].name} has no held-out side")
        if self._sides[2] in self._exact:
            raise UsageError("update_held_out: this metric was given a fixed held-out set")
        self._add(self._sides[2], batch, weights)

    def merge(self, other: Metric[R]) -> None:
        """Add everything another metric of the same measure has seen, as another worker's."""
        mine, theirs = ([(m.name, dict(m.options)) for m in metric._measures] for metric in (self, other))
        if mine != theirs:
            raise UsageError(
                f"merge: the two metrics are of different measures or options: {mine} and {theirs}"
            )
        for side, piles in other._piles.items():
            for pile, added in zip(self._piles[side], piles, strict=True):
                total = added.total()
                if total is not None:
                    pile.add(total)

    def compute(self) -> R:
        """The value over everything seen, float64.

        Raises:
            DataError: where a side has seen nothing yet.
        """
        return self._shape([m(*self._whole()) for m in self._measures])

    def corrected(self) -> R:
        """The value freed of its sample-size bias: ``2 T(n) - mean T(n/2)`` over the two halves of what was seen.

        A measure that is unbiased already, or that is not smooth, comes back as `compute` gives it.
        """
        whole = self._whole()
        halves = [
            [self._exact[side] if side in self._exact else self._half(side, h) for side in self._sides]
            for h in (0, 1)
        ]
        values = []
        for m in self._measures:
            value = m(*whole)
            if m.spread == "influences" and m.halves and not m.is_unbiased():
                value = 2 * value - 0.5 * (m(*halves[0]) + m(*halves[1]))
            values.append(value)
        return self._shape(values)

    def plot(self) -> Any:
        """A `matplotlib.figure.Figure`: the value as it is and freed of bias, a panel a measure.

        Raises:
            DataError: where a side has seen nothing yet, or too little to be halved.
            MissingExtra: matplotlib is not installed.
        """
        from .drawing import Panel, figure_of

        panels = []
        found: list[Any] = [self.compute(), self.corrected()]
        for m in self._measures:
            values = [float(value[m.name] if isinstance(value, dict) else value) for value in found]
            arrow = "\u2193" if m.best == "min" else "\u2191"
            panels.append(Panel(f"{m.name} {arrow}", ("as computed", "freed of bias"), values))
        return figure_of(panels)

    def _add(self, side: str, batch: Any, weights: Any) -> None:
        samples = as_samples(batch, side).detach()
        sane(samples, side, self._measures[0].domain)
        counts = (
            None
            if weights is None
            else as_counts(weights, len(samples), f"weights_{side}").to(samples.device)
        )
        width = self._widths.setdefault(side, samples.shape[1])
        if width != samples.shape[1]:
            raise UsageError(f"{side}: this batch has {samples.shape[1]} features, those before {width}")
        self._exact = {name: on_device(s, samples.device) for name, s in self._exact.items()}
        share = (torch.rand(len(samples), generator=self._generator) < 0.5).to(torch.float64)
        if counts is not None:
            halved = half_of_counts(counts, self._generator)
            share = share if halved is None else halved
        share = share.to(samples.device)
        for part, pile in zip((share, 1 - share), self._piles[side], strict=True):
            rows = (part > 0).nonzero()[:, 0]
            if len(rows):
                pile.add(
                    self._statistic.of(samples[rows], None if counts is None else counts[rows] * part[rows])
                )

    def _half(self, side: str, which: int) -> Any:
        total = self._piles[side][which].total()
        if total is None:
            raise DataError(f"{side}: too few samples seen for a bias correction")
        return total

    def _whole(self) -> list[Any]:
        statistics = []
        for side in self._sides:
            if side in self._exact:
                statistics.append(self._exact[side])
                continue
            parts = [total for total in (pile.total() for pile in self._piles[side]) if total is not None]
            if not parts:
                other = "update_reference" if side == self._sides[0] else "update_held_out"
                call = "update" if side == self._made else other
                raise DataError(f"{side}: nothing seen yet; call {call}(batch) first")
            statistics.append(parts[0] if len(parts) == 1 else parts[0].merge(parts[1]))
        return statistics
