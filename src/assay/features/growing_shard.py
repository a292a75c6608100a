"""How do batches of the network become a shard?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from assay.data import Unreadable
from assay.data.facts import FACTS
from assay.features.extractor import Extractor, Outputs
from assay.features.shard import Jpegs, Shard

OUT_OF_MEMORY = "too large for the memory"


@dataclass(frozen=True)
class Prepared:
    """An image as the network wants it, and what else a shard keeps of it."""

    image: NDArray[np.float32]
    facts: tuple[object, ...]
    thumbnail: bytes


class Growing:
    """The shard that is being made."""

    def __init__(self) -> None:
        self._places: list[int] = []
        self._images: list[NDArray[np.float32]] = []
        self._outputs: list[Outputs] = []
        self._facts: list[tuple[object, ...]] = []
        self._thumbnails: list[bytes] = []
        self._skipped: list[tuple[int, str]] = []
        self._shape: tuple[int, ...] = ()
        self.partial = False

    @property
    def pending(self) -> int:
        return len(self._images)

    @property
    def bad(self) -> bool:
        return bool(self._skipped)

    def add(self, place: int, outcome: Prepared | Unreadable | None) -> None:
        if isinstance(outcome, Unreadable):
            self._skipped.append((place, outcome.reason))
        elif outcome is None:
            self.partial = True
        else:
            self._places.append(place)
            self._images.append(outcome.image)
            self._facts.append(outcome.facts)
            self._thumbnails.append(outcome.thumbnail)
            self._shape = outcome.image.shape

    def flush(self, extractor: Extractor) -> None:
        if self._images:
            self._outputs.append(extractor.forward(torch.from_numpy(np.stack(self._images))))
            self._images = []

    def drop_rows(self) -> None:
        if self._places:
            self.partial = True
            self._places, self._images, self._outputs, self._facts, self._thumbnails = [], [], [], [], []

    def shard(self, total: int, content: str, *, unread: bool) -> Shard:
        return Shard(
            total=total,
            places=torch.tensor(self._places, dtype=torch.int64),
            columns=self._columns() if self._places else {},
            thumbnails=Jpegs.of(self._thumbnails),
            skipped=tuple(self._skipped),
            shape=self._shape if self._places else (),
            content=content,
            fleeting=unread or any(reason == OUT_OF_MEMORY for _, reason in self._skipped),
        )

    def _columns(self) -> dict[str, Tensor]:
        first = self._outputs[0]
        columns = {"features": torch.cat([outputs.features for outputs in self._outputs])}
        if first.logits is not None:
            columns["logits"] = torch.cat([o.logits for o in self._outputs if o.logits is not None])
        for name in first.extra:
            columns[f"extra.{name}"] = torch.cat([outputs.extra[name] for outputs in self._outputs])
        for k, (name, dtype) in enumerate(FACTS.items()):
            column = np.array([facts[k] for facts in self._facts], dtype=dtype)
            columns[f"facts.{name}"] = torch.from_numpy(column)
        return columns
