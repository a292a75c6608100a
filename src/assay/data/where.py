"""Which reader serves a path?"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from assay.data.archive import open_zip
from assay.data.folder import open_folder
from assay.data.names import SUFFIXES
from assay.data.ready_features import READERS as FEATURE_READERS
from assay.data.source import ImageSource
from assay.errors import DataError, UsageError

ARCHIVES: Mapping[str, Callable[[Path], ImageSource]] = {".zip": open_zip}


def open_images(path: str | os.PathLike[str]) -> ImageSource:
    """The images in a folder (at any depth) or in a `.zip` (read in place), sorted by name.

    Files are taken by suffix (png, jpg, jpeg, webp, bmp, gif, tif, tiff); hidden ones and `__MACOSX` are not.
    No image is opened here: what cannot be decoded shows in `ImageSource.decode` and `batches`.

    Raises `DataError` for a path that does not exist, for a folder or zip without images (saying what is
    there) and for a `.zip` that is not one; `UsageError` for a file of another kind; `MissingExtra` without
    Pillow.
    """
    where = Path(path)
    try:
        if where.is_dir():
            return open_folder(where)
        if not where.exists():
            raise DataError(f"{where} does not exist: expected a folder or a {_list(ARCHIVES)} of images")
    except (OSError, ValueError) as error:
        if isinstance(error, (DataError, UsageError)):
            raise
        raise DataError(f"{str(path)!r} cannot be opened: {error}") from None
    reader = ARCHIVES.get(where.suffix.lower())
    if reader is not None:
        return reader(where)
    expected = f"expected a folder or a {_list(ARCHIVES)} of images"
    if where.suffix.lower() in SUFFIXES:
        raise UsageError(f"{where} is a single image: {expected}")
    if where.suffix.lower() in FEATURE_READERS:
        raise UsageError(f"{where} may hold features, not images: {expected}, or use load_features")
    raise UsageError(f"{where} is a file of a kind that is not read: {expected}")


def _list(suffixes: Mapping[str, object]) -> str:
    return " or ".join(suffixes)
