"""Which class is each sample of?"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from ..errors import DataError, UsageError
from .compared_sets import ComparedSet
from .opened_sets import Opened

Classes = str | os.PathLike[str] | Mapping[str, Any]


def labelled(one: ComparedSet, opened: Opened, classes: Classes) -> ComparedSet:
    """The set with a class a row.

    Args:
        one: the set as numbers.
        opened: what it was made from.
        classes: "auto" (the source's own labels, else its sub-folders), "folders", the path of a CSV with the columns
            `name` and `label`, or labels by the set's name: numbers or strings, one an item.

    Raises:
        UsageError: features without labels of their own where none are given for them.
        DataError: another number of labels than items.
    """
    if isinstance(classes, Mapping):
        if one.name not in classes:
            raise UsageError(
                f"classes: no labels for {one.name}; expected one sequence for each set by its name"
            )
        given = _as_texts(classes[one.name])
    elif opened.source is not None:
        from ..data import labels_of

        own = opened.source.labels is not None
        how = (None if own else "folders") if classes == "auto" else classes
        given = _as_texts(labels_of(opened.source, how))
    else:
        raise UsageError(
            f"classes: {one.name} is features, which have no folders; give labels by set, "
            f"classes={{{one.name!r}: [...], ...}}"
        )
    if one.positions is None or len(given) != one.total:
        raise DataError(f"classes: {one.name} has {one.total} {one.unit} and {len(given)} labels")
    return replace(one, labels=given[one.positions.cpu().numpy()])


def classes_of(sets: Sequence[ComparedSet]) -> list[str]:
    """The classes that any set has, sorted; numbers by their value."""
    found = sorted({str(label) for one in sets if one.labels is not None for label in np.unique(one.labels)})
    return sorted(found, key=int) if all(label.lstrip("-").isdigit() for label in found) else found


def _as_texts(labels: Any) -> np.ndarray[Any, Any]:
    array = labels.cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if array.ndim != 1:
        raise DataError(f"classes: labels must have the shape (n,), not {array.shape}")
    return array.astype(str)
