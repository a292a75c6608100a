"""What is a set of images, and how is it said that some of them cannot be read?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from assay.errors import DataError

NAMED_AT_MOST = 10


def shown(name: str) -> str:
    """A name fit for a one-line message: files may be named with line breaks or undecodable bytes."""
    return name if name.isprintable() else ascii(name)


@dataclass(frozen=True)
class ImageSource:
    """A set of images in a fixed order, each decoded when it is asked for.

    names: one stable identifier an image, relative to the root (`"dogs/0001.png"`), the same
        on every machine.
    description: what the set is, for messages and reports (`"folder samples"`).
    read: index -> uint8 (H, W, 3); may be called from several threads at once.
    """

    names: tuple[str, ...]
    description: str
    read: Callable[[int], NDArray[np.uint8]]

    def __len__(self) -> int:
        return len(self.names)

    def decode(self, index: int) -> NDArray[np.uint8]:
        """Image `index` as uint8 RGB of shape (H, W, 3).

        Raises `UnreadableImage` (a `DataError`) that names the image and why it cannot be read.
        """
        return self.read(index)


@dataclass(frozen=True)
class Unreadable:
    """An image that was left out, and why."""

    name: str
    reason: str


class UnreadableImages(DataError):
    """Some images of a set cannot be read. `images` has every one; the message names the first ten."""

    def __init__(self, source: ImageSource, images: Sequence[Unreadable]) -> None:
        self.images = tuple(images)
        named = ", ".join(f"{shown(image.name)} ({image.reason})" for image in self.images[:NAMED_AT_MOST])
        more = len(self.images) - NAMED_AT_MOST
        if more > 0:
            named += f" and {more} more"
        super().__init__(
            f"{len(self.images)} of {len(source)} images in {source.description} cannot be read: {named}; "
            "remove them or pass --skip-bad / skip_bad=True"
        )


SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"})


def is_image_name(name: str) -> bool:
    """Does a relative path end like an image, and is no part of it hidden or a macOS resource fork?"""
    return PurePosixPath(name).suffix.lower() in SUFFIXES and not is_hidden(name)


def is_hidden(name: str) -> bool:
    """Whether any part of the name is hidden, or a folder that an archiver adds of its own."""
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def no_images(description: str, others: Iterable[str]) -> DataError:
    """The error for a set without an image: what is there instead, and what would have been read."""
    suffixes = Counter(shown(PurePosixPath(name).suffix.lower()) or "no suffix" for name in others)
    if not suffixes:
        return DataError(f"{description} is empty: expected images ({', '.join(sorted(SUFFIXES))})")
    count = sum(suffixes.values())
    kinds = ", ".join(f"{number} {suffix}" for suffix, number in suffixes.most_common(5))
    return DataError(
        f"{description} holds no images: {count} other {'file' if count == 1 else 'files'} ({kinds}); "
        f"expected names that end in {', '.join(sorted(SUFFIXES))}"
    )
