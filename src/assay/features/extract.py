"""A set of images -> its features, in one pass."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

import torch
from torch import Tensor

from assay.data import ImageSource, Progress, Unreadable, batches
from assay.errors import DataError
from assay.features.extractor import Extractor


@dataclass(frozen=True)
class Features:
    """The features of a set.

    features: (n, d) float32, a row an image that could be read, in the order of the source.
    logits: (n, classes) float32 of the same pass, or None where the extractor has no classes.
    names: n names, those of the rows.
    skipped: the images that were left out, and why; empty unless skipping was asked for.
    extractor, fingerprint: which features these are.
    description: of the source.
    """

    features: Tensor
    logits: Tensor | None
    names: tuple[str, ...]
    skipped: tuple[Unreadable, ...]
    extractor: str
    fingerprint: str
    description: str

    def __len__(self) -> int:
        return len(self.features)

    @property
    def probabilities(self) -> Tensor | None:
        """softmax of the logits, (n, classes) float32, or None."""
        return None if self.logits is None else torch.softmax(self.logits, dim=1)


def extract(
    source: ImageSource,
    extractor: Extractor,
    *,
    batch_size: int = 64,
    workers: int | None = None,
    progress: Progress | None = None,
    skip_bad: bool = False,
) -> Features:
    """The features of every image of `source`, in its order. Memory is the result plus a few batches.

    batch_size, workers, progress: as for `assay.data.batches`.
    skip_bad: leave out images that cannot be read, and report them in `skipped`; otherwise they are an error.

    Raises `UnreadableImages` (a `DataError`) naming all images that cannot be read, `DataError` where none
    can or where `pixels` meets images of different sizes.
    """
    skipped: list[Unreadable] = []
    features: Tensor | None = None
    logits: Tensor | None = None
    rows: list[int] = []
    stream = batches(
        source,
        transform=extractor.transform,
        batch_size=batch_size,
        workers=workers,
        skip=skipped.append if skip_bad else None,
        progress=progress,
    )
    with closing(stream):
        for batch in stream:
            outputs = extractor.forward(batch.images)
            start, stop = len(rows), len(rows) + len(batch.indices)
            if features is None:
                features = outputs.features.new_empty(len(source), outputs.features.shape[1])
                if outputs.logits is not None:
                    logits = outputs.logits.new_empty(len(source), outputs.logits.shape[1])
            features[start:stop] = outputs.features
            if logits is not None and outputs.logits is not None:
                logits[start:stop] = outputs.logits
            rows.extend(batch.indices.tolist())
    if features is None:
        first = f", the first because: {skipped[0].reason}" if skipped else ""
        raise DataError(f"none of the {len(source)} images in {source.description} can be read{first}")
    return Features(
        features=features[: len(rows)],
        logits=None if logits is None else logits[: len(rows)],
        names=tuple(source.names[row] for row in rows),
        skipped=tuple(skipped),
        extractor=extractor.name,
        fingerprint=extractor.fingerprint,
        description=source.description,
    )
