"""Small pictures of the images of a set, kept during the pass that reads them anyway."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

SIDE = 96
QUALITY = 80

Pictures = Sequence[bytes]


def thumbnail(pixels: NDArray[np.uint8]) -> bytes:
    """uint8 RGB (H, W, 3) -> a JPEG of at most 96 x 96, in proportion and never enlarged; empty without Pillow."""
    try:
        from PIL import Image
    except ImportError:
        return b""
    image = Image.fromarray(pixels)
    image.thumbnail((SIDE, SIDE), Image.Resampling.BOX)  # a third of bicubic's time, and it only ever shrinks
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


class Thumbnails:
    """Row -> JPEG bytes, read from where they are kept when they are asked for; `len` is the number of rows.

    Empty bytes where there is none: without Pillow, or where the cache was trimmed since.
    """

    def __init__(self, parts: Sequence[tuple[int, Callable[[], Pictures | None]]]) -> None:
        self._ends = list(accumulate(count for count, _ in parts))
        self._load = [load for _, load in parts]
        self._last: tuple[int, Pictures | None] = (-1, None)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, row: int) -> bytes:
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)} thumbnails")
        part = bisect_right(self._ends, row)
        if self._last[0] != part:
            self._last = (part, self._load[part]())
        pictures = self._last[1]
        if pictures is None:
            return b""
        first = self._ends[part - 1] if part else 0
        return pictures[row - first]

    def __iter__(self) -> Iterator[bytes]:
        return (self[row] for row in range(len(self)))
