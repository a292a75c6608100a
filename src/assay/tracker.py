"""At which step was a streaming measure best?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from .drawing import Panel, figure_of
from .errors import DataError, UsageError
from .pair_metric import PairMetric
from .pairs import PairMeasure
from .set_measure import Measure
from .stream import Metric

R = TypeVar("R")


class Best(NamedTuple):
    """The step of the best value, and the value."""

    step: int
    value: float


class Tracker(Generic[R]):
    """The values of a streaming metric over training, and the best of them.

    ::

        tracker = Tracker(assay.frechet_distance.metric(reference=real))
        for epoch in range(10):
            for batch in made_by(model):
                tracker.update(batch)
            tracker.compute(epoch)
            tracker.reset()
        tracker.best()           # Best(step=7, value=3.21), lowest or highest as the measure has it

    Memory is a number a step and measure. `state_dict` and `load_state_dict` carry it over a restart.
    """

    def __init__(self, metric: Metric[R] | PairMetric, *, corrected: bool = False) -> None:
        """Args: metric: of one measure, of sets or of pairs, or a joint; corrected: keep `metric.corrected()` in place
        of its `compute()`.

        The metric's best direction is its measure's; corrected values are the ones to compare where the number of
        samples is not the same at every step. A mean over pairs has no bias to correct.

        Raises:
            UsageError: `corrected` of a measure of pairs.
        """
        if corrected and isinstance(metric, PairMetric):
            raise UsageError(
                f"corrected: {metric.measure.name} is a mean over pairs, which has no bias to correct: leave it out"
            )
        self.metric = metric
        self._corrected = corrected
        self._steps: list[int] = []
        self._values: dict[str, list[float]] = {m.name: [] for m in metric.measures}

    def update(self, *batch: Any, weights: Any = None) -> None:
        """Add a batch as the metric's own `update` does: (n, d) of the generated side, or the members of pairs."""
        add: Any = self.metric.update
        if weights is None:
            add(*batch)
        else:
            add(*batch, weights=weights)

    def reset(self) -> None:
        """Forget the batches, as the metric's own `reset` does; what was computed stays."""
        self.metric.reset()

    def compute(self, step: int | None = None) -> R:
        """The value over everything the metric has seen, kept under a step.

        Args:
            step: a whole number above the last one; by default the one after it, from 0.

        Raises:
            UsageError: a step that is not above the last one; nothing is kept.
            DataError: the metric has seen nothing yet; nothing is kept.
        """
        last = self._steps[-1] if self._steps else -1
        at = last + 1 if step is None else step
        if isinstance(at, bool) or not isinstance(at, int) or (self._steps and at <= last):
            raise UsageError(f"step: expected a whole number above {last}, the last step, got {at!r}")
        found: Any = self.metric.corrected() if self._corrected else self.metric.compute()  # type: ignore[union-attr]
        named: Mapping[str, Any] = found if isinstance(found, dict) else {self.metric.measures[0].name: found}
        self._steps.append(at)
        for name, values in self._values.items():
            values.append(float(named[name]))
        return found  # type: ignore[no-any-return]

    @property
    def steps(self) -> tuple[int, ...]:
        """The steps, ascending."""
        return tuple(self._steps)

    @property
    def values(self) -> dict[str, tuple[float, ...]]:
        """The values by the measure's full name, one a step."""
        return {name: tuple(values) for name, values in self._values.items()}

    def best(self, measure: str | None = None) -> Best:
        """The first step of the best value: the lowest or the highest, as the measure has it; NaN is never best.

        Args:
            measure: the full name; needed where there are several.

        Raises:
            UsageError: nothing computed yet, several measures and no name, or a name that is none of them.
            DataError: every value is NaN.
        """
        of = self._measure(measure)
        if not self._steps:
            raise UsageError("best: nothing computed yet; call compute() after each epoch")
        known = [
            (value, step)
            for value, step in zip(self._values[of.name], self._steps, strict=True)
            if not math.isnan(value)
        ]
        if not known:
            raise DataError(f"best: {of.name} is NaN at all {len(self._steps)} steps")
        sign = 1.0 if of.best == "min" else -1.0
        value, step = min(known, key=lambda each: (sign * each[0], each[1]))
        return Best(step, value)

    def plot(self) -> Any:
        """A `matplotlib.figure.Figure` with a panel a measure over the steps, the best one marked by a line.

        Raises:
            UsageError: nothing computed yet.
            MissingExtra: matplotlib is not installed.
        """
        if not self._steps:
            raise UsageError("plot: nothing computed yet; call compute() after each epoch")
        panels = []
        for measure in self.metric.measures:
            values = self._values[measure.name]
            levels = {}
            if not all(math.isnan(value) for value in values):
                best = self.best(measure.name)
                levels = {f"best, at {best.step}": best.value}
            panels.append(Panel(directed(measure), self._steps, values, levels=levels))
        return figure_of(panels, "step")

    def state_dict(self) -> dict[str, Tensor]:
        """Steps (int64) and values (float64) as tensors, for `torch.save`; the metric's batches are not in it."""
        values = {
            f"values.{name}": torch.tensor(values, dtype=torch.float64)
            for name, values in self._values.items()
        }
        return {"steps": torch.tensor(self._steps, dtype=torch.int64), **values}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state_dict` gave.

        Raises:
            UsageError: of other measures, or of as many values as there are not steps.
        """
        expected = {"steps", *(f"values.{name}" for name in self._values)}
        if set(state) != expected:
            raise UsageError(
                f"state: expected {', '.join(sorted(expected))}, got {', '.join(sorted(state)) or 'nothing'}"
            )
        steps = [int(step) for step in state["steps"].tolist()]
        values = {name: [float(v) for v in state[f"values.{name}"].tolist()] for name in self._values}
        for name, own in values.items():
            if len(own) != len(steps):
                raise UsageError(f"state: {len(steps)} steps and {len(own)} values of {name}")
        self._steps, self._values = steps, values

    def _measure(self, name: str | None) -> Measure | PairMeasure:
        measures: dict[str, Measure | PairMeasure] = {m.name: m for m in self.metric.measures}
        if name is None and len(measures) == 1:
            return self.metric.measures[0]
        if name not in measures:
            got = "none" if name is None else repr(name)
            raise UsageError(f"measure: expected one of {', '.join(measures)}, got {got}")
        return measures[name]


def directed(measure: Measure | PairMeasure) -> str:
    """`frechet_distance`, with an arrow that points to what is better."""
    return f"{measure.name} {'↓' if measure.best == 'min' else '↑'}"
