"""The last images of a source that cannot cheaply give one again."""

from __future__ import annotations

import tempfile
from collections import OrderedDict, defaultdict
from dataclasses import dataclass
from typing import IO

import numpy as np
from numpy.typing import NDArray

from assay.errors import DataError

# A pass that keeps its features reads runs of 512 images twice, and one run ahead: all that must still be there.
KEPT = 2 * 512 + 128
IN_MEMORY = 256 << 20  # bytes; older images beyond this lie in a temporary file


@dataclass(frozen=True)
class _Slot:
    """Where in the file an image lies."""

    offset: int
    shape: tuple[int, ...]
    size: int


class Recent:
    """index -> image, of the `kept` images that were put last; bounded in memory, the rest in a temporary file.

    Not thread-safe. The file has no name and ends with the process.
    """

    def __init__(self, kept: int = KEPT, in_memory: int = IN_MEMORY) -> None:
        self.kept, self.in_memory = kept, in_memory
        self._near: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        self._far: OrderedDict[int, _Slot] = OrderedDict()
        self._bytes = self._end = 0
        self._free: defaultdict[int, list[int]] = defaultdict(list)  # by size
        self._file: IO[bytes] | None = None

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()

    def __len__(self) -> int:
        return len(self._near) + len(self._far)

    def get(self, index: int) -> NDArray[np.uint8] | None:
        """The image, or None where it is not there any more."""
        image = self._near.get(index)
        slot = self._far.get(index)
        if image is not None or slot is None or self._file is None:
            return image
        self._file.seek(slot.offset)
        return np.frombuffer(self._file.read(slot.size), np.uint8).reshape(slot.shape)

    def put(self, index: int, image: NDArray[np.uint8]) -> None:
        """Keep an image, and forget the oldest beyond the bounds."""
        self._drop(index)
        self._near[index] = image
        self._bytes += image.nbytes
        while self._bytes > self.in_memory and len(self._near) > 1:
            self._move_out()
        while len(self) > self.kept:
            self._drop(next(iter(self._far or self._near)))

    def clear(self) -> None:
        """Forget all."""
        for index in [*self._near, *self._far]:
            self._drop(index)

    def _drop(self, index: int) -> None:
        image = self._near.pop(index, None)
        if image is not None:
            self._bytes -= image.nbytes
        slot = self._far.pop(index, None)
        if slot is not None:
            self._free[slot.size].append(slot.offset)

    def _move_out(self) -> None:
        index, image = self._near.popitem(last=False)
        self._bytes -= image.nbytes
        free = self._free[image.nbytes]
        offset = free.pop() if free else self._end
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="assay-")  # noqa: SIM115
            self._file.seek(offset)
            self._file.write(np.ascontiguousarray(image).data)
            self._file.flush()  # a full disk is said now, not when the file is closed
        except OSError as error:
            raise DataError(
                f"images cannot be put aside in {tempfile.gettempdir()}: {(error.strerror or str(error)).lower()}; "
                "set TMPDIR to a folder with space"
            ) from None
        self._end = max(self._end, offset + image.nbytes)
        self._far[index] = _Slot(offset, image.shape, image.nbytes)
