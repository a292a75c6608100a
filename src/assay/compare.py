"""Which of these sets is closest to the real one, and is that beyond doubt?"""

from __future__ import annotations

import os
import platform
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .comparing.before_measuring import refuse_unmeasurable, refuse_unpaired
from .comparing.class_labels import Classes, classes_of, labelled, labels_for
from .comparing.compared_reference import only_served, refuse_width, refuse_without_samples
from .comparing.compared_sets import ComparedSet, in_pairs
from .comparing.comparison_notes import copying_notes, number_notes, protocol_notes, set_notes
from .comparing.descriptions import descriptions
from .comparing.explained_sets import copy_notes, explained
from .comparing.group_names import Groups, group_names, rows_by_candidate
from .comparing.opened_sets import Opened, features_of, open_set
from .comparing.set_names import candidates_of, name_of
from .comparing.set_up import SetUp
from .comparing.study import Progress, Study
from .comparison import Comparison, Floor
from .devices import chosen_device, measured_on
from .errors import UsageError
from .explanation import Explanation
from .joint import Joint
from .measure_by_name import measures_by_name
from .note import told_once
from .scale.ranks import left_to_first
from .set_measure import Measure
from .trace import Kept
from .version import __version__

if TYPE_CHECKING:
    from .features.extractor import Crop


