"""What is tried on a set measure, a pair measure or a batch objective when it is put through its laws?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .batch_law_inputs import draw_batch_inputs
from .batch_laws import BATCH_LAWS, laws_of_batches
from .batch_objective import BatchObjective
from .errors import UsageError
from .law_inputs import draw_inputs
from .laws import UNIVERSAL, laws_of, translation_invariant
from .pair_law_inputs import draw_pair_inputs
from .pair_laws import PAIR_LAWS, laws_of_pairs
from .pairs import PairMeasure
from .set_measure import Measure
from .statistics import Moments

Checkable = Measure | PairMeasure | BatchObjective
Law = Callable[..., None]

# kernel values grow with the offset to their power: only measures of differences are asked to bear a large one
SMALL_OFFSETS = (0.0, 0.5)
LARGE_OFFSETS = (0.0, -3.0, 1e4)
# an image must have room for a window
IMAGE_SIDES = (24, 32)


@dataclass(frozen=True)
class Kind:
    """How one kind is put through its laws.

    Attributes:
        universal: names of the laws that all of the kind keep.
        laws: those that this one keeps.
        draw: (this one, the chosen values by name) -> inputs of a law.
        drawn_by: how a reader repeats that, as a call without its values.
        choices: of every value, the smallest and the largest whole number, or a tuple of what is tried.
    """

    universal: tuple[str, ...]
    laws: tuple[Law, ...]
    draw: Callable[..., Any]
    drawn_by: str
    choices: Mapping[str, range | tuple[float, ...]]


def kind_of(measure: Checkable) -> Kind:
    """The kind of a measure.

    Raises:
        UsageError: a pair measure of the domain "any", whose members only its author can draw; an exception from a law
            that there is not.
    """
    seeds = range(2**16)
    if isinstance(measure, Measure):
        wide = measure.statistic is Moments or translation_invariant in measure.laws
        return Kind(
            tuple(law.__name__ for law in UNIVERSAL),
            tuple(laws_of(measure)),
            draw_inputs,
            "draw_inputs",
            {
                "n": range(8, 24),
                "m": range(8, 24),
                "d": (2, 5, 12, 30),
                "offset": LARGE_OFFSETS if wide else SMALL_OFFSETS,
                "scale": (1.0, 0.1, 3.0),
                "seed": seeds,
            },
        )
    if isinstance(measure, BatchObjective):
        return Kind(
            tuple(law.__name__ for law in BATCH_LAWS),
            laws_of_batches(measure),
            draw_batch_inputs,
            "draw_batch_inputs",
            {"n": range(8, 20), "d": (3, 5, 12), "classes": (2, 4), "seed": seeds},
        )
    if measure.domain == "any" and measure.draw is None:
        raise UsageError(
            f"{measure.name}: members of the domain 'any' are not drawn; give @pair_measure(draw=...), or build "
            "assay.pair_laws.PairInputs, and call each law of assay.pair_laws.laws_of_pairs(measure) with it"
        )
    return Kind(
        tuple(law.__name__ for law in PAIR_LAWS),
        laws_of_pairs(measure),
        draw_pair_inputs,
        "draw_pair_inputs",
        {
            "n": range(8, 12),
            "size": IMAGE_SIDES if measure.domain in ("images", "masks") else (3, 8),
            "seed": seeds,
        },
    )
