"""Images from a PyTorch `Dataset` or `DataLoader`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from assay.data.decode import UnreadableImage
from assay.data.quantise import ValueRange, checked_range, quantised
from assay.data.recent import KEPT, Recent
from assay.data.source import ImageSource
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
    labels = _Labels(reader, n) if 0 in reader.labels else None
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
                reason = f"the dataset failed: {_in_one_line(error)}"
                raise UnreadableImage(str(index), reason) from error
        image, label = _image_and_label(item, what)
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


def torch_loader_images(
    loader: Iterable[Any],
    *,
    n: int | None = None,
    value_range: ValueRange | None = None,
    description: str | None = None,
) -> ImageSource:
    """A PyTorch `DataLoader` as an `ImageSource`, its images named by their position.

    loader: gives batches: images (B, C, H, W), a tuple that starts with them and then has their labels, or a mapping
        with "image" and perhaps "label". Any iterable that starts again at each `iter()` will do. The first batch is
        made at once, to see what it is, and kept.
    n: how many images are taken. By default the dataset's length; needed where the loader cannot tell it.
    value_range: as for `torch_dataset_images`.

    The loader is walked in its order by whichever thread asks for the next images, and about a thousand images are
    kept, in memory up to 256 MiB, the rest in a temporary file. Who asks for one from before them starts a new walk
    from the beginning: a loader must give the same images in the same order at every walk.
    PyTorch's own samplers that shuffle are refused; a batch sampler or iterable dataset of yours is taken at its word.

    Raises:
        UsageError: something that can be walked only once, a loader that shuffles or drops its last images without
            `n`, an unknown length, floating-point images without a range.
        DataError: a batch of another form or with values outside the range, naming it; fewer images than n.
    """
    if isinstance(loader, Iterator):
        raise UsageError(
            f"loader must start again at each iter(), and a {type(loader).__name__} can be walked only once: "
            "give a DataLoader, or use sampler(fn, n) for a function that makes images"
        )
    if not isinstance(loader, Iterable):
        raise UsageError(
            f"loader must be a DataLoader or another iterable of batches, not {type(loader).__name__}"
        )
    if isinstance(loader, DataLoader):
        _refuse_shuffling(loader)
    count = _length(loader) if n is None else n
    if count < 1:
        raise UsageError(f"n must be at least 1, not {count}")
    reader = LoaderReader(loader, count, checked_range(value_range))
    reader.start()
    labels = _Labels(reader, count) if 0 in reader.labels else None
    return ImageSource(
        tuple(map(str, range(count))), description or f"loader {type(loader).__name__}", reader, labels
    )


class LoaderReader:
    """index -> image, of a loader that can only be walked in order; remembers the labels it came across."""

    def __init__(self, loader: Iterable[Any], n: int, value_range: ValueRange | None) -> None:
        self.loader, self.n, self.value_range = loader, n, value_range
        self.labels: dict[int, str] = {}
        self._lock = threading.Lock()
        self._recent = Recent()
        self._walk: Iterator[Any] | None = None
        self._reached = self._batch = 0
        self._failure: DataError | UsageError | None = None

    def start(self) -> None:
        """Make the first batch."""
        with self._lock:
            self._restart()
            self._advance()

    def __call__(self, index: int) -> NDArray[np.uint8]:
        with self._lock:
            image = self._recent.get(index)
            if image is None and self._failure is not None:
                # The walk cannot go on behind it, and a new one would end there too.
                raise type(self._failure)(str(self._failure))
            if image is None and index < self._reached:
                self._restart()
            while image is None:
                try:
                    self._advance()
                except (DataError, UsageError) as error:
                    self._failure = error
                    raise
                image = self._recent.get(index)
            return image

    def _restart(self) -> None:
        self._recent.clear()
        self._walk = iter(self.loader)
        self._reached = self._batch = 0

    def _advance(self) -> None:
        what = f"batch {self._batch}"
        images, labels = _image_and_label(self._next_batch(what), what)
        pixels = quantised(images, self.value_range, what)
        texts = label_texts(labels, len(pixels))
        self._recent.kept = max(self._recent.kept, KEPT + len(pixels))
        for row, image in enumerate(pixels):
            at = self._reached + row
            if at < self.n:
                self._recent.put(at, image.copy())  # a view would keep the whole batch alive
                if texts is not None:
                    self.labels[at] = texts[row]
        self._reached += len(pixels)
        self._batch += 1

    def _next_batch(self, what: str) -> object:
        assert self._walk is not None
        try:
            return next(self._walk)
        except StopIteration:
            raise DataError(
                f"the loader ended after {self._reached:,} images, and {self.n:,} were expected: "
                "state how many it has with n="
            ) from None
        except MemoryError:
            raise
        except Exception as error:
            raise DataError(f"{what}: the loader failed: {_in_one_line(error)}") from error


class _Labels(Sequence[str]):
    """The labels that came with the images; one that was not seen yet is read."""

    def __init__(self, reader: DatasetReader | LoaderReader, n: int) -> None:
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


def _in_one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}"


def _image_and_label(item: object, what: str) -> tuple[object, object]:
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


def _refuse_shuffling(loader: DataLoader[Any]) -> None:
    order = getattr(loader.batch_sampler, "sampler", loader.sampler)
    if isinstance(order, (RandomSampler, SubsetRandomSampler, WeightedRandomSampler)):
        raise UsageError(
            f"the loader shuffles ({type(order).__name__}), so its images have no fixed order: "
            "make it with shuffle=False"
        )


def _length(loader: Iterable[Any]) -> int:
    """How many images the loader gives, where it can tell."""
    if isinstance(loader, DataLoader) and not isinstance(loader.dataset, IterableDataset):
        order = getattr(loader.batch_sampler, "sampler", loader.sampler)
        counted: Callable[[], int] | None = getattr(order, "__len__", None)
        size = loader.batch_size
        if counted is not None and size is not None:
            left_out = counted() % size if loader.drop_last else 0
            if left_out:
                raise UsageError(
                    f"the loader leaves out its last {left_out} of {counted():,} images (drop_last=True): "
                    f"make it with drop_last=False, or state n={counted() - left_out}"
                )
            return counted()
    raise UsageError("n=... is needed: the loader cannot tell how many images it gives")
