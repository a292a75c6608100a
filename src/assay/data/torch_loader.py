"""Images from a PyTorch `DataLoader`, or another iterable of batches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import (
    DataLoader,
    IterableDataset,
    RandomSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from assay.data.quantise import ValueRange, checked_range, quantised
from assay.data.recent import KEPT, Recent
from assay.data.source import ImageSource
from assay.data.torch_items import SeenLabels, image_and_label, in_one_line, label_texts
from assay.errors import DataError, UsageError


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
    labels = SeenLabels(reader, count) if 0 in reader.labels else None
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
        images, labels = image_and_label(self._next_batch(what), what)
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
            raise DataError(f"{what}: the loader failed: {in_one_line(error)}") from error


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
