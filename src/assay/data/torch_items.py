"""What of an item or batch is the image and what the label, and which labels came with the images?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, overload

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from assay.errors import DataError


def in_one_line(error: Exception) -> str:
    """What failed, in a line that a message can hold."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}"


def image_and_label(item: object, what: str) -> tuple[object, object]:
    """What stands for the image, or images, of an item or batch, and what for its labels; `what` names it in errors."""
    if isinstance(item, Tensor):
        return item, None
    if isinstance(item, Mapping):
        if "image" not in item:
            keys = ", ".join(map(repr, item)) or "none"
            raise DataError(f'{what}: a mapping must have the key "image"; it has {keys}')
        return item["image"], item.get("label")
    if isinstance(item, (tuple, list)) and item:
        return item[0], item[1] if len(item) > 1 else None
    raise DataError(
        f'{what}: expected a tensor, a tuple (images, labels) or a mapping with "image", got {type(item).__name__}'
    )


def label_text(label: object) -> str | None:
    """A whole number or a text as text; None for whatever else stands beside an image."""
    if isinstance(label, str):
        return label
    if isinstance(label, (Tensor, np.ndarray, np.generic)) and label.ndim == 0:
        label = label.item()
    return str(label) if isinstance(label, int) and not isinstance(label, bool) else None


def label_texts(labels: object, n: int) -> list[str] | None:
    """n labels as text, or None where they are not n whole numbers or texts."""
    if not isinstance(labels, (Tensor, np.ndarray, list, tuple)):
        return None
    if isinstance(labels, (Tensor, np.ndarray)) and labels.ndim != 1:
        return None
    texts = [label_text(label) for label in labels]
    whole = [text for text in texts if text is not None]
    return whole if len(whole) == len(texts) == n else None


class LabelledReader(Protocol):
    """index -> image; remembers the labels it came across."""

    labels: dict[int, str]

    def __call__(self, index: int) -> NDArray[np.uint8]: ...


class SeenLabels(Sequence[str]):
    """The labels that came with the images; one that was not seen yet is read."""

    def __init__(self, reader: LabelledReader, n: int) -> None:
        self.reader, self.n = reader, n

    def __len__(self) -> int:
        return self.n

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        at = range(self.n)[index]
        if isinstance(at, range):
            return tuple(self[i] for i in at)
        if at not in self.reader.labels:
            self.reader(at)
        if at not in self.reader.labels:
            raise DataError(f"item {at} has no label that is a whole number or text, and item 0 has one")
        return self.reader.labels[at]
