"""What is kept of some hundred images in a row, and how does it lie in a file?"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

SUFFIX = ".safetensors"
PLACES, JPEGS, ENDS = "places", "thumbnails", "thumbnails.ends"
LARGEST_HEADER = 100_000_000


class DamagedShard(Exception):
    """The bytes are not what was written."""


@dataclass(frozen=True)
class Jpegs(Sequence[bytes]):
    """Small pictures end to end: `joined` uint8, and where each ends in it, (n,) int64."""

    joined: Tensor
    ends: Tensor

    @classmethod
    def of(cls, pictures: Sequence[bytes]) -> Jpegs:
        joined = np.frombuffer(b"".join(pictures), np.uint8).copy()
        ends = np.cumsum([len(picture) for picture in pictures], dtype=np.int64)
        return cls(torch.from_numpy(joined), torch.from_numpy(ends))

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, row: int) -> bytes: ...
    @overload
    def __getitem__(self, row: slice) -> list[bytes]: ...
    def __getitem__(self, row: int | slice) -> bytes | list[bytes]:
        if isinstance(row, slice):
            return [self[k] for k in range(*row.indices(len(self)))]
        start = int(self.ends[row - 1]) if row else 0
        return self.joined[start : int(self.ends[row])].numpy().tobytes()


@dataclass(frozen=True)
class Shard:
    """What a pass found in consecutive images of a set.

    total: how many images these are.
    places: (n,) int64, which of them have a row; the others could not be read.
    columns: by name, n rows each: `features`, `logits`, `extra.NAME`, `facts.NAME`. Empty where n = 0.
    thumbnails: n JPEGs.
    skipped: place and reason of each image without a row.
    shape: of every image as the network got it, (C, H, W); empty where n = 0.
    content: the name of the images' bytes, as `content_of` gives it.
    fleeting: one of the images could not even be read; that may pass, and is not to be remembered.
    """

    total: int
    places: Tensor
    columns: Mapping[str, Tensor]
    thumbnails: Jpegs
    skipped: tuple[tuple[int, str], ...]
    shape: tuple[int, ...]
    content: str
    fleeting: bool = False

    def __len__(self) -> int:
        return len(self.places)

    def without_columns(self) -> Shard:
        """Only the pictures, and which images they are of."""
        return replace(self, columns={})


def to_bytes(shard: Shard) -> bytes:
    """The shard as a safetensors file with a checksum of all of it in the header."""
    tensors = {name: column.contiguous() for name, column in shard.columns.items()}
    tensors |= {PLACES: shard.places, JPEGS: shard.thumbnails.joined, ENDS: shard.thumbnails.ends}
    about = json.dumps(
        {
            "total": shard.total,
            "skipped": shard.skipped,
            "shape": shard.shape,
            "content": shard.content,
            "fleeting": shard.fleeting,
        }
    )
    content: bytes = save(tensors, {"assay.shard": about, "checksum": _checksum(tensors, about)})
    return content


def from_bytes(content: bytes) -> Shard:
    """The shard that `to_bytes` wrote.

    Raises `DamagedShard` where a bit of it is another.
    """
    try:
        metadata = _metadata(content)
        tensors = load(content)
        about = metadata["assay.shard"]
        if _checksum(tensors, about) != metadata["checksum"]:
            raise DamagedShard("wrong checksum")
        told: dict[str, Any] = json.loads(about)
        places, joined, ends = (tensors.pop(name) for name in (PLACES, JPEGS, ENDS))
        return Shard(
            total=told["total"],
            places=places,
            columns=tensors,
            thumbnails=Jpegs(joined, ends),
            skipped=tuple((place, reason) for place, reason in told["skipped"]),
            shape=tuple(told["shape"]),
            content=told["content"],
            fleeting=told["fleeting"],
        )
    except (SafetensorError, KeyError, ValueError, TypeError, struct.error) as error:
        raise DamagedShard(str(error)) from None


def jpegs_in(path: Path) -> Jpegs | None:
    """Only the thumbnails of a shard's file; None where it is gone or damaged."""
    from safetensors import safe_open

    try:
        with safe_open(str(path), "pt") as file:
            return Jpegs(file.get_tensor(JPEGS), file.get_tensor(ENDS))
    except (OSError, SafetensorError):
        return None


def images_in(path: Path) -> int:
    """How many images a shard's file is about, from its header alone; 0 where it is gone or damaged."""
    try:
        with open(path, "rb") as file:
            start = file.read(8)
            size = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if size > LARGEST_HEADER:
                return 0
            return int(json.loads(_metadata(start + file.read(size))["assay.shard"])["total"])
    except (OSError, KeyError, ValueError, TypeError, struct.error):
        return 0


def _metadata(content: bytes) -> dict[str, str]:
    (size,) = struct.unpack_from("<Q", content)
    if size > min(LARGEST_HEADER, len(content) - 8):
        raise ValueError("cut off")
    header = json.loads(content[8 : 8 + size])
    return dict(header["__metadata__"])


def _checksum(tensors: Mapping[str, Tensor], about: str) -> str:
    # Against a disk's errors and a crash's, not against an enemy: a tenth of a cryptographic hash's time.
    sum_ = zlib.crc32(about.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        sum_ = zlib.crc32(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}".encode(), sum_)
        if tensor.numel():
            data = tensor.contiguous().view(-1).view(torch.uint8).numpy()
            sum_ = zlib.crc32(data.data, sum_)
    return f"{sum_:08x}"
