"""What stands for a set of images, and how do several become one?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ..errors import DataError
from ..sets import Predictions
from ..statistics import Moments, Samples
from ..statistics.moments import POPULATION
from .origin import Origin, merged_origin

FEATURES = "features"  # the space of an extractor's own features


@dataclass(frozen=True, eq=False)
class Reference:
    """What is kept of a set of images, in place of the images.

    Attributes:
        moments: mean and covariance by feature space: `features`, and `spatial` where the extractor gives it. Empty
            where only samples are known.
        samples: the features themselves with their counts, or None.
        predictions: sums over the class probabilities, or None.
        origin: what made them, and of what.
    """

    moments: Mapping[str, Moments]
    samples: Samples | None = None
    predictions: Predictions | None = None
    origin: Origin = field(default=Origin())

    def __post_init__(self) -> None:
        if FEATURES not in self.moments and self.samples is None:
            raise DataError(f"{self.origin.description} holds neither moments nor samples of the features")
        if self.samples is not None and self.samples.width != self.width:
            raise DataError(
                f"{self.origin.description} holds moments of {self.width} features and samples of "
                f"{self.samples.width}: these are not of one set"
            )

    @property
    def main(self) -> Any:
        """The moments of the features, else their samples."""
        return self.moments.get(FEATURES, self.samples)

    @property
    def width(self) -> int:
        """How many features a sample has."""
        return int(self.main.width)

    @property
    def count(self) -> float | None:
        """How many samples it is of; None where the file does not say, as published ones do not."""
        weight = float(self.main.weight)
        return None if weight >= POPULATION else weight

    @property
    def held(self) -> str:
        """What it holds, in words."""
        held = [
            f"moments of {'the' if space == FEATURES else 'the ' + space} features" for space in self.moments
        ]
        held += ["samples"] if self.samples is not None else []
        held += ["class predictions"] if self.predictions is not None else []
        return ", ".join(held)


def merge_references(references: Sequence[Reference], names: Sequence[str] | None = None) -> Reference:
    """The reference of all images together: moments as in one pass up to rounding, counts exactly.

    What only some of them have (samples, predictions, a further space) is left out of the whole.

    Args:
        references: of one extractor, at least one.
        names: what messages call them; by default their descriptions.

    Raises:
        DataError: none; references of different extractors, versions of one, protocols or widths; of an unknown
            number of samples; or the same images twice, by their digests.
    """
    if not references:
        raise DataError("merge: no references; expected at least one")
    called = [r.origin.description for r in references] if names is None else list(names)
    return folded(references, called, merged_origin([r.origin for r in references], called))


def folded(references: Iterable[Reference], names: Sequence[str], origin: Origin) -> Reference:
    """One by one in their order, so that two are held at once, under an origin that is known to be of all."""
    moments: dict[str, Moments] | None = None
    samples: list[Samples] | None = []
    predictions: Predictions | None = None
    width = 0
    for k, (one, name) in enumerate(zip(references, names, strict=True)):
        if one.count is None and len(names) > 1:
            raise DataError(
                f"{name} does not say how many samples it is of, so it cannot be weighed against another: "
                "make it again from the images with assay stats"
            )
        if moments is None:
            moments, predictions, width = dict(one.moments), one.predictions, one.width
        else:
            if one.width != width:
                raise DataError(f"{names[0]} has {width} features and {name} {one.width}: these do not merge")
            moments = {s: m.merge(one.moments[s]) for s, m in moments.items() if s in one.moments}
            both = predictions is not None and one.predictions is not None
            predictions = predictions.merge(one.predictions) if both else None  # type: ignore[union-attr,arg-type]
        samples = None if samples is None or one.samples is None else [*samples, one.samples]
        if not moments and samples is None:
            raise DataError(f"{names[0]} and {name} (number {k + 1}) hold nothing that both have: {one.held}")
    kept = None if not samples else _joined(samples)
    return Reference(moments or {}, kept, predictions, origin)


def _joined(parts: Sequence[Samples]) -> Samples:
    if len(parts) == 1:
        return parts[0]
    return Samples(torch.cat([p.features for p in parts]), torch.cat([p.counts for p in parts]))
