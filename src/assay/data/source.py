"""What is a set of images, and how is it said that some of them cannot be read?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay.data.decode import Raw, pixels_of
from assay.data.names import shown
from assay.errors import DataError

NAMED_AT_MOST = 10


@dataclass(frozen=True)
class ImageSource:
    """A set of images in a fixed order, each read when it is asked for.

    names: one stable identifier an image, relative to the root (`"dogs/0001.png"`), the same
        on every machine.
    description: what the set is, for messages and reports (`"folder samples"`); never holds a credential.
    read: index -> the image as it is stored: the bytes of its file, whose kind the bytes tell, or uint8 (H, W, 3)
        pixels. Raises `UnreadableImage`. May be called from several threads at once, in any order.
    labels: a class an image, where the source itself says them (a label column); folders are no labels until they
        are asked for.
    signature: changes whenever any image may have changed, and costs little to tell (names, sizes, times): with it a
        kept pass is found again without reading an image. None where only the content tells.
    """

    names: Sequence[str]
    description: str
    read: Callable[[int], Raw]
    labels: Sequence[str] | None = None
    signature: str | None = None

    def __len__(self) -> int:
        return len(self.names)

    def decode(self, index: int) -> NDArray[np.uint8]:
        """Image `index` as uint8 RGB of shape (H, W, 3).

        Raises `UnreadableImage` (a `DataError`) that names the image and why it cannot be read.
        """
        return pixels_of(self.read(index), self.names[index])


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
