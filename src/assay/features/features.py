"""What is known of a set after a pass over it?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from assay.data import Unreadable
from assay.features.thumbnails import Thumbnails


@dataclass(frozen=True)
class Features:
    """The features of a set.

    features: (n, d) float32, a row an image that could be read, in the order of the source.
    logits: (n, classes) float32 of the same pass, or None where the extractor has no classes.
    names: n names, those of the rows.
    skipped: the images that were left out, and why; empty unless skipping was asked for.
    extractor, fingerprint: which features these are.
    description: of the source.
    positions: (n,) int64, which image of the source each row is, ascending; None where nobody knows.
    total: how many images the source has.
    extra: further features of the pass by name, (n, k) float32 each.
    facts: by name, (n,) each: see `assay.data.facts.FACTS`.
    thumbnails: row -> JPEG bytes of at most 96 x 96, read when asked for; see `Thumbnails`.
    content: the same for two sets of the same images in the same order, whatever they are called; "" if unknown.
    """

    features: Tensor
    logits: Tensor | None
    names: tuple[str, ...]
    skipped: tuple[Unreadable, ...]
    extractor: str
    fingerprint: str
    description: str
    positions: Tensor | None = None
    total: int | None = None
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    facts: Mapping[str, Tensor] = field(default_factory=dict)
    thumbnails: Thumbnails = field(default_factory=lambda: Thumbnails(()))
    content: str = ""

    def __len__(self) -> int:
        return len(self.features)

    @property
    def probabilities(self) -> Tensor | None:
        """softmax of the logits, (n, classes) float32, or None."""
        return None if self.logits is None else torch.softmax(self.logits, dim=1)
