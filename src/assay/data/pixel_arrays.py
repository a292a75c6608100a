"""Images in `.npy` and `.npz` files of uint8 arrays, one image read at a time; nothing is unpickled."""

from __future__ import annotations

import ast
import threading
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from assay.data.archive import LOCAL_HEADER, members_of
from assay.data.arrays import has_channels_first, in_three_channels, wrong_type
from assay.data.labels import CodedLabels, coded
from assay.data.names import RowNames, shown
from assay.data.source import ImageSource
from assay.data.stored_file import StoredFile, as_binary_file, signature_of
from assay.data.urls import refuse_url
from assay.errors import DataError, UsageError

MAX_UNPACKED = 2 << 30  # bytes of a compressed array, which has to be held whole
MAX_HEADER = 1 << 16
MAX_LABELS_BYTES = 1 << 28
STATISTICS = frozenset({"mu", "sigma", "mu_s", "sigma_s"})
LABEL_ARRAYS = ("arr_1", "labels", "label", "y", "classes", "class")
NAMED_AT_MOST = 10


@dataclass(frozen=True)
class Header:
    """What a `.npy` says before its numbers; begin: where they begin."""

    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    fortran_order: bool
    begin: int

    @property
    def size(self) -> int:
        """Of the numbers, in bytes."""
        size = self.dtype.itemsize
        for side in self.shape:
            size *= side
        return size

    def __str__(self) -> str:
        kind = "Python objects" if self.dtype.hasobject else str(self.dtype)
        return f"{kind} ({', '.join(map(str, self.shape))})"


@dataclass(frozen=True)
class RowReader:
    """index -> image, by one read of its row in a file."""

    file: StoredFile
    begin: int
    shape: tuple[int, ...]  # of one image
    channels_first: bool

    def __call__(self, index: int) -> NDArray[np.uint8]:
        size = int(np.prod(self.shape, dtype=np.int64))
        row = np.frombuffer(self.file.read_at(self.begin + index * size, size), np.uint8).reshape(self.shape)
        return in_three_channels(row.transpose(1, 2, 0) if self.channels_first else row)


@dataclass(frozen=True)
class UnpackedReader:
    """index -> image, of a compressed member of an `.npz`, which is unpacked whole at the first image."""

    file: StoredFile
    member: str
    header: Header
    channels_first: bool
    _held: _Held = field(default_factory=lambda: _Held(), init=False, repr=False, compare=False)

    def __reduce__(self) -> tuple[type[UnpackedReader], tuple[object, ...]]:
        return UnpackedReader, (self.file, self.member, self.header, self.channels_first)

    def __call__(self, index: int) -> NDArray[np.uint8]:
        row = self._held.rows(self.file, self.member, self.header)[index]
        return in_three_channels(row.transpose(1, 2, 0) if self.channels_first else row)


class _Held:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.array: NDArray[np.uint8] | None = None

    def rows(self, file: StoredFile, member: str, header: Header) -> NDArray[np.uint8]:
        with self.lock:
            if self.array is None:
                self.array = np.frombuffer(_unpacked(file, member, header), np.uint8).reshape(header.shape)
            return self.array


def open_npy(file: StoredFile) -> ImageSource:
    """The images in a `.npy` of uint8 (N, H, W, C) or (N, C, H, W), with one or three channels.

    Raises `DataError` for a file that is damaged, cut off or of another shape or type; `UsageError` for features.
    """
    header = npy_header(file)
    where = file.location
    if header.dtype.kind == "f" and len(header.shape) == 2:
        refuse_url(where, "features")
        raise UsageError(f"{where} holds {header}, which are features, not images: use load_features")
    _check_pixels(header, where)
    if header.begin + header.size > file.size:
        raise DataError(f"{where} is cut off: it says {header} and has {file.size:,} bytes")
    first = has_channels_first(header.shape, where)
    reader = RowReader(file, header.begin, header.shape[1:], first)
    return ImageSource(
        RowNames(header.shape[0]), f"array file {where}", reader, signature=signature_of([file.identity])
    )


def npy_header(file: StoredFile) -> Header:
    """Type and shape of the array in a `.npy`; raises `DataError` for a file that is none."""
    return _header(file.read_at(0, min(MAX_HEADER, file.size)), file.location)


def open_npz(file: StoredFile, *, array: str | None = None) -> ImageSource:
    """The images in an `.npz`: its one uint8 array of images, or the one named `array`.

    An array that is stored as it is (`np.savez`) is read an image at a time; a compressed one (`np.savez_compressed`)
    is unpacked into memory at the first image, and refused above 2 GiB. Integers of shape (N,) beside it, named
    `arr_1`, `labels`, `label`, `y`, `classes` or `class`, are the labels.

    Raises `DataError` for a damaged file, no array or several arrays of images, and an array of objects, as images
    of mixed widths make; `UsageError` for a file of statistics (`mu`, `sigma`).
    """
    infos = {
        info.filename.removesuffix(".npy"): info
        for info in members_of(file)
        if info.filename.endswith(".npy")
    }
    description = f"array file {file.location}"
    if array is not None and array not in infos:
        raise UsageError(f"{description} has no array {shown(array)}: it has {_list(infos)}")
    headers = {key: _member_header(file, info) for key, info in infos.items()}
    key = array if array is not None else _the_images(headers, description)
    header, info = headers[key], infos[key]
    what = f"{shown(key)} in {file.location}"
    _check_pixels(header, what)
    first = has_channels_first(header.shape, what)
    if info.file_size != header.begin + header.size:
        raise DataError(f"{what} is cut off: it says {header} and has {info.file_size:,} bytes")
    labels = _labels(file, headers, infos, key)
    signature = signature_of([file.identity, key])
    names = RowNames(header.shape[0])
    if info.compress_type == zipfile.ZIP_STORED:
        begin = _begin_of(file, info) + header.begin
        if begin + header.size > file.size:
            raise DataError(f"{what} is cut off")
        return ImageSource(
            names, description, RowReader(file, begin, header.shape[1:], first), labels, signature
        )
    if header.size > MAX_UNPACKED:
        raise DataError(
            f"{what} is compressed and has {header.size:,} bytes, above the {MAX_UNPACKED:,} that are unpacked into "
            "memory: save it with np.savez, which is read in place"
        )
    return ImageSource(
        names, description, UnpackedReader(file, info.filename, header, first), labels, signature
    )


