"""Which pictures does the page carry, and do they fit?"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

BUDGET = 20_000_000  # characters of base64; text and numbers have the rest of 25 MB
STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")  # JPEG and PNG; other bytes are no picture

Key = tuple[str, int]  # a set's name and a row of it


@dataclass(frozen=True)
class Album:
    """Pictures, each once.

    Attributes:
        pictures: base64 of JPEG or PNG.
        at: (set, row) -> its number among the pictures.
        maps: (set, row) -> the number of its heat map.
        left_out: how many were wanted, are there, and went beyond the budget.
    """

    pictures: tuple[str, ...] = ()
    at: Mapping[Key, int] | None = None
    maps: Mapping[Key, int] | None = None
    left_out: int = 0

    def of(self, key: Key) -> int | None:
        """The number of a sample's picture."""
        return None if self.at is None else self.at.get(key)

    def map_of(self, key: Key) -> int | None:
        """The number of a sample's heat map."""
        return None if self.maps is None else self.maps.get(key)


def album_of(
    sets: Sequence[Any],
    maps: Mapping[Key, bytes],
    first: Iterable[Key],
    then: Iterable[Key],
    budget: int = BUDGET,
) -> Album:
    """Collect pictures in the order of their importance until the budget is spent.

    Args:
        sets: `ComparedSet`s.
        maps: heat maps, PNG.
        first: samples of galleries, the most important first; their heat maps come right after all of them.
        then: samples of the picture of features.
        budget: characters of base64.
    """
    first, then = list(dict.fromkeys(first)), list(dict.fromkeys(then))
    loaded = _loaded(sets, {*first, *then})
    numbers: dict[bytes, int] = {}
    pictures: list[str] = []
    spent = left_out = 0

    def put(picture: bytes, at: dict[Key, int], key: Key) -> None:
        nonlocal spent, left_out
        if not picture.startswith(STARTS):
            return
        if picture not in numbers:
            size = 4 * ((len(picture) + 2) // 3)
            if spent + size > budget:
                left_out += 1
                return
            spent += size
            numbers[picture] = len(pictures)
            pictures.append(base64.b64encode(picture).decode())
        at[key] = numbers[picture]

    at: dict[Key, int] = {}
    drawn: dict[Key, int] = {}
    for key in first:
        put(loaded.get(key, b""), at, key)
    for key in first:
        put(maps.get(key, b""), drawn, key)
    for key in then:
        if key not in at:
            put(loaded.get(key, b""), at, key)
    return Album(tuple(pictures), at, drawn, left_out)


def _loaded(sets: Sequence[Any], keys: set[Key]) -> dict[Key, bytes]:
    """Thumbnails of each set in the order of its rows: they are kept many to a file."""
    found: dict[Key, bytes] = {}
    for one in sets:
        if one.thumbnails is None:
            continue
        pictures = one.thumbnails
        for row in sorted(row for name, row in keys if name == one.name):
            if isinstance(pictures, Mapping):
                picture = pictures.get(row)
            else:
                picture = pictures[row] if 0 <= row < len(pictures) else None
            if picture:
                found[one.name, row] = bytes(picture)
    return found
