"""How do the shards of a pass become the features of a set?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from assay.data import ImageSource, Unreadable
from assay.data.facts import FACTS
from assay.errors import DataError
from assay.features.content import content_of
from assay.features.extractor import Extractor
from assay.features.features import Features
from assay.features.one_pass import Cut, Made
from assay.features.shard import Jpegs, from_bytes, jpegs_in, to_bytes
from assay.features.spool import Spool, rows_for
from assay.features.thumbnails import Thumbnails


@dataclass(frozen=True)
class _Part:
    """What is still to be known of a shard whose rows are in their place; `spooled` where it has no file."""

    places: Tensor
    skipped: tuple[tuple[int, str], ...]
    content: str
    fleeting: bool
    path: Path | None
    spooled: tuple[int, int] | None


class Assembled:
    """The rows of the shards `numbers` of a set, put in order as they come.

    send: whether shards will be asked for again as bytes; the columns of those without a file are then kept for it.
    """

    def __init__(self, source: ImageSource, cut: Cut, numbers: Sequence[int], *, send: bool) -> None:
        self._source = source
        self._cut = cut
        self._numbers = numbers
        self._send = send
        self._starts: dict[int, int] = {}
        start = 0
        for number in numbers:
            self._starts[number] = start
            start += len(cut.images(number))
        self._room = start
        self._columns: dict[str, Tensor] = {}
        self._parts: dict[int, _Part] = {}
        self._spool = Spool()

    def put(self, made: Made) -> None:
        """One shard, once.

        Raises `DataError` where its features have another width than those before.
        """
        shard = made.shard
        if len(shard) and not self._columns:
            self._columns = {
                name: rows_for(self._room, tuple(column.shape[1:]), column.dtype)
                for name, column in shard.columns.items()
            }
        if len(shard):
            here = {name: column.shape[1:] for name, column in self._columns.items()}
            if here != {name: column.shape[1:] for name, column in shard.columns.items()}:
                raise DataError(
                    f"the images of {self._source.description} come to features of different widths: use features "
                    "that resize, such as pixels:32"
                )
            start = self._starts[made.number]
            for name, column in shard.columns.items():
                self._columns[name][start : start + len(shard)] = column
        spooled = None
        if made.path is None:
            spooled = self._spool.put(to_bytes(shard if self._send else shard.without_columns()))
        self._parts[made.number] = _Part(
            shard.places, shard.skipped, shard.content, shard.fleeting, made.path, spooled
        )

    def as_bytes(self, number: int) -> bytes:
        """A whole shard, as its file holds it."""
        part = self._parts[number]
        if part.path is None:
            assert part.spooled is not None and self._send
            return self._spool.get(part.spooled)
        try:
            return part.path.read_bytes()
        except OSError:
            raise DataError(f"{part.path} was removed while it was in use: run again") from None

    @property
    def fleeting(self) -> bool:
        """Whether some image could not even be read, which another time may be otherwise."""
        return any(part.fleeting for part in self._parts.values())

    def contents(self) -> list[str]:
        """The name of each shard's images, in order."""
        return [self._parts[number].content for number in self._numbers]

    def features(self, extractor: Extractor) -> Features:
        """All rows, those of the images that could be read, in the order of the source."""
        rows = 0
        positions = []
        skipped = []
        pictures = []
        for number in self._numbers:
            part, first = self._parts[number], self._cut.images(number).start
            count, start = len(part.places), self._starts[number]
            if rows < start and count:
                for column in self._columns.values():
                    column[rows : rows + count] = column[start : start + count].clone()
            rows += count
            positions.append(part.places + first)
            skipped += [Unreadable(self._source.names[first + at], why) for at, why in part.skipped]
            pictures.append((count, partial(_jpegs_of, part, self._spool)))
        all_positions = torch.cat(positions) if positions else torch.empty(0, dtype=torch.int64)
        columns = {name: column[:rows] for name, column in self._columns.items()}
        names = self._source.names
        return Features(
            features=columns.get("features", torch.empty(0, extractor.dim or 0)),
            logits=columns.get("logits"),
            names=tuple(names) if rows == len(names) else tuple(names[k] for k in all_positions.tolist()),
            skipped=tuple(skipped),
            extractor=extractor.name,
            fingerprint=extractor.fingerprint,
            description=self._source.description,
            positions=all_positions,
            total=self._room,
            extra=_under("extra.", columns),
            facts={name: columns[f"facts.{name}"] for name in FACTS if columns},
            thumbnails=Thumbnails(pictures),
            content=content_of(bytes.fromhex(content) for content in self.contents()),
        )


def _under(prefix: str, columns: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): column
        for name, column in sorted(columns.items())
        if name.startswith(prefix)
    }


def _jpegs_of(part: _Part, spool: Spool) -> Jpegs | None:
    if part.path is not None:
        return jpegs_in(part.path)
    assert part.spooled is not None
    return from_bytes(spool.get(part.spooled)).thumbnails
