"""What does a published protocol print for these sets?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from ..comparison import Published, Row
from ..direction import Direction
from ..errors import UsageError
from ..joint import Joint
from ..measure_by_name import SHORT, measure_key
from ..set_measure import Measure
from ..sets import inception_score_splits, kid_subsets
from .compared_sets import ComparedSet

if TYPE_CHECKING:
    from ..features.protocols import Printed, Protocol

OverParts = tuple[float, float]


def _kid(real: ComparedSet, made: ComparedSet, options: Mapping[str, Any], seed: int) -> OverParts:
    found = kid_subsets(
        real.features, made.features, generator=torch.Generator().manual_seed(seed), **options
    )
    return found.mean, found.std


def _inception(real: ComparedSet, made: ComparedSet, options: Mapping[str, Any], seed: int) -> OverParts:
    found = inception_score_splits(
        made.probabilities, generator=torch.Generator().manual_seed(seed), **options
    )
    return found.mean, found.std


# values that are made of parts of the sets: how, and the exact measure that stands in the table beside them
OF_PARTS: Mapping[str, tuple[Callable[..., OverParts], str]] = {
    "kid_subsets": (_kid, "kd"),
    "inception_score_splits": (_inception, "is"),
}


def protocol_measures(protocol: Protocol) -> dict[str, list[Measure]]:
    """The measures behind a protocol's values, by the space they read: features and probabilities count as one."""
    found: dict[str, list[Measure]] = {}
    for printed in protocol.printed:
        measure = _measure_of(printed)
        own = found.setdefault(_space(printed), [])
        if all(m.name != measure.name or m.options != measure.options for m in own):
            own.append(measure)
    return found


def published_values(
    protocol: Protocol,
    real: ComparedSet,
    made: Sequence[ComparedSet],
    rows: Sequence[Row],
    labels: Mapping[tuple[str, str], str],
    extractor: str,
    seed: int,
) -> tuple[Published, ...]:
    """Every value of the protocol for every candidate.

    Args:
        protocol: the row of the table.
        real, made: the sets.
        rows: of the measures that `protocol_measures` gives, already taken.
        labels: (space, printed measure name) -> the rows' name.
        extractor: the name of the extractor that was used.
        seed: of the subsets.
    """
    from ..features.protocols import unmet

    by_name = {(row.candidate, row.name): row for row in rows}
    out = []
    for candidate in made:
        lacking = unmet(
            protocol,
            n_real=len(real) or protocol.real,  # statistics that do not say of how many they are
            n_generated=len(candidate),
            extractor=extractor,
        )
        for printed in protocol.printed:
            measure = _measure_of(printed)
            direction: Direction = "lower is better" if measure.best == "min" else "higher is better"
            spread: float | None = None
            reasons = lacking
            value: float | None = None
            if printed.measure in OF_PARTS:
                try:
                    value, spread = OF_PARTS[printed.measure][0](real, candidate, printed.options, seed)
                except UsageError as error:  # too few samples for one of its parts
                    reasons = (*lacking, str(error))
            else:
                value = by_name[candidate.name, labels[_space(printed), measure_key(measure)]].estimate.value
            name = None if reasons else printed.name
            out.append(Published(name, printed.name, candidate.name, value, spread, reasons, direction))
    return tuple(out)


def _space(printed: Printed) -> str:
    return "features" if printed.space == "probabilities" else printed.space


def _measure_of(printed: Printed) -> Measure:
    if printed.measure in OF_PARTS:
        exact = SHORT[OF_PARTS[printed.measure][1]]
        assert not isinstance(exact, Joint)
        return exact
    measure = SHORT[printed.measure]
    assert not isinstance(measure, Joint)
    return measure.with_options(**printed.options) if printed.options else measure