def _the_images(headers: Mapping[str, Header], description: str) -> str:
    images = [key for key, h in headers.items() if h.dtype == np.uint8 and len(h.shape) == 4]
    if len(images) == 1:
        return images[0]
    held = _list({f"{key}: {header}": None for key, header in headers.items()})
    if images:
        raise DataError(
            f"{description} holds several arrays of images ({_list(images)}): say which after the path, "
            f"e.g. #{images[0]}"
        )
    objects = next((key for key, header in headers.items() if header.dtype.hasobject), None)
    if objects is not None:
        raise _objects(f"{shown(objects)} in {description}")
    if STATISTICS & set(headers):
        raise UsageError(
            f"{description} holds statistics ({held}), not images: it can stand for the real set where its measures "
            "need no more, and is read by assay.statistics"
        )
    raise DataError(f"{description} holds no images: expected one uint8 array (N, H, W, 3), it holds {held}")


def _check_pixels(header: Header, what: str) -> None:
    if header.dtype.hasobject:
        raise _objects(what)
    if header.dtype != np.uint8:
        raise wrong_type(what, str(header))
    if header.fortran_order:
        raise DataError(
            f"{what} is in Fortran order, where an image does not lie in one piece: save np.ascontiguousarray(images)"
        )


def _objects(what: str) -> DataError:
    return DataError(
        f"{what} is an array of Python objects, as images of different sizes make: it would have to be unpickled, "
        "which is never done; save images of one size as uint8, or as files in a zip"
    )


def _header(start: bytes, where: str) -> Header:
    try:
        major = start[6]
        if start[:6] != b"\x93NUMPY" or major not in (1, 2, 3):
            raise ValueError("it does not begin like one")
        width = 2 if major == 1 else 4
        length = int.from_bytes(start[8 : 8 + width], "little")
        begin = 8 + width + length
        if length > 10_000 or begin > len(start):
            raise ValueError("its header is cut off or too long")
        fields = ast.literal_eval(start[8 + width : begin].decode("utf-8" if major == 3 else "latin1"))
        dtype, shape = np.lib.format.descr_to_dtype(fields["descr"]), fields["shape"]
        if not all(isinstance(side, int) and 0 <= side < 1 << 48 for side in shape) or len(shape) > 32:
            raise ValueError("its shape is none")
        return Header(dtype, tuple(shape), bool(fields["fortran_order"]), begin)
    except Exception as error:  # a damaged header reaches the parser of Python literals
        said = " ".join(str(error).split())[:100]
        problem = DataError(f"{where} is not a whole .npy file: {said or type(error).__name__}")
    raise problem


def _member_header(file: StoredFile, info: zipfile.ZipInfo) -> Header:
    return _header(_read(file, info.filename, MAX_HEADER), f"{shown(info.filename)} in {file.location}")


def _read(file: StoredFile, member: str, length: int) -> bytes:
    """The first bytes of a member, unpacked."""
    try:
        with (
            as_binary_file(file) as opened,
            zipfile.ZipFile(opened) as archive,
            archive.open(member) as stream,
        ):
            pieces = []
            while length > 0 and (piece := stream.read(min(length, 1 << 24))):
                pieces.append(piece)
                length -= len(piece)
            return b"".join(pieces)
    except DataError:
        raise
    except Exception as error:  # a hostile archive reaches struct, zlib, lzma and bz2
        said = f"{type(error).__name__}"
    raise DataError(f"{shown(member)} in {file.location} is damaged in the zip ({said})")


def _unpacked(file: StoredFile, member: str, header: Header) -> bytes:
    content = _read(file, member, header.begin + header.size + 1)
    if len(content) != header.begin + header.size:
        raise DataError(f"{shown(member)} in {file.location} is cut off")
    return content[header.begin :]


def _begin_of(file: StoredFile, info: zipfile.ZipInfo) -> int:
    fixed = LOCAL_HEADER.size
    start = info.header_offset
    if not 0 <= start <= file.size - fixed:
        raise DataError(f"{shown(info.filename)} in {file.location} is damaged in the zip")
    fields = LOCAL_HEADER.unpack(file.read_at(start, fixed))
    return start + fixed + int(fields[9]) + int(fields[10])


def _labels(
    file: StoredFile, headers: Mapping[str, Header], infos: Mapping[str, zipfile.ZipInfo], images: str
) -> CodedLabels | None:
    count = headers[images].shape[0]
    for key in LABEL_ARRAYS:
        header = headers.get(key)
        if header is None or header.shape != (count,) or header.dtype.kind not in "iu":
            continue
        if header.size <= MAX_LABELS_BYTES:
            numbers = np.frombuffer(_unpacked(file, infos[key].filename, header), header.dtype)
            return coded(map(str, numbers.tolist()))
    return None


def _list(names: Sequence[str] | Mapping[str, object]) -> str:
    shown_names = [shown(name) for name in names]
    more = f" and {len(shown_names) - NAMED_AT_MOST} more" if len(shown_names) > NAMED_AT_MOST else ""
    return ", ".join(shown_names[:NAMED_AT_MOST]) + more or "nothing"