def compare(
    real: Any,
    generated: Any,
    *,
    features: str | None = None,
    protocol: str | None = None,
    measures: str | Measure | Joint | Sequence[str | Measure | Joint] | None = None,
    held_out: Any = None,
    classes: Classes | None = None,
    floor: bool = False,
    explain: bool = False,
    groups: Groups | None = None,
    level: float = 0.95,
    paired: bool = False,
    seed: int = 0,
    crop: Crop | None = None,
    size: int | None = None,
    resize: str | None = None,
    weights: str | os.PathLike[str] | None = None,
    batch_size: int = 64,
    workers: int | None = None,
    skip_bad: bool = False,
    cache: bool = True,
    history: bool = False,
    device: torch.device | str | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Measure one or several generated sets against a real one, with intervals, and say which differ.

    ::

        found = assay.compare("real/", ["step-10k/", "step-20k/"])
        print(found)
        found["step-20k", "fd"].corrected

    Args:
        real: a path or URL of images (see `assay.data.open_images`); an `ImageSource` (of a generator, a data set, a
            loader); uint8 images (N, 3, H, W) or (N, H, W, 3); features (n, d), or a `.npy` or `.safetensors` file of
            them; statistics, or a file of them (see `assay.references`), which are taken as exact.
        generated: one of these, a list of them, or a dict of them by name.
        features: the extractor that images go through, by default efficientnet-lite0. Features that are ready stay as
            they are: their space is what the file's header says (`extractor`), else it is called `features`.
        protocol: a published set-up (see `assay.features.protocols`): it fixes the extractor and how images come to
            it, and its values are given as it defines them, in `published`, beside the measures behind them.
        measures: names or measures, by default fd, kd and prdc, or those of the protocol; see
            `assay.measure_by_name.measures_by_name` for the table of names.
        held_out: real images that the generator was not trained on, where `real` is what it was trained on: adds, by
            default, the measures that tell memorising from generalising.
        classes: also every measure class by class: "auto" (the source's own labels, else its sub-folders), "folders",
            a CSV with the columns `name` and `label`, or labels by the set's name.
        floor: also compare two random halves of the real set, and give values in multiples of that.
        explain: also say what every sample does to every measure, and which samples look copied; see `assay.explain`.
        groups: also what every group of a candidate's samples adds (this explains samples too): "folders", a CSV with
            the columns `name` and `group`, "kmeans" or "kmeans:K", or one group an item by the candidate's name.
        level: of the intervals.
        paired: item i of every set belongs to one unit (an image and its reconstruction): intervals account for it.
        seed: of the splits. The same seed gives the same numbers to the same names, whatever else is
            compared beside.
        crop, size, resize, weights: how images come to the extractor, and a file of its weights; see
            `assay.features.get_extractor`.
        batch_size, workers: of the pass over images.
        skip_bad: leave out images that cannot be read, and say so, in place of failing.
        cache: keep what a pass over images finds, and look there first.
        history: add the comparison to the history (see `assay.history`), as the command does; where that cannot be,
            a warning says why.
        device: where images and measures are worked on; by default a CUDA device if there is one, else the CPU.
        progress: called as progress(what, done, total).

    Returns:
        A `Comparison`: rows, differences, floor, notes, settings. A row's interval is for the population's value; for
        the neighbour measures for their value at this number of samples.

    Raises:
        UsageError: an unknown measure, extractor, protocol or device; a level outside (0, 1); no candidates.
        DataError: data that cannot be measured: missing, broken, NaN, too few, of another width or feature space.
        MissingExtra: images, and the packages that read them are not installed.

    The floor: half of the real set stands for the real side, and both the other half and as many samples of each
    candidate are measured against it. A multiple is the ratio of those two uncorrected values: at equal sizes they
    share the sample-size bias, which is all that the floor is made of (the corrected floor is zero up to its
    interval). An unbiased measure has no such bias to compare with; where its floor's interval holds zero, the
    multiple is a bound: the lower end of the value's interval over the upper end of the floor's.
    """
    if not 0 < level < 1:
        raise UsageError(f"level: expected a number between 0 and 1, got {level}")
    if not 0 <= seed < 2**63:
        raise UsageError(f"seed: expected a whole number from 0 to 2^63 - 1, got {seed}")
    set_up = SetUp.of(features, protocol, crop=crop, size=size, resize=resize, weights=weights)
    wanted = measures_by_name(set_up.measures(measures, held_out is not None))
    where = chosen_device(device)
    opened = _opened(real, generated, held_out)
    candidates = opened[1:] if held_out is None else opened[1:-1]
    named = None if groups is None else group_names(groups, candidates)
    extractor = set_up.extractor(opened, where)
    where = measured_on(where)
    ready = [one.ready for one in opened]
    refuse_without_samples(ready, floor=floor, classes=classes is not None, paired=paired)
    refuse_unpaired([opened[0], *candidates] if paired else [], wanted)
    by_item = None if classes is None else [labels_for(one, classes) for one in (opened[0], *candidates)]
    if extractor is not None:
        refuse_width([one.ready for one in opened if one.space is None], extractor.name, extractor.dim)
    how = {"batch_size": batch_size, "workers": workers, "skip_bad": skip_bad, "cache": cache}
    space, fingerprint, sets = features_of(opened, extractor, set_up.features, progress=progress, **how)
    left_to_first()
    third = sets.pop() if held_out is not None else None
    if by_item is not None:
        sets = [labelled(one, own) for one, own in zip(sets, by_item, strict=True)]
    by_default = measures is None and protocol is None
    wanted, unserved = only_served(wanted, sets, third, by_default=by_default)
    refuse_unmeasurable(sets, third, wanted, floor)
    images = set_notes(sets, third)
    if paired:
        sets = in_pairs(sets)
    target, made = sets[0], sets[1:]
    in_groups = rows_by_candidate(groups, named, target, made, third, wanted)
    known_classes = classes_of(sets) if classes is not None else []
    kept: dict[tuple[str, str], Kept] | None = {} if history else None
    study = Study(wanted, space, level, paired, seed, where, progress, kept)
    study.expect(len(made) if floor else 0, len(known_classes))

    rows, differences = study.of_candidates(target, made, third)
    aims = [] if target.features is None else study.aims(target)
    floors: list[Floor] = []
    if floor:
        floors, rows = study.with_floor(target, made, rows)
    by_class, lacking = study.of_classes(target, made, known_classes)
    labels = dict(study.labels_of("features"))
    for other, measures_there in set_up.other_spaces():
        elsewhere = Study(measures_there, f"{space}:{other}", level, paired, seed, where, progress, kept)
        elsewhere.expect(0)
        more, unlike = elsewhere.of_candidates(target.in_space(other), [m.in_space(other) for m in made])
        rows, differences = [*rows, *more], [*differences, *unlike]
        labels.update(elsewhere.labels_of(other))
    if third is not None and any(m.name == "data_copying" for m in wanted):
        images += copying_notes(target, made, third)
    published = set_up.published(target, made, rows, labels, space, seed)

    order = {name: k for k, name in enumerate(labels.values())}
    by_candidate = {candidate.name: k for k, candidate in enumerate(made)}
    rows.sort(key=lambda row: (by_candidate[row.candidate], order[row.name]))
    rank = {label: k for k, label in enumerate(known_classes)}
    by_class.sort(key=lambda row: (by_candidate[row.candidate], rank[row.group or ""], order[row.name]))
    differences.sort(key=lambda d: (by_candidate[d.a], by_candidate[d.b], order[d.name]))
    numbers = number_notes([*rows, *aims, *floors], differences, level)
    why: list[Explanation] = []
    if explain or groups is not None:
        asked = [(m, study.labels[id(m)]) for m in wanted]
        why = explained(asked, target, made, third, in_groups, seed=seed, where=where, progress=progress)
    known = [note for one in opened for note in one.notes]
    shown = (opened[0], *candidates)
    sources = {o.name: o.source for o in shown} if all(o.source is not None for o in shown) else {}
    found = Comparison(
        rows=tuple(rows),
        aims=tuple(sorted(aims, key=lambda row: order[row.name])),
        differences=tuple(differences),
        floor=tuple(sorted(floors, key=lambda f: order[f.name])),
        notes=told_once(
            [
                *protocol_notes(published),
                *known,
                *unserved,
                *images,
                *numbers,
                *lacking,
                *copy_notes(why, len(target)),
            ]
        ),
        classes=tuple(by_class),
        published=published,
        explanations=tuple(why),
        sets=(target, *made) if why else (),
        images=sources if why else {},
        extractor=extractor if why and sources else None,
        settings={
            "seed": seed,
            "level": level,
            "paired": paired,
            "protocol": protocol,
            "features": space,
            "extractor": {k: None if v is None else str(v) for k, v in set_up.settings.items()},
            "fingerprint": fingerprint,
            "measures": list(labels.values()),
            "descriptions": descriptions(wanted),
            "real": _described(target),
            "candidates": [_described(candidate) for candidate in made],
            "held_out": None if third is None else _described(third),
            "device": str(where),
            "versions": {
                "assay": __version__,
                "torch": str(torch.__version__),
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
        },
    )
    if kept is not None:
        from .history import remember

        held = () if third is None else (third,)
        remember(found, {"real": (target,), "candidate": made, "held_out": held}, kept)
    return found


def _opened(real: Any, generated: Any, held_out: Any) -> list[Opened]:
    """Everything that was given, the real set first and the held-out one last, under names of their own."""
    candidates = candidates_of(generated)
    real_name = _own_name(name_of(real, "real"), "(real)", candidates)
    opened = [open_set(real, real_name, "real")]
    opened += [open_set(given, name, "generated") for name, given in candidates.items()]
    if held_out is not None:
        name = _own_name("held-out", "(held out)", [real_name, *candidates])
        opened.append(open_set(held_out, name, "held_out"))
    return opened


def _own_name(name: str, what: str, taken: Collection[str]) -> str:
    while name in taken:
        name = f"{name} {what}"
    return name


def _described(one: ComparedSet) -> dict[str, Any]:
    return {
        "name": one.name,
        "description": one.description,
        "n": len(one) or None,
        "total": one.total,
        "unit": one.unit,
        "width": one.width,
        "content": one.digest,
        "dropped": [{"name": name, "reason": reason} for name, reason in one.dropped],
    }
