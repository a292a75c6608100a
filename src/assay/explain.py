"""Which samples make one measure of one generated set what it is?"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from .comparing.before_measuring import refuse_unmeasurable
from .comparing.explained_sets import explained
from .comparing.group_names import Groups, group_names, rows_by_candidate
from .comparing.opened_sets import Opened, features_of, open_set
from .comparing.set_names import name_of
from .comparing.set_up import SetUp
from .comparing.study import Progress, Study
from .devices import chosen_device, measured_on
from .errors import UsageError
from .explanation import Explanation
from .measure_by_name import measures_by_name
from .scale.ranks import left_to_first
from .set_measure import Measure

if TYPE_CHECKING:
    from .features.extractor import Crop


def explain(
    real: Any,
    generated: Any,
    measure: str | Measure,
    *,
    groups: Groups | Sequence[Any] | None = None,
    held_out: Any = None,
    features: str | None = None,
    crop: Crop | None = None,
    size: int | None = None,
    resize: str | None = None,
    weights: str | os.PathLike[str] | None = None,
    batch_size: int = 64,
    workers: int | None = None,
    skip_bad: bool = False,
    cache: bool = True,
    seed: int = 0,
    device: torch.device | str | None = None,
    progress: Progress | None = None,
) -> Explanation:
    r"""Say what every sample, and every group of them, does to a measure, and which generated samples look copied.

    ::

        why = assay.explain("real/", "step-20k/", "fd", groups="folders")
        worst = why.badness().argsort()[::-1][:20]        # rows of the generated set
        why.groups, why.floor, why.nearest.copied

    **Samples.** The influence of sample i of a side of W samples is $W \, \partial T / \partial w_i$, centred. Leaving
    it out changes the value T by about -influence / (W - 1). Of precision, recall, density, coverage and authenticity,
    which only jump, it is exactly -(W - 1) times the change of leaving the sample out. `method` says which it is, and
    why a side has none.

    **Groups.** Their Shapley shares in v(S), the measure between real samples and the generated ones in which every
    group outside S is replaced by as many other real samples. With S empty it is the distance between two independent
    real sets: the floor. The shares and the floor sum to v of all groups, which is the value against the real samples
    that replace nothing. See `assay.explaining.pieces` for how the samples are divided, and `assay.explaining.shapley`.
    Measures of one or three sets have no shares.

    **Copies.** The nearest real sample of each generated one, flagged where it is closer than real ones are to each
    other; see `assay.explaining.copies` for the rule and its rate of false alarms.

    Args:
        real, generated: as `assay.compare` takes them.
        measure: one measure, or its name.
        groups: "folders", a CSV with the columns `name` and `group`, "kmeans" or "kmeans:K" (clusters of the generated
            features), or one group an item.
        held_out: real samples that replace groups, and the third set of measures that have one. Without it, at most
            half of the real set replaces groups and the rest is the real side of the shares.
        features, crop, size, resize, weights: how images become features; see `assay.compare`.
        batch_size, workers, skip_bad, cache: of the pass over images.
        seed: of the division of the real samples.
        device, progress: as in `assay.compare`.

    Raises:
        UsageError: a joint of several measures, several generated sets, wrong groups.
        DataError: data that cannot be measured; groups without names, or more than 64 of them.
    """
    if isinstance(generated, (list, tuple, dict)):
        raise UsageError(
            "generated: explain takes one set; assay.compare(..., explain=True) takes several and explains each"
        )
    if not 0 <= seed < 2**63:
        raise UsageError(f"seed: expected a whole number from 0 to 2^63 - 1, got {seed}")
    wanted = measures_by_name(measure)
    if len(wanted) > 1:
        names = ", ".join(m.name for m in wanted)
        raise UsageError(f"measure: explain takes one measure, and {measure!r} is several: {names}")
    where = chosen_device(device)
    opened = _opened(real, generated, held_out)
    by_name = _by_name(groups, opened[1].name)
    named = None if by_name is None else group_names(by_name, opened[1:2])
    set_up = SetUp.of(features, None, crop=crop, size=size, resize=resize, weights=weights)
    extractor = set_up.extractor(opened, where)
    where = measured_on(where)
    how = {"batch_size": batch_size, "workers": workers, "skip_bad": skip_bad, "cache": cache}
    space, _, sets = features_of(opened, extractor, set_up.features, progress=progress, **how)
    left_to_first()
    third = sets.pop() if held_out is not None else None
    refuse_unmeasurable(sets, third, wanted, floor=False)
    rows = rows_by_candidate(by_name, named, sets[0], sets[1:], third, wanted)
    labels = Study(wanted, space, 0.95, False, seed, where, None).labels
    return explained(
        [(m, labels[id(m)]) for m in wanted],
        sets[0],
        sets[1:],
        third,
        rows,
        seed=seed,
        where=where,
        progress=progress,
    )[0]


def _opened(real: Any, generated: Any, held_out: Any) -> list[Opened]:
    names = [name_of(real, "real"), name_of(generated, "generated")]
    if names[0] == names[1]:
        names[0] = f"{names[0]} (real)"
    opened = [open_set(real, names[0], "real"), open_set(generated, names[1], "generated")]
    if held_out is not None:
        opened.append(open_set(held_out, "held-out", "held_out"))
    return opened


def _by_name(groups: Groups | Sequence[Any] | None, name: str) -> Groups | None:
    if groups is None or isinstance(groups, (str, os.PathLike, Mapping)):
        return groups
    return {name: groups}
