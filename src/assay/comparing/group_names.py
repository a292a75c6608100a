"""Which group is each generated sample of?"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import DataError, UsageError
from ..measure_by_name import fewest_samples
from ..set_measure import Measure
from .compared_sets import ComparedSet
from .opened_sets import Opened

Groups = str | os.PathLike[str] | Mapping[str, Any]
CLUSTERS = "kmeans"
USUAL_CLUSTERS = 6  # 64 coalitions


def clusters_asked(groups: Groups) -> int | None:
    """The K of "kmeans:K", the usual number of "kmeans", None where groups are something else.

    Raises:
        UsageError: a K that is no whole number of at least 2.
    """
    if not isinstance(groups, str) or groups.partition(":")[0] != CLUSTERS:
        return None
    if groups == CLUSTERS:
        return USUAL_CLUSTERS
    text = groups.partition(":")[2]
    if not text.isdecimal() or int(text) < 2:
        raise UsageError(
            f"groups: expected kmeans:K with K of at least 2, for example kmeans:8, got {groups!r}"
        )
    return int(text)


def group_names(groups: Groups, candidates: Sequence[Opened]) -> dict[str, np.ndarray[Any, Any]] | None:
    """A group's name for each item of each candidate, read before any image is decoded; None for clusters.

    Args:
        groups: "folders", the path of a CSV with the columns `name` and `group`, "kmeans" or "kmeans:K", or by the
            candidate's name one group an item.
        candidates: what was given.

    Raises:
        UsageError: features, which have no folders or names; a mapping without one of the candidates.
        DataError: items without a group.
    """
    if clusters_asked(groups) is not None:
        return None
    found = {}
    for one in candidates:
        if isinstance(groups, Mapping):
            if one.name not in groups:
                raise UsageError(
                    f"groups: none for {one.name}; expected one sequence for each candidate by its name"
                )
            found[one.name] = _as_texts(groups[one.name], one.name)
        elif one.source is not None:
            from ..data import labels_of

            found[one.name] = np.asarray(list(labels_of(one.source, groups)), dtype=str)
        else:
            raise UsageError(
                f"groups: {one.name} is features, which have no folders or names; give groups={{{one.name!r}: [...]}} "
                "with one group a sample, or kmeans"
            )
    return found


def rows_by_candidate(
    groups: Groups | None,
    names: Mapping[str, np.ndarray[Any, Any]] | None,
    target: ComparedSet,
    made: Sequence[ComparedSet],
    held_out: ComparedSet | None,
    measures: Sequence[Measure],
) -> dict[str, dict[str, Tensor]]:
    """Candidate -> group -> rows (k,), groups in the order of their names, clusters the largest first.

    Args:
        groups: as `group_names` takes them; without any nothing is found.
        names: what `group_names` found.
        target: the real set.
        made: the candidates.
        held_out: the held-out real set, where there is one.
        measures: that the groups have shares in.

    Raises:
        DataError: statistics in place of samples; another number of names than items; more than 64 groups; fewer
            different samples than clusters; fewer real samples to replace groups by than groups, or than the measures
            need.
    """
    if groups is None:
        return {}
    from ..explaining import refuse_few, refuse_many, stand_ins

    for one in (target, *made):
        if one.features is None:
            raise DataError(
                f"groups: {one.name} is statistics, and shares need its samples: give the images or features"
            )
    found = {one.name: _rows(one, groups, names) for one in made}
    pool = stand_ins(len(target), None if held_out is None or held_out.features is None else len(held_out))
    two = [m for m in measures if len(m.sides) == 2 and m.domain == "features"]
    for rows in found.values():
        refuse_many(len(rows))
        if two:
            refuse_few(len(rows), pool, max(fewest_samples(m) // 2 for m in two))
    return found


def _rows(
    one: ComparedSet, groups: Groups, names: Mapping[str, np.ndarray[Any, Any]] | None
) -> dict[str, Tensor]:
    if names is None:
        from ..explaining import clusters

        assert one.features is not None
        k = clusters_asked(groups)
        assert k is not None
        try:
            return clusters(one.features, k)
        except UsageError:
            raise DataError(
                f"groups: {one.name} has fewer than {k} different samples for its clusters"
            ) from None
    own = names[one.name]
    if one.positions is None or len(own) != one.total:
        raise DataError(f"groups: {one.name} has {one.total} {one.unit} and {len(own)} groups")
    own = own[one.positions.cpu().numpy()]
    return {str(name): torch.from_numpy(np.flatnonzero(own == name)) for name in np.unique(own)}


def _as_texts(given: Any, name: str) -> np.ndarray[Any, Any]:
    try:
        array = given.cpu().numpy() if isinstance(given, Tensor) else np.asarray(given)
    except ValueError:  # rows of several lengths
        raise DataError(
            f"groups: expected one group a sample of {name}, and some entries are sequences"
        ) from None
    if array.ndim != 1:
        raise DataError(f"groups: expected one group a sample of {name}, shape (n,), not {array.shape}")
    return array.astype(str)
