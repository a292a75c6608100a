"""A measure class by class."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .arguments import expect_sets
from .checks import as_samples
from .errors import DataError, UsageError
from .set_measure import Measure


def per_class(measure: Measure, *sets: Any, labels: Any, **options: Any) -> dict[Any, Tensor]:
    """The measure's value for each class on its own.

    Args:
        measure: of one set or two.
        sets: features (n, d) a side.
        labels: (n,) labels of one set, or a sequence of them, one a side; numbers or strings.
        options: the measure's options.

    Returns:
        class label -> scalar, in the order of the sorted labels.

    Raises:
        UsageError: label counts that do not match the samples.
        DataError: a class that one side has and another lacks.

    ::

        per_class(vendi_score, features, labels=labels)
        per_class(frechet_distance, real, made, labels=(real_labels, made_labels))
    """
    samples = [as_samples(s, side) for s, side in zip(sets, measure.sides, strict=False)]
    expect_sets(measure, sets)
    given = (
        [labels] if len(sets) == 1 and not (isinstance(labels, tuple) and len(labels) == 1) else list(labels)
    )
    if len(given) != len(sets):
        raise UsageError(f"labels: expected one sequence a side ({len(sets)}), got {len(given)}")
    named = [v.cpu().numpy() if isinstance(v, Tensor) else np.asarray(v) for v in given]
    for side, s, v in zip(measure.sides, samples, named, strict=True):
        if v.shape != (len(s),):
            raise UsageError(f"labels of {side}: expected shape ({len(s)},), got {v.shape}")
    classes = [set(v.tolist()) for v in named]
    everywhere = set.union(*classes)
    for side, own in zip(measure.sides, classes, strict=True):
        lacking = sorted(everywhere - own, key=str)
        if lacking:
            raise DataError(f"{side} has no samples of class {lacking[0]!r}, another side has")
    out: dict[Any, Tensor] = {}
    for label in sorted(everywhere):
        rows = [torch.from_numpy(np.flatnonzero(v == label)) for v in named]
        out[label] = measure(*(s[r.to(s.device)] for s, r in zip(samples, rows, strict=True)), **options)
    return out
