"""Images in a folder and its sub-folders."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from assay.data.decode import MAX_FILE_BYTES, UnreadableImage, require_pillow
from assay.data.names import is_hidden, is_image_name, no_images, shown
from assay.data.source import ImageSource
from assay.errors import DataError


@dataclass(frozen=True)
class FolderReader:
    """index -> the bytes of an image, of files under one root."""

    root: Path
    names: tuple[str, ...]

    def __call__(self, index: int) -> bytes:
        name = self.names[index]
        path = self.root / name
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):  # to open a named pipe would be to wait for ever
                raise UnreadableImage(name, "not a regular file")
            if status.st_size > MAX_FILE_BYTES:
                raise UnreadableImage(name, f"more than {MAX_FILE_BYTES:,} bytes")
            return path.read_bytes()
        except OSError as error:
            raise UnreadableImage(name, (error.strerror or str(error)).lower()) from None


def open_folder(root: Path) -> ImageSource:
    """Every image under `root`, at any depth, sorted by relative name; linked folders are followed once.

    Raises `DataError` for a folder without images, saying what is there, and for one that cannot be listed.
    """
    require_pillow()
    files = sorted(_walk(root, "", set()))
    names = tuple(name for name in files if is_image_name(name))
    description = f"folder {shown(str(root))}"
    if not names:
        raise no_images(description, files)
    return ImageSource(names, description, FolderReader(root, names))


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
            f"folder {folder} cannot be listed: {(error.strerror or str(error)).lower()}"
        ) from None
    for entry in entries:
        name = f"{prefix}{entry.name}"
        if is_hidden(entry.name):
            continue
        if entry.is_dir():
            yield from _walk(root, f"{name}/", visited)
        else:
            yield name
