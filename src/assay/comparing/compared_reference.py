"""A file of statistics in place of images: what can be measured with it, and what must be said of that?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..errors import DataError, UsageError
from ..measure_by_name import printed_name
from ..note import Note
from ..references import FEATURES, Reference, is_reference, load_reference
from ..set_measure import Measure
from ..statistics import Moments, Samples
from .compared_sets import ComparedSet

HOW = "make it again with assay stats --keep samples, or give the images themselves"


@dataclass(frozen=True)
class ReferenceSet:
    """A reference as a side of a comparison.

    Attributes:
        ready: its samples, or its moments as exact ones.
        extractor, fingerprint: which features these are; None where the file does not say and has to be believed.
        named: whether the file says, or was made of features without a name; else it is taken to be what is asked for.
        notes: what a reader must know of it.
    """

    ready: ComparedSet
    extractor: str | None
    fingerprint: str | None
    named: bool
    notes: tuple[Note, ...]


def as_reference(given: Any) -> Reference | None:
    """The reference that was given, read from its file if need be; None where it is something else.

    Raises:
        DataError: a reference's file that is damaged, or would have to be unpickled.
    """
    if isinstance(given, Reference):
        return given
    if isinstance(given, Moments):
        return Reference({FEATURES: given})
    if isinstance(given, Samples):
        return Reference({}, given)
    if isinstance(given, (str, os.PathLike)):
        suffix = os.path.splitext(os.fspath(given))[1].lower()
        if is_reference(given) or (suffix in (".pt", ".pth", ".pkl") and os.path.isfile(given)):
            return load_reference(given)
    return None


def reference_set(reference: Reference, name: str) -> ReferenceSet:
    """The reference as a side: with samples it is a set like any other, without them its moments are exact.

    Raises:
        DataError: samples with counts other than 1, which a set of samples has not.
    """
    origin = reference.origin
    exact = dict(reference.moments)
    features = None
    if reference.samples is not None:
        if not bool((reference.samples.counts == 1).all()):
            raise DataError(f"{name}: samples with counts other than 1 cannot be compared; repeat the rows")
        features = reference.samples.features
        exact.pop(FEATURES, None)  # the samples say the same, and how sure
    count = reference.count
    ready = ComparedSet(
        name=name,
        description=origin.description,
        features=features,
        total=0 if count is None else round(count),
        unit="samples",
        exact=exact,
        positions=None if features is None or origin.left_out != 0 else torch.arange(len(features)),
    )
    named = origin.extractor is not None or origin.version is not None
    return ReferenceSet(
        ready, origin.extractor, origin.fingerprint, named, tuple(_notes(reference, name, named))
    )


def refuse_width(ready: Sequence[ComparedSet | None], extractor: str, dim: int | None) -> None:
    """Before any image is looked at: statistics and features that are there must be as wide as the images' will be.

    Args:
        ready: the sets that are features or statistics already; None for images.
        extractor, dim: what images go through, and how many features it gives; None where the images decide.

    Raises:
        DataError: another width.
    """
    for one in ready:
        if one is not None and dim is not None and one.width != dim:
            raise DataError(
                f"{one.name} has {one.width} features, and {extractor} has {dim}: choose the one that it was "
                "made with by --features / features="
            )


def only_served(
    measures: Sequence[Measure],
    sets: Sequence[ComparedSet],
    held_out: ComparedSet | None = None,
    *,
    by_default: bool,
) -> tuple[list[Measure], list[Note]]:
    """The measures that all sets have enough for.

    Args:
        measures: the wanted ones.
        sets: all sets, the real one first.
        held_out: the third side of measures of three.
        by_default: nobody asked for these measures: what cannot be served is left out with a note.

    Raises:
        UsageError: a measure was asked for, or none is left, and a set has not got what it needs.
    """
    kept: list[Measure] = []
    left_out: dict[str, list[str]] = {}
    for measure in measures:
        concerned = (
            sets if len(measure.sides) > 1 else sets[1:]
        )  # a measure of one set asks nothing of the real one
        if len(measure.sides) == 3 and held_out is not None:
            concerned = [*sets, held_out]
        lacking = [s for s in concerned if s.features is None and not s.serves(measure)]
        if not lacking:
            kept.append(measure)
            continue
        if not by_default:
            raise UsageError(f"{printed_name(measure)} {_needs(measure, lacking[0])}: {HOW}")
        for one in lacking:
            left_out.setdefault(one.name, []).append(printed_name(measure))
    if not kept:
        name, missing = next(iter(left_out.items()))
        raise UsageError(f"{name} holds moments only, which serve none of {', '.join(missing)}: {HOW}")
    return kept, [
        Note(
            "left out",
            f"it holds moments only, so these were left out: {', '.join(missing)}; {HOW}",
            sets=(name,),
            numbers={"measures": missing},
        )
        for name, missing in left_out.items()
    ]


def refuse_without_samples(
    ready: Sequence[ComparedSet | None], *, floor: bool, classes: bool, paired: bool
) -> None:
    """What is done to samples cannot be done to statistics of them.

    Args:
        ready: the real set first; None for images.
        floor, classes, paired: what was asked for.

    Raises:
        UsageError: a set is statistics only, and halves, classes or pairs of it were asked for; or two are.
    """
    statistics = [one for one in ready if one is not None and one.features is None]
    for one in statistics:
        for option, asked, what in (
            ("floor", floor, "halves"),
            ("classes", classes, "classes"),
            ("paired", paired, "pairs"),
        ):
            if asked:
                raise UsageError(f"{option}: {one.name} is statistics, which have no {what}: {HOW}")
    if len(statistics) > 1 and ready[0] is statistics[0]:
        raise UsageError(
            f"{statistics[0].name} and {statistics[1].name} are both statistics, and an interval comes from "
            "the samples of at least one side: give the images of one, or call the measure itself for its value"
        )


def _needs(measure: Measure, one: ComparedSet) -> str:
    held = ", ".join(f"moments of {space}" for space in one.exact) or "nothing"
    return f"needs samples ({measure.statistic.__name__}), and {one.name} holds {held}"


def _notes(reference: Reference, name: str, named: bool) -> list[Note]:
    notes = []
    count = reference.count
    if reference.samples is None:
        of = "an unknown number of" if count is None else f"{count:,.15g}"
        notes.append(
            Note(
                "taken as exact",
                f"statistics of {of} samples, taken as exact: intervals are for the luck of the other samples "
                "alone, and what these are off by, being so many and no more, stays in the value",
                sets=(name,),
                numbers={"samples": count},
            )
        )
        if count is not None and count < 2 * reference.width:
            notes.append(
                Note(
                    "few samples",
                    f"statistics of {count:,.15g} samples for {reference.width} features: what these are off by, which "
                    f"is much below {2 * reference.width} samples, is in the values and cannot be corrected",
                    sets=(name,),
                    numbers={"samples": count, "needed": 2 * reference.width},
                )
            )
    if not named:
        notes.append(
            Note(
                "taken to be",
                "nothing says which extractor made it; it is taken to be the one of the other sets",
                sets=(name,),
            )
        )
    return notes
