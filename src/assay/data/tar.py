"""Images in a plain tar, read in place.

Where other files share an image's name up to its first dot, the tar is a WebDataset shard: `0001.jpg` and
`0001.cls` are one sample, and the text in `.cls` is its label.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from assay.data.decode import MAX_FILE_BYTES, UnreadableImage, require_pillow
from assay.data.labels import CodedLabels, coded
from assay.data.names import is_hidden, is_image_name, no_images, shown
from assay.data.source import ImageSource
from assay.data.stored_file import StoredFile, signature_of
from assay.data.tar_headers import Member, TarHeaders
from assay.errors import DataError, UsageError

MAX_LABEL_BYTES = 1024


@dataclass(frozen=True)
class TarReader:
    """index -> the bytes of an image, of members of one tar."""

    file: StoredFile
    names: tuple[str, ...]
    offsets: NDArray[np.int64] = field(repr=False)
    sizes: NDArray[np.int64] = field(repr=False)

    def __call__(self, index: int) -> bytes:
        size = int(self.sizes[index])
        if size > MAX_FILE_BYTES:
            raise UnreadableImage(self.names[index], f"more than {MAX_FILE_BYTES:,} bytes")
        return self.file.read_at(int(self.offsets[index]), size)


def open_tar(file: StoredFile, *, extension: str | None = None) -> ImageSource:
    """Every image in a tar, at any depth, sorted by member name; labels from `.cls` members where all have one.

    extension: which image of a sample, where a WebDataset has several: the part of the name after its first dot.

    Raises `DataError` for a file that is no plain tar or is cut off; a member that is a link or lies outside; two
    members of one name; several images a sample and no `extension`; a tar without images.
    """
    require_pillow()
    description = f"tar {file.location}"
    labels: dict[str, str] = {}
    found: list[Member] = []
    others: list[str] = []
    sidecars: set[str] = set()
    with_headers = TarHeaders(file)
    for member in with_headers.members():
        if is_hidden(member.name):
            continue
        if is_image_name(member.name):
            found.append(member)
            continue
        others.append(f"other{PurePosixPath(member.name).suffix}")
        key, ending = _sample(member.name)
        sidecars.add(key)
        if ending == "cls":
            labels[key] = _label(with_headers, member)
    if extension is not None:
        found = _with_extension(found, extension, description)
    if not found:
        raise no_images(description, others)
    found.sort(key=lambda member: member.name)
    twice = next((a.name for a, b in pairwise(found) if a.name == b.name), None)
    if twice is not None:
        raise DataError(
            f"{description} has two members named {shown(twice)}: an image's name must be its own"
        )
    if extension is None:
        _check_one_image_a_sample(found, sidecars, description)
    names = tuple(member.name for member in found)
    reader = TarReader(
        file,
        names,
        np.array([member.offset for member in found], np.int64),
        np.array([member.size for member in found], np.int64),
    )
    own = _labels_of(names, labels) if labels else None
    return ImageSource(
        names, description, reader, own, signature_of([file.identity, "" if extension is None else extension])
    )


def _sample(name: str) -> tuple[str, str]:
    """The sample that a member is of, and which part: the name up to its first dot, and what follows."""
    path = PurePosixPath(name)
    stem, _, ending = path.name.partition(".")
    return str(path.with_name(stem)) if stem else name, ending.lower()


def _label(headers: TarHeaders, member: Member) -> str:
    content = headers.bytes_at(member.offset, member.size) if member.size <= MAX_LABEL_BYTES else b""
    label = content.decode("utf-8", "replace").strip()
    if not label or not label.isprintable():
        raise DataError(
            f"{headers.file.location}: member {shown(member.name)} must hold a class, as one short line of text"
        )
    return label


def _with_extension(found: list[Member], extension: str, description: str) -> list[Member]:
    wanted = extension.lower().removeprefix(".")
    chosen = [member for member in found if _sample(member.name)[1] == wanted]
    if not chosen:
        there = sorted({_sample(member.name)[1] for member in found})[:10]
        raise UsageError(
            f"{description} has no images that end in .{shown(wanted)}: it has {', '.join(there) or 'none'}"
        )
    return chosen


def _check_one_image_a_sample(found: Sequence[Member], sidecars: set[str], description: str) -> None:
    endings: dict[str, list[str]] = defaultdict(list)
    for member in found:
        key, ending = _sample(member.name)
        endings[key].append(ending)
    several = {key: each for key, each in endings.items() if len(each) > 1}
    alike = len(endings) > 1 and len(several) == len(endings) and len(set(map(tuple, several.values()))) == 1
    if several and (alike or any(key in sidecars for key in several)):
        key, each = next(iter(several.items()))
        raise DataError(
            f"{description} has several images a sample ({shown(key)}: {', '.join(each)}); "
            f"say which after the path, e.g. #{each[0]}"
        )


def _labels_of(names: Sequence[str], labels: dict[str, str]) -> CodedLabels:
    return coded([labels.get(_sample(name)[0], "") for name in names])
