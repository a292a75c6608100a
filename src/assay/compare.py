"""Which of these sets is closest to the real one, and is that beyond doubt?"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from .class_labels import Classes, classes_of, labelled
from .compared_sets import ComparedSet, Opened, common_space, extracted, in_pairs, open_set
from .comparison import Comparison, Difference, Floor, Row
from .devices import chosen_device
from .errors import DataError, UsageError
from .joint import Joint
from .measure import Measure
from .measure_by_name import (
    DEFAULT_MEASURES,
    HELD_OUT_MEASURES,
    fewest_samples,
    measures_by_name,
    printed_name,
)
from .note import Note, told_once
from .set_names import candidates_of, name_of
from .study import Progress, Study
from .version import __version__

MANY_DIFFERENCES = 10  # from here on some are expected to exceed their intervals by luck


def compare(
    real: Any,
    generated: Any,
    *,
    features: str = "efficientnet-lite0",
    measures: str | Measure | Joint | Sequence[str | Measure | Joint] | None = None,
    held_out: Any = None,
    classes: Classes | None = None,
    floor: bool = False,
    level: float = 0.95,
    paired: bool = False,
    seed: int = 0,
    batch_size: int = 64,
    workers: int | None = None,
    skip_bad: bool = False,
    device: torch.device | str | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Measure one or several generated sets against a real one, with intervals, and say which differ.

    ::

        found = assay.compare("real/", ["step-10k/", "step-20k/"])
        print(found)
        found["step-20k", "fd"].corrected

    Args:
        real: a folder or zip of images; a `.npy` or `.safetensors` file of features; features (n, d); uint8 images
            (N, 3, H, W) or (N, H, W, 3).
        generated: one of these, a list of them, or a dict of them by name.
        features: the extractor that images go through. Features that are ready stay as they are: their space is
            what the file's header says (`extractor`), else it is called `features`.
        measures: names or measures, by default fd, kd and prdc; see `assay.measure_by_name.measures_by_name` for the
            table of names.
        held_out: real images that the generator was not trained on, where `real` is what it was trained on: adds, by
            default, the measures that tell memorising from generalising.
        classes: also every measure class by class: "auto" (the source's own labels, else its sub-folders), "folders",
            a CSV with the columns `name` and `label`, or labels by the set's name.
        floor: also compare two random halves of the real set, and give values in multiples of that.
        level: of the intervals.
        paired: item i of every set belongs to one unit (an image and its reconstruction): intervals account for it.
        seed: of the splits. The same seed gives the same numbers to the same names, whatever else is
            compared beside.
        batch_size, workers: of the pass over images.
        skip_bad: leave out images that cannot be read, and say so, in place of failing.
        device: where images and measures are worked on; by default a CUDA device if there is one, else the CPU.
        progress: called as progress(what, done, total).

    Returns:
        A `Comparison`: rows, differences, floor, notes, settings. A row's interval is for the population's value; for
        the neighbour measures for their value at this number of samples.

    Raises:
        UsageError: an unknown measure, extractor or device; a level outside (0, 1); no candidates.
        DataError: data that cannot be measured: missing, broken, NaN, too few, of another width or feature space.
        MissingExtra: images, and the packages that read them are not installed.

    The floor: half of the real set stands for the real side, and both the other half and as many samples of each
    candidate are measured against it. A multiple is the ratio of those two uncorrected values: at equal sizes they
    share the sample-size bias, which is all that the floor is made of (the corrected floor is zero up to its
    interval). An unbiased measure has no such bias to compare with; where its floor's interval holds zero, the
    multiple is a bound: the lower end of the value's interval over the upper end of the floor's.
    """
    wanted = measures_by_name(_defaults(held_out) if measures is None else measures)
    if not 0 < level < 1:
        raise UsageError(f"level: expected a number between 0 and 1, got {level}")
    if not 0 <= seed < 2**63:
        raise UsageError(f"seed: expected a whole number from 0 to 2^63 - 1, got {seed}")
    where = chosen_device(device)
    candidates = candidates_of(generated)
    real_name = name_of(real, "real")
    if real_name in candidates:
        real_name = f"{real_name} (real)"
    opened = [open_set(real, real_name, "real")]
    opened += [open_set(given, name, "generated") for name, given in candidates.items()]
    if held_out is not None:
        opened.append(open_set(held_out, _held_out_name(opened), "held_out"))
    space, fingerprint, sets = _features_of(
        opened, features, where, batch_size=batch_size, workers=workers, skip_bad=skip_bad, progress=progress
    )
    third = sets.pop() if held_out is not None else None
    if classes is not None:
        sets = [labelled(one, own, classes) for one, own in zip(sets, opened, strict=False)]
    _check(sets, third, wanted, floor)
    if paired:
        sets = in_pairs(sets)
    target, made = sets[0], sets[1:]
    known_classes = classes_of(sets) if classes is not None else []
    study = Study(wanted, space, level, paired, seed, where, progress)
    study.expect(len(made) if floor else 0, len(known_classes))

    rows, differences = study.of_candidates(target, made, third)
    aims = study.aims(target)
    floors: list[Floor] = []
    if floor:
        floors, rows = study.with_floor(target, made, rows)
    by_class, lacking = study.of_classes(target, made, known_classes)
    order = {name: k for k, name in enumerate(study.labels.values())}
    by_candidate = {candidate.name: k for k, candidate in enumerate(made)}
    rows.sort(key=lambda row: (by_candidate[row.candidate], order[row.name]))
    rank = {label: k for k, label in enumerate(known_classes)}
    by_class.sort(key=lambda row: (by_candidate[row.candidate], rank[row.group or ""], order[row.name]))
    differences.sort(key=lambda d: (by_candidate[d.a], by_candidate[d.b], order[d.name]))
    return Comparison(
        rows=tuple(rows),
        aims=tuple(sorted(aims, key=lambda row: order[row.name])),
        differences=tuple(differences),
        floor=tuple(sorted(floors, key=lambda f: order[f.name])),
        notes=told_once([*_notes(sets, [*rows, *aims, *floors], differences, level), *lacking]),
        classes=tuple(by_class),
        settings={
            "seed": seed,
            "level": level,
            "paired": paired,
            "features": space,
            "fingerprint": fingerprint,
            "measures": list(study.labels.values()),
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


def _features_of(
    opened: Sequence[Opened], features: str, where: torch.device, *, progress: Progress | None, **how: Any
) -> tuple[str, str | None, list[ComparedSet]]:
    """The space's name, its fingerprint, and every set in it; nothing is decoded before all is known to be there."""
    if all(s.ready is not None for s in opened):
        space = common_space(opened, features, None)
        known = next((s.fingerprint for s in opened if s.fingerprint is not None), None)
        return space, known, [s.ready for s in opened if s.ready is not None]
    from .features import get_extractor

    extractor = get_extractor(features, device=where)
    space = common_space(opened, extractor.name, extractor.fingerprint)
    sets = []
    for one in opened:
        report = None if progress is None else _under(progress, f"features of {one.name}")
        sets.append(extracted(one, extractor, progress=report, **how))
    return space, extractor.fingerprint, sets


def _under(progress: Progress, what: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(what, done, total)


def _defaults(held_out: Any) -> tuple[str, ...]:
    return DEFAULT_MEASURES if held_out is None else (*DEFAULT_MEASURES, *HELD_OUT_MEASURES)


def _held_out_name(opened: Sequence[Opened]) -> str:
    taken = {one.name for one in opened}
    return next(name for name in ("held-out", "held-out (held out)", "held-out set") if name not in taken)


def _check(
    sets: Sequence[ComparedSet], held_out: ComparedSet | None, wanted: Sequence[Measure], floor: bool
) -> None:
    """What can be said of all sets before the first number is computed."""
    target = sets[0]
    everything = list(sets) if held_out is None else [*sets, held_out]
    for other in everything[1:]:
        if other.width != target.width:
            raise DataError(
                f"{target.name} has {target.width} features and {other.name} {other.width}: "
                "all sets must come from one feature extractor"
            )
    for measure in wanted:
        need = fewest_samples(measure)
        if len(measure.sides) == 3 and held_out is None:
            raise UsageError(
                f"{printed_name(measure)} needs real images that the generator was not trained on: give them as "
                "--held-out / held_out, or leave the measure out"
            )
        for k, one in enumerate(everything if len(measure.sides) == 3 else sets):
            halved = floor and k == 0 and len(measure.sides) == 2
            least = 2 * need if halved else need
            if len(one) < least:
                why = (
                    "two halves that are halved again"
                    if halved
                    else "its interval comes from halves of the set"
                )
                raise DataError(
                    f"{printed_name(measure)} needs at least {least} samples in each set ({why}): "
                    f"{one.name} has {len(one)}; add samples or leave the measure out"
                )
            if measure.domain == "probabilities" and one.probabilities is None:
                raise UsageError(
                    f"{printed_name(measure)} needs class probabilities, and the features of {one.name} have none: "
                    "give images with features that classify, such as efficientnet-lite0, or leave the measure out"
                )


def _notes(
    sets: Sequence[ComparedSet], found: Sequence[Row | Floor], differences: Sequence[Difference], level: float
) -> list[Note]:
    notes = [_left_out(one) for one in sets if one.dropped]
    for row in found:
        own = (row.candidate,) if isinstance(row, Row) else ("floor",)
        for note in row.estimate.notes:
            about = note.sets if note.sets and isinstance(row, Row) else own
            notes.append(replace(note, sets=about, measures=(row.name,)))
    if len(differences) >= MANY_DIFFERENCES:
        chance = len(differences) * (1 - level)
        notes.append(
            Note(
                "many differences",
                f"{len(differences)} differences were looked at: where nothing differs, about {chance:.1f} of them "
                "would exceed their intervals by luck",
                numbers={"differences": len(differences), "by luck": chance},
            )
        )
    return notes


def _left_out(one: ComparedSet) -> Note:
    some = ", ".join(f"{name!r} ({reason})" for name, reason in one.dropped[:5])
    more = f" and {len(one.dropped) - 5} more" if len(one.dropped) > 5 else ""
    return Note(
        "left out",
        f"{len(one.dropped)} of {one.total} images cannot be read and were left out: {some}{more}",
        sets=(one.name,),
        numbers={"left out": len(one.dropped), "of": one.total},
    )


def _described(one: ComparedSet) -> dict[str, Any]:
    return {
        "name": one.name,
        "description": one.description,
        "n": len(one),
        "total": one.total,
        "unit": one.unit,
        "width": one.width,
        "dropped": [{"name": name, "reason": reason} for name, reason in one.dropped],
    }
