"""How are images read before their turn, told apart, and held within bounds until they are decoded?"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay.data import ImageSource, Unreadable
from assay.data.decode import Raw, UnreadableImage, pixels_of
from assay.data.facts import facts_of
from assay.data.names import shown
from assay.errors import DataError
from assay.features.content import digest_of, digest_of_failure
from assay.features.growing_shard import Prepared
from assay.features.thumbnails import thumbnail

HELD_BYTES = 128 << 20  # of files that were read to be told apart and are not decoded yet


@dataclass(frozen=True)
class Read:
    """An image whose bytes were looked at: `raw` is None where they are to be read again, or could not be."""

    digest: bytes
    raw: Raw | None
    reason: str | None


NOTHING_READ = Read(b"", None, None)


class Reader:
    """Reads images in threads to tell them apart, and holds what it read, within bounds, until it is decoded."""

    def __init__(self, source: ImageSource, transform: Callable[..., NDArray[np.float32]]) -> None:
        self._source = source
        self._transform = transform
        self._held = 0
        self._lock = threading.Lock()
        self.decode_only = False  # a pass that fails already is only to name what else cannot be read

    def read(self, index: int) -> Read:
        try:
            raw = self._source.read(index)
        except UnreadableImage as error:
            return Read(digest_of_failure(error.reason), None, error.reason)
        size = len(raw) if isinstance(raw, bytes) else raw.nbytes
        with self._lock:
            hold = self._held + size <= HELD_BYTES
            self._held += size if hold else 0
        return Read(digest_of(raw), raw if hold else None, None)

    def let_go(self, read: Read) -> None:
        if read.raw is not None:
            with self._lock:
                self._held -= len(read.raw) if isinstance(read.raw, bytes) else read.raw.nbytes

    def prepare(self, index: int, read: Read) -> Prepared | Unreadable | None:
        """What the network and the shard want of an image; None where only its being readable counts."""
        name = self._source.names[index]
        if read.reason is not None:
            return Unreadable(name, read.reason)
        try:
            raw = read.raw
            if raw is None:
                raw = self._source.read(index)
                if digest_of(raw) != read.digest:
                    raise changed(self._source, name)
            pixels = pixels_of(raw, name)
        except UnreadableImage as error:
            # Not the exception itself: its traceback would keep the frames, and their pixels, alive.
            return Unreadable(error.name, error.reason)
        finally:
            self.let_go(read)
        if self.decode_only:
            return None
        return Prepared(self._transform(pixels), facts_of(raw, pixels), thumbnail(pixels))


def changed(source: ImageSource, name: str) -> DataError:
    """What is raised where two looks at one image differ."""
    return DataError(
        f"{source.description} changed while it was read ({shown(name)} or a neighbour of it): "
        "run again when nothing writes to it"
    )
