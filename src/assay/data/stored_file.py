"""How is any part of a file read, by several threads at once, wherever the file is?"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from assay.data.names import shown
from assay.errors import DataError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

RACY = 2.0  # seconds


class StoredFile(Protocol):
    """A file of known size; whatever goes wrong with it is a `DataError` that names it.

    location: as it may be shown: never holds a credential.
    size: in bytes.
    identity: changes whenever the content may have changed; None where only the content tells.
    """

    @property
    def location(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def identity(self) -> str | None: ...
    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes."""
        ...


@dataclass(frozen=True)
class LocalFile:
    """A file on a disk. It is opened for each read: thousands of shards never hold thousands of open files."""

    path: Path
    size: int
    modified: int
    identity: str | None

    @property
    def location(self) -> str:
        return shown(str(self.path))

    def read_at(self, offset: int, length: int) -> bytes:
        try:
            with open(self.path, "rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                if (status.st_size, status.st_mtime_ns) != (self.size, self.modified):
                    raise DataError(
                        f"{self.location} was changed while it was read: start again when it is whole"
                    )
                file.seek(offset)
                pieces = []
                while length > 0 and (piece := file.read(length)):
                    pieces.append(piece)
                    length -= len(piece)
        except OSError as error:
            raise DataError(
                f"{self.location} cannot be read: {(error.strerror or str(error)).lower()}"
            ) from None
        if length > 0:
            raise DataError(f"{self.location} is cut off")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def local_file(path: Path) -> LocalFile:
    """Raises `DataError` for a file that is missing or not a regular one."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{shown(str(path))} cannot be read: {reason.lower()}") from None
    if not stat.S_ISREG(status.st_mode):  # to open a named pipe would be to wait for ever
        raise DataError(f"{shown(str(path))} is not a regular file")
    return LocalFile(path, status.st_size, status.st_mtime_ns, identity_of(path, status))


def identity_of(path: Path, status: os.stat_result) -> str | None:
    """Size and modification time alone agree for files that a script makes alike: inode and change time do not.

    None for a file that changed within the last two seconds: clocks of file systems are coarse, and it could change
    again without a sign of it.
    """
    if time.time() - status.st_ctime < RACY:
        return None
    changed = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    return f"{os.path.abspath(path)}:{':'.join(map(str, changed))}"


def signature_of(parts: Iterable[str | None]) -> str | None:
    """One hash of all; None where one of them is."""
    digest = hashlib.sha256()
    for part in parts:
        if part is None:
            return None
        digest.update(part.encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()


@dataclass
class _Seekable(io.RawIOBase):
    file: StoredFile
    position: int = field(default=0, init=False)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.file.size}[whence]
        if start + offset < 0:
            raise OSError(22, "Invalid argument")
        self.position = start + offset
        return self.position

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        length = max(0, min(len(view), self.file.size - self.position))
        if length:
            view[:length] = self.file.read_at(self.position, length)
            self.position += length
        return length


def as_binary_file(file: StoredFile, *, buffer_size: int = 1 << 16) -> io.BufferedReader:
    """For parsers that seek and read; reads ahead by `buffer_size` bytes."""
    return io.BufferedReader(_Seekable(file), buffer_size)
