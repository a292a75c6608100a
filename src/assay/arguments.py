"""How a measure's arguments become statistics: features or statistics, counts, clusters, options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .checks import as_counts, as_samples
from .contrast import Sampled
from .declaration import refuse_unknown
from .errors import UsageError

if TYPE_CHECKING:
    from .set_measure import Measure


def sort_keywords(measure: Measure, keywords: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Weights by side and options by name; an unknown keyword is refused."""
    named = {f"weights_{side}": side for side in measure.sides}
    weights = {named[k]: v for k, v in keywords.items() if k in named and v is not None}
    options = {k: v for k, v in keywords.items() if k not in named}
    known(measure, options)
    return weights, options


def known(measure: Measure, options: Mapping[str, Any]) -> None:
    """Refuse an option the measure does not have."""
    refuse_unknown(measure.name, measure.options, options)


def expect_sets(measure: Measure, sets: Sequence[Any]) -> None:
    """Refuse a wrong number of sets."""
    if len(sets) != len(measure.sides):
        raise UsageError(
            f"{measure.name}: expected {len(measure.sides)} set{'s' if len(measure.sides) > 1 else ''} "
            f"({', '.join(measure.sides)}), got {len(sets)}"
        )


def statistics_of(
    measure: Measure, sets: Sequence[Any], weights: Mapping[str, Any]
) -> tuple[list[Any], torch.dtype | None]:
    """Each side's statistic, and the precision the value is given in; None from statistics alone."""
    expect_sets(measure, sets)
    statistics: list[Any] = []
    dtype: torch.dtype | None = None
    for side, value in zip(measure.sides, sets, strict=True):
        if isinstance(value, measure.statistic):
            if side in weights:
                raise UsageError(
                    f"weights_{side}: the side {side} is a statistic, which holds its weights already"
                )
            statistics.append(value)
            continue
        samples, counts = samples_of(measure, side, value, weights.get(side))
        narrow = torch.float64 if samples.dtype == torch.float64 else torch.float32
        dtype = narrow if dtype is None else torch.promote_types(dtype, narrow)
        statistics.append(measure.statistic.of(samples, counts))  # type: ignore[attr-defined]
    same_width(measure.sides, statistics)
    return statistics, dtype


def reference_of(measure: Measure, value: Any, name: str = "reference") -> Any:
    """The statistic of a fixed side."""
    if isinstance(value, measure.statistic):
        return value
    samples, _ = samples_of(measure, name, value, None)
    return measure.statistic.of(samples.detach())  # type: ignore[attr-defined]


def samples_of(measure: Measure, side: str, value: Any, weights: Any) -> tuple[Tensor, Tensor | None]:
    """One side's features and counts, shapes checked."""
    if hasattr(value, "merge") and hasattr(value, "tensors"):
        raise UsageError(
            f"{side}: {measure.name} needs the statistic {measure.statistic.__name__}, got {type(value).__name__}"
        )
    samples = as_samples(value, side)
    if weights is None:
        return samples, None
    return samples, as_counts(weights, len(samples), f"weights_{side}").to(samples.device)


def sampled_of(
    measure: Measure, sets: Sequence[Any], weights: Mapping[str, Any], groups: Mapping[str, Any]
) -> dict[str, Sampled]:
    """The sides for `estimate`: samples with counts and clusters, or a statistic taken as exact."""
    expect_sets(measure, sets)
    sampled: dict[str, Sampled] = {}
    for side, value in zip(measure.sides, sets, strict=True):
        if isinstance(value, measure.statistic):
            if side in weights or side in groups:
                raise UsageError(
                    f"weights_{side}, clusters_{side}: the side {side} is a statistic, not samples"
                )
            sampled[side] = Sampled(exact=value)
            continue
        samples, counts = samples_of(measure, side, value, weights.get(side))
        sampled[side] = Sampled(samples.detach(), counts, groups.get(side))
    same_width(measure.sides, [s.exact if s.exact is not None else s.samples for s in sampled.values()])
    return sampled


def take_groups(keywords: Mapping[str, Any], sides: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Cluster labels by side, and the other keywords."""
    named = {f"clusters_{side}": side for side in sides}
    groups = {named[k]: v for k, v in keywords.items() if k in named and v is not None}
    return groups, {k: v for k, v in keywords.items() if k not in named}


def same_width(sides: Sequence[str], statistics: Sequence[Any]) -> None:
    """Refuse sides of different feature spaces."""
    widths = [s.shape[1] if isinstance(s, Tensor) else s.width for s in statistics]
    devices = [s.device if isinstance(s, Tensor) else s.weight.device for s in statistics]
    if len(set(devices)) > 1:
        shown = ", ".join(f"{side} is on {device}" for side, device in zip(sides, devices, strict=True))
        raise UsageError(f"the sides are on different devices: {shown}; move one with .to(device)")
    if len(set(widths)) > 1:
        shown = ", ".join(f"{side} has {width}" for side, width in zip(sides, widths, strict=True))
        raise UsageError(f"the sides differ in their number of features: {shown}; use one extractor for all")
