"""Images in a zip, read in place: nothing is extracted."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from assay.data.decode import MAX_FILE_BYTES, UnreadableImage, require_pillow
from assay.data.names import is_hidden, is_image_name, no_images, shown
from assay.data.source import ImageSource
from assay.data.stored_file import StoredFile, as_binary_file, signature_of
from assay.errors import DataError

LOCAL_HEADER = struct.Struct("<4s5H3L2H")
ROOM_FOR_EXTRA = 256  # fields of a member's own header, whose length only that header tells


@dataclass(frozen=True)
class ZipMembers:
    """Where each image is: parallel arrays, because a million of `zipfile`'s own records take a gigabyte."""

    offset: NDArray[np.int64]
    stored_size: NDArray[np.int64]
    size: NDArray[np.int64]
    checksum: NDArray[np.uint32]
    method: NDArray[np.uint16]
    encrypted: NDArray[np.bool_]


@dataclass(frozen=True)
class ZipReader:
    """index -> the bytes of an image, of members of one zip, each by one read of its own place."""

    file: StoredFile
    names: tuple[str, ...]
    members: ZipMembers = field(repr=False)

    def __call__(self, index: int) -> bytes:
        name = self.names[index]
        try:
            return self._read(index)
        except zipfile.BadZipFile as error:
            reason = "damaged: wrong checksum" if "CRC" in str(error) else "damaged in the zip"
        except NotImplementedError:
            reason = "compressed by a method this Python cannot undo"
        except DataError:  # of the archive itself, or named already
            raise
        except MemoryError:
            reason = "too large for the memory"
        except Exception as error:  # the fields of a hostile archive reach struct, zlib, lzma and bz2
            reason = f"damaged in the zip: {type(error).__name__}"
        raise UnreadableImage(name, reason)

    def _read(self, index: int) -> bytes:
        name, members = self.names[index], self.members
        size, stored_size = int(members.size[index]), int(members.stored_size[index])
        if max(size, stored_size) > MAX_FILE_BYTES:
            raise UnreadableImage(name, f"more than {MAX_FILE_BYTES:,} bytes")
        if members.encrypted[index]:
            raise UnreadableImage(name, "encrypted")
        start = int(members.offset[index])
        whole = min(
            self.file.size - start, LOCAL_HEADER.size + len(name.encode()) + ROOM_FOR_EXTRA + stored_size
        )
        if start < 0 or whole < LOCAL_HEADER.size:
            raise UnreadableImage(name, "damaged in the zip")
        content = self.file.read_at(start, whole)
        fields = LOCAL_HEADER.unpack_from(content)
        begin = LOCAL_HEADER.size + fields[9] + fields[10]
        if fields[0] != b"PK\x03\x04" or start + begin + stored_size > self.file.size:
            raise UnreadableImage(name, "damaged in the zip")
        if begin + stored_size > len(content):
            content = self.file.read_at(start, begin + stored_size)
        return _unpacked(content[begin : begin + stored_size], members, index)


def _unpacked(content: bytes, members: ZipMembers, index: int) -> bytes:
    info = zipfile.ZipInfo("image")
    info.compress_type = int(members.method[index])
    info.compress_size = len(content)
    info.file_size = int(members.size[index])
    info.CRC = int(members.checksum[index])
    with zipfile.ZipExtFile(io.BytesIO(content), "r", info) as member:
        unpacked = member.read()
    if len(unpacked) != info.file_size:
        raise zipfile.BadZipFile("shorter than it says")
    return unpacked


def open_zip(file: StoredFile) -> ImageSource:
    """Every image in a zip, at any depth, sorted by member name.

    Raises `DataError` for a file that is not a zip, for two members of one name, for a zip without images.
    """
    require_pillow()
    infos = [
        info for info in members_of(file) if not info.filename.endswith("/") and not is_hidden(info.filename)
    ]
    images = sorted((info for info in infos if is_image_name(info.filename)), key=lambda info: info.filename)
    description = f"zip {file.location}"
    if not images:
        raise no_images(description, (info.filename for info in infos))
    names = tuple(info.filename for info in images)
    twice = next((a for a, b in pairwise(names) if a == b), None)
    if twice is not None:
        raise DataError(
            f"{description} has two members named {shown(twice)}: an image's name must be its own"
        )
    return ImageSource(
        names, description, ZipReader(file, names, _places(images)), signature=signature_of([file.identity])
    )


def members_of(file: StoredFile) -> list[zipfile.ZipInfo]:
    """The table of contents; raises `DataError` where there is none, or a damaged one."""
    try:
        with as_binary_file(file) as opened, zipfile.ZipFile(opened) as archive:
            return archive.infolist()
    except DataError:
        raise
    except zipfile.BadZipFile:
        raise DataError(f"{file.location} is not a zip, or is cut off: it has no table of contents") from None
    except Exception as error:  # a hostile table of contents may raise anything
        raise DataError(f"{file.location} has a damaged table of contents ({type(error).__name__})") from None


def _places(infos: Sequence[zipfile.ZipInfo]) -> ZipMembers:
    # a hostile archive's zip64 fields exceed 63 bits: such a place is outside any file
    def places(values: list[int]) -> NDArray[np.int64]:
        return np.array([value if 0 <= value < 1 << 62 else 1 << 62 for value in values], np.int64)

    return ZipMembers(
        offset=places([info.header_offset for info in infos]),
        stored_size=places([info.compress_size for info in infos]),
        size=places([info.file_size for info in infos]),
        checksum=np.array([info.CRC for info in infos], np.uint32),
        method=np.array([info.compress_type for info in infos], np.uint16),
        encrypted=np.array([bool(info.flag_bits & 0x1) for info in infos], np.bool_),
    )
