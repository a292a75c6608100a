"""Where does what a pass gives go, when it is more than should stay in memory?"""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
import threading
import weakref
from typing import IO

import torch
from torch import Tensor

from assay.errors import MissingExtra
from assay.features.cache import features_folder

IN_MEMORY = 32 << 20  # bytes of one matrix


def rows_for(count: int, width: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """An uninitialised (count, *width) tensor; a large one is a mapped temporary file, which the system may write out.

    The file has no name any more when it comes back, and its space is reserved. Where it cannot be had, the tensor is
    in memory after all.
    """
    empty = torch.empty((count, *width), dtype=dtype, device="meta")
    size = empty.numel() * empty.element_size()
    if size > IN_MEMORY and hasattr(os, "posix_fallocate"):
        with contextlib.suppress(OSError), temporary_file() as file:
            # Without its space reserved, a full disk would end the process at some later write to memory.
            os.posix_fallocate(file.fileno(), 0, size)
            mapped = mmap.mmap(file.fileno(), size)
            return torch.frombuffer(mapped, dtype=dtype).view(empty.shape)
    return torch.empty((count, *width), dtype=dtype)


def temporary_file() -> IO[bytes]:
    """An open file without a name, beside the cache where that can be written."""
    with contextlib.suppress(OSError, MissingExtra):
        return tempfile.TemporaryFile(dir=features_folder())
    return tempfile.TemporaryFile()


class Spool:
    """Bytes put away in a nameless file, to be had back in any order; the file goes with the object."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._lock = threading.Lock()

    def put(self, content: bytes) -> tuple[int, int]:
        """Where it lies: start and length."""
        with self._lock:
            if self._file is None:
                self._file = temporary_file()
                weakref.finalize(self, self._file.close)
            start = self._file.seek(0, os.SEEK_END)
            self._file.write(content)
            return start, len(content)

    def get(self, place: tuple[int, int]) -> bytes:
        """What was put there."""
        with self._lock:
            assert self._file is not None
            self._file.seek(place[0])
            return self._file.read(place[1])
