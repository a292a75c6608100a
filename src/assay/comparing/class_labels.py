"""Which class is each sample of?"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from ..errors import DataError, UsageError
from .compared_sets import ComparedSet
from .opened_sets import Opened

WHOLE_NUMBER = re.compile(r"-?[0-9]+")
Labels = np.ndarray[Any, Any]
Classes = str | os.PathLike[str] | Mapping[str, Any]


def labels_for(opened: Opened, classes: Classes) -> Labels:
    """A class an item of what was given, before anything is computed.

    Args:
        opened: what was given.
        classes: "auto" (the source's own labels, else its sub-folders), "folders", the path of a CSV with the columns
            `name` and `label`, or labels by the set's name: numbers or strings, one an item.

    Raises:
        UsageError: features without labels of their own where none are given for them; classes of another kind.
        DataError: another number of labels than items.
    """
    if isinstance(classes, Mapping):
        if opened.name not in classes:
            raise UsageError(
                f"classes: no labels for {opened.name}; expected one sequence for each set by its name"
            )
        given = _as_texts(classes[opened.name])
    elif not isinstance(classes, (str, os.PathLike)):
        raise UsageError(
            f"classes: expected auto, folders, the path of a CSV, or labels by set, got {type(classes).__name__}"
        )
    elif opened.source is not None:
        from ..data import labels_of

        own = opened.source.labels is not None
        how = (None if own else "folders") if classes == "auto" else classes
        given = _as_texts(labels_of(opened.source, how))
    else:
        raise UsageError(
            f"classes: {opened.name} is features, which have no folders; give labels by set, "
            f"classes={{{opened.name!r}: [...], ...}}"
        )
    total, unit = opened.size()
    if len(given) != total:
        raise DataError(f"classes: {opened.name} has {total} {unit} and {len(given)} labels")
    return given


def labelled(one: ComparedSet, labels: Labels) -> ComparedSet:
    """The set with a class a row, of labels for all its items.

    Raises:
        DataError: nobody knows which items the rows are.
    """
    if one.positions is None:
        raise DataError(f"classes: images were left out of {one.name}, and it does not say which")
    return replace(one, labels=labels[one.positions.cpu().numpy()])


def classes_of(sets: Sequence[ComparedSet]) -> list[str]:
    """The classes that any set has, sorted; numbers by their value.

    Raises:
        DataError: no class of the real set, the first, is in any other.
    """
    known = [{str(label) for label in np.unique(one.labels)} for one in sets if one.labels is not None]
    found = sorted(set().union(*known))
    if known and not known[0] & set().union(*known[1:]):
        some = [", ".join(sorted(each)[:3]) for each in (known[0], set().union(*known[1:]))]
        raise DataError(f"classes: the sets have no class in common: {some[0]} ... against {some[1]} ...")
    return sorted(found, key=int) if all(WHOLE_NUMBER.fullmatch(label) for label in found) else found


def _as_texts(labels: Any) -> np.ndarray[Any, Any]:
    array = labels.cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if array.ndim != 1:
        raise DataError(f"classes: labels must have the shape (n,), not {array.shape}")
    return array.astype(str)
