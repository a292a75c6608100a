"""Which names are images, and how is a name shown?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath

from assay.errors import DataError


def shown(name: str) -> str:
    """A name fit for a one-line message: files may be named with line breaks or undecodable bytes."""
    return name if name.isprintable() else ascii(name)


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
