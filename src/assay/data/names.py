"""Which names are images, how is a name shown, and how are millions of them kept?"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import PurePosixPath
from typing import overload

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


class RowNames(Sequence[str]):
    """`"0"`, `"1"`, ... for images that have no other names; made when they are asked for."""

    def __init__(self, count: int) -> None:
        self._rows = range(count)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        if isinstance(index, slice):
            return tuple(str(row) for row in self._rows[index])
        return str(self._rows[index])


class JoinedNames(Sequence[str]):
    """The names of several sets one after the other, each below its own prefix; made when they are asked for."""

    def __init__(self, prefixes: Sequence[str], parts: Sequence[Sequence[str]]) -> None:
        self.prefixes = tuple(prefixes)
        self.parts = tuple(parts)
        self._ends = tuple(accumulate(len(part) for part in parts))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def place(self, index: int) -> tuple[int, int]:
        """Which part, and which of its names."""
        part = bisect_right(self._ends, index)
        return part, index - (self._ends[part] - len(self.parts[part]))

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        if isinstance(index, slice):
            return tuple(self._at(row) for row in range(len(self))[index])
        return self._at(range(len(self))[index])

    def _at(self, index: int) -> str:
        part, within = self.place(index)
        return f"{self.prefixes[part]}/{self.parts[part][within]}"
