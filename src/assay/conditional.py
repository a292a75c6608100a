"""How far apart are two sets, class by class? One number: a measure's weighted mean over the classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from .errors import UsageError
from .per_class import per_class

if TYPE_CHECKING:
    from .set_measure import Measure


def conditional_distance(
    measure: Measure,
    x: Any,
    y: Any,
    *,
    labels: tuple[Any, Any],
    weights: Mapping[Any, float] | None = None,
    **options: Any,
) -> Tensor:
    r"""The weighted mean of a measure's values class by class.

    $$ D = \sum_u w_u \, D\big(P(x \mid u), P(y \mid u)\big), \qquad \sum_u w_u = 1 $$

    Args:
        measure: any measure of two sets.
        x: real side, (n, d) features.
        y: generated side, (m, d) features.
        labels: ((n,), (m,)) each side's labels, numbers or strings.
        weights: class -> weight, above zero, for every class; by default its share of the real side. They are
            divided by their sum.
        options: the measure's options.

    Returns:
        A scalar, differentiable where the measure is.

    Raises:
        UsageError: labels that do not match the samples, a class without weight.
        DataError: a class that one side has and the other lacks.

    Unlike the distance of the whole sets it sees samples that carry another class's label. Every class is a smaller
    set, so a biased measure's bias is larger than that of the whole sets: with equal numbers a class on both sides it
    is at least the same for every candidate; unbiased ones (`kernel_distance`) have none.

    Source: Shrestha and Fu 2024, arXiv:2401.09671, who match domains under auxiliary groups in this way.
    """
    if len(measure.sides) != 2:
        raise UsageError(
            f"conditional_distance: {measure.name} takes {len(measure.sides)} sets, expected two"
        )
    values = per_class(measure, x, y, labels=labels, **options)
    share = shares(_counted(labels[0]) if weights is None else weights, list(values))
    total: Tensor | None = None
    for label, value in values.items():
        part = share[label] * value
        total = part if total is None else total + part
    assert total is not None
    return total


def shares(weights: Mapping[Any, float], classes: list[Any]) -> dict[Any, float]:
    """The weights of the classes, which sum to 1."""
    for label in classes:
        if label not in weights:
            raise UsageError(f"weights: no weight for class {label!r}")
        try:
            fine = 0 < float(weights[label]) < float("inf")
        except (TypeError, ValueError):
            fine = False
        if not fine:
            raise UsageError(
                f"weights: the weight of class {label!r} must be above zero, got {weights[label]!r}"
            )
    total = sum(float(weights[label]) for label in classes)
    return {label: float(weights[label]) / total for label in classes}


def _counted(labels: Any) -> dict[Any, float]:
    named = labels.cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    found, counts = np.unique(named, return_counts=True)
    return dict(zip(found.tolist(), counts.astype(float).tolist(), strict=True))
