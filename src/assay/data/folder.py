"""Images in a folder and its sub-folders, and files named one by one."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from assay.data.decode import MAX_FILE_BYTES, UnreadableImage, require_pillow
from assay.data.names import is_hidden, is_image_name, shown
from assay.data.source import ImageSource
from assay.data.stored_file import identity_of, signature_of
from assay.errors import DataError


@dataclass(frozen=True)
class FolderReader:
    """index -> the bytes of an image, of files under one root."""

    root: Path
    names: tuple[str, ...]

    def __call__(self, index: int) -> bytes:
        name = self.names[index]
        return read_image_file(self.root / name, name)


def read_image_file(path: Path, name: str) -> bytes:
    """The bytes of a file; raises `UnreadableImage` for one that is missing, too large or no regular file."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # to open a named pipe would be to wait for ever
            raise UnreadableImage(name, "not a regular file")
        if status.st_size > MAX_FILE_BYTES:
            raise UnreadableImage(name, f"more than {MAX_FILE_BYTES:,} bytes")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        if isinstance(error, UnreadableImage):
            raise
        reason = getattr(error, "strerror", None) or str(error)
    raise UnreadableImage(name, reason.lower())


def files_in(root: Path) -> list[str]:
    """Every file under `root`, at any depth, sorted by relative name; linked folders are followed once.

    Hidden files and folders, and `__MACOSX`, are not looked at. Raises `DataError` for a folder that cannot be listed.
    """
    return sorted(_walk(root, "", set()))


def file_images(root: Path, names: Sequence[str], description: str) -> ImageSource:
    """Image files by their names below `root`, in the given order."""
    require_pillow()
    kept = tuple(names)
    signature = signature_of(_identity(root, name) for name in kept)
    return ImageSource(kept, description, FolderReader(root, kept), signature=signature)


def _identity(root: Path, name: str) -> str | None:
    path = root / name
    try:
        identity = identity_of(path, path.stat())
        return None if identity is None else f"{name}:{identity}"
    except (OSError, ValueError):  # said when it is read
        return f"{name}:missing"


def images_among(names: Sequence[str]) -> list[str]:
    """Those that end like an image."""
    return [name for name in names if is_image_name(name)]


def _walk(root: Path, prefix: str, visited: set[tuple[int, int]]) -> Iterator[str]:
    folder = root / prefix
    try:
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in visited:  # a link that leads back up would never end
            return
        visited.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as listing:
            # In order, so that of two links to one folder it is always the same that is read.
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(
            f"folder {shown(str(folder))} cannot be listed: {(error.strerror or str(error)).lower()}"
        ) from None
    for entry in entries:
        name = f"{prefix}{entry.name}"
        if is_hidden(entry.name):
            continue
        if entry.is_dir():
            yield from _walk(root, f"{name}/", visited)
        else:
            yield name
