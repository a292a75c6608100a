"""Images from a map-style PyTorch `Dataset`."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from assay.data.decode import UnreadableImage
from assay.data.quantise import ValueRange, checked_range, quantised
from assay.data.source import ImageSource
from assay.data.torch_items import SeenLabels, image_and_label, in_one_line, label_text
from assay.data.torch_loader import (
    torch_loader_images as torch_loader_images,
)  # beside the other of PyTorch's
from assay.errors import DataError, UsageError


def torch_dataset_images(
    dataset: Dataset[Any], *, value_range: ValueRange | None = None, description: str | None = None
) -> ImageSource:
    """A map-style PyTorch dataset as an `ImageSource`, named by its indices.

    dataset: has `len` and gives at each index an image (C, H, W), a tuple that starts with one and then has its label,
        or a mapping with "image" and perhaps "label". C = 1 or 3. Item 0 is read at once, to see what it is.
    value_range: of floating-point images, (0, 1), (-1, 1), (0, 255) or another; uint8 ones need none. Pixels are
        rounded to 8 bits as a saved PNG would hold them.

    Labels that are whole numbers or text become the source's; asked for before the images, they read the items.
    Items are read one at a time, because a dataset does not promise to bear threads: where decoding is slow, give a
    `DataLoader` with workers. A dataset that augments at random gives other numbers at each pass.

    Raises:
        UsageError: not a map-style dataset; floating-point images without a range.
        DataError: no items, an item of another form, or values outside the range, naming the item.
    """
    if isinstance(dataset, IterableDataset) or not (
        hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")
    ):
        raise UsageError(
            f"dataset must have len() and [index], and {type(dataset).__name__} has not: "
            "wrap it as torch_loader_images(DataLoader(...), n=...)"
        )
    n = len(dataset)
    if n == 0:
        raise DataError(f"{type(dataset).__name__} is empty: it has no items")
    reader = DatasetReader(dataset, checked_range(value_range))
    reader(0)
    labels = SeenLabels(reader, n) if 0 in reader.labels else None
    return ImageSource(
        tuple(map(str, range(n))), description or f"dataset {type(dataset).__name__}", reader, labels
    )


@dataclass
class DatasetReader:
    """index -> image, of a map-style dataset; remembers the labels it came across."""

    dataset: Dataset[Any]
    value_range: ValueRange | None
    labels: dict[int, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __call__(self, index: int) -> NDArray[np.uint8]:
        what = f"item {index}"
        with self.lock:
            try:
                item = self.dataset[index]
            except MemoryError:
                raise
            except Exception as error:  # the dataset's own code: one file it cannot read, and so one image
                reason = f"the dataset failed: {in_one_line(error)}"
                raise UnreadableImage(str(index), reason) from error
        image, label = image_and_label(item, what)
        if not isinstance(image, Tensor):
            raise DataError(
                f"{what}: expected an image tensor (C, H, W), got {type(image).__name__}; "
                "let the dataset's transform make one"
            )
        if image.ndim != 3:
            raise DataError(f"{what}: expected an image of shape (C, H, W), got {tuple(image.shape)}")
        pixels: NDArray[np.uint8] = quantised(image[None], self.value_range, what)[0]
        text = label_text(label)
        if text is not None:
            self.labels[index] = text
        return pixels

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, lock=threading.Lock())
