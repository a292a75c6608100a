"""Can these measures be taken of these sets at all?"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import DataError, UsageError
from ..measure_by_name import fewest_samples, printed_name
from ..set_measure import Measure
from .compared_sets import ComparedSet
from .opened_sets import Opened


def refuse_unpaired(opened: Sequence[Opened], wanted: Sequence[Measure]) -> None:
    """What can be said against pairs before an image is decoded; nothing where no sets are given.

    Raises:
        UsageError: a measure of a held-out set, which is paired with none.
        DataError: sets of different numbers of items.
    """
    if not opened:
        return
    third = next((m for m in wanted if len(m.sides) == 3), None)
    if third is not None:
        raise UsageError(
            f"paired: {printed_name(third)} takes a held-out set, whose items belong to no pair; leave one of them out"
        )
    (first, unit) = opened[0].size()
    for other in opened[1:]:
        if other.size()[0] != first:
            raise DataError(
                f"paired: {opened[0].name} has {first} {unit} and {other.name} {other.size()[0]}; pairs need as many, "
                "in one order"
            )


def refuse_unmeasurable(
    sets: Sequence[ComparedSet], held_out: ComparedSet | None, wanted: Sequence[Measure], floor: bool
) -> None:
    """What can be said against all sets before the first number is computed.

    Raises:
        DataError: sets of different widths, or of too few samples.
        UsageError: a measure of a held-out set where there is none, or of class probabilities where there are none.
    """
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
            if one.features is None:
                continue  # statistics, of which it is known what they serve
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
