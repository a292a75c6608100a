"""Several measures over one statistic, so that what they share is computed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from .arguments import sampled_of, statistics_of, take_groups
from .checks import nearest_name
from .errors import UsageError
from .estimate import Estimate, estimate_all
from .scale.precision import full_precision
from .set_measure import Measure
from .stream import Metric


def joint(*measures: Measure, name: str | None = None) -> Joint:
    """Several measures as one callable: ``prdc = joint(precision, recall, density, coverage)``.

    Args:
        measures: of one statistic and the same sides.
        name: how the joint is called; by default the measures' names.

    Raises:
        UsageError: no measures, or measures of different statistics or sides.
    """
    if not measures:
        raise UsageError("joint: needs at least one measure")
    first = measures[0]
    for other in measures[1:]:
        if other.statistic is not first.statistic or other.sides != first.sides:
            raise UsageError(
                f"joint: {first.name} is a function of {first.statistic.__name__}({', '.join(first.sides)}) and "
                f"{other.name} of {other.statistic.__name__}({', '.join(other.sides)}); only like can be joined"
            )
    return Joint(name or "+".join(m.name for m in measures), tuple(measures))


@dataclass(frozen=True, eq=False)
class Joint:
    """Several measures of one statistic; every answer is a dictionary by the measures' names."""

    name: str
    measures: tuple[Measure, ...]

    def __call__(self, *sets: Any, **keywords: Any) -> dict[str, Tensor]:
        """The values by name; arguments as for one measure, an option going to those that have it."""
        first = self.measures[0]
        weights, options = self._sort(keywords)
        statistics, dtype = statistics_of(first, sets, weights)
        values = {}
        for m in self._bound(options):
            with full_precision(statistics[0].weight.device):
                value = m.function(*statistics, **m.options)
            values[m.name] = value if dtype is None else value.to(dtype)
        return values

    def with_options(self, **options: Any) -> Joint:
        """The same joint with other defaults."""
        self._sort(options)
        return Joint(self.name, tuple(self._bound(options)))

    def estimate(
        self,
        *sets: Any,
        level: float = 0.95,
        paired: bool = False,
        splits: int = 1,
        half_samples: int = 50,
        generator: torch.Generator | None = None,
        **keywords: Any,
    ) -> dict[str, Estimate]:
        """Estimates by name, over the same halves; arguments as for one measure."""
        groups, rest = take_groups(keywords, self.measures[0].sides)
        weights, options = self._sort(rest)
        bound = self._bound(options)
        found = estimate_all(
            bound,
            sampled_of(self.measures[0], sets, weights, groups),
            level=level,
            paired=self.measures[0].sides[:2] if paired else (),
            splits=splits,
            half_samples=half_samples,
            generator=generator,
        )
        return {m.name: estimates[0] for m, estimates in zip(bound, found, strict=True)}

    def metric(
        self, *, reference: Any = None, held_out: Any = None, **options: Any
    ) -> Metric[dict[str, Tensor]]:
        """An accumulator whose `compute()` gives the values by name."""
        self._sort(options)
        names = [m.name for m in self.measures]
        return Metric(self.measures, options, (reference, held_out), partial(_by_name, names))

    def _bound(self, options: Mapping[str, Any]) -> list[Measure]:
        return [m.with_options(**{k: v for k, v in options.items() if k in m.options}) for m in self.measures]

    def _sort(self, keywords: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        named = {f"weights_{side}": side for side in self.measures[0].sides}
        weights = {named[k]: v for k, v in keywords.items() if k in named and v is not None}
        options = {k: v for k, v in keywords.items() if k not in named}
        known = {option for m in self.measures for option in m.options}
        for option in options:
            if option not in known:
                raise UsageError(f"{self.name}: unknown option {option!r}{nearest_name(option, known)}")
        return weights, options


def _by_name(names: Sequence[str], values: Sequence[Tensor]) -> dict[str, Tensor]:
    return dict(zip(names, values, strict=True))
