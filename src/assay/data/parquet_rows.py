"""How are single rows of a Parquet file read? A block of a row group at a time, of which the last few are kept."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np

from assay.data.decode import MAX_FILE_BYTES, UnreadableImage
from assay.data.labels import CodedLabels
from assay.data.names import shown
from assay.data.stored_file import LocalFile, StoredFile, as_binary_file
from assay.errors import DataError, MissingExtra, UsageError

KEPT_BLOCKS = 4


@dataclass(frozen=True)
class Layout:
    """Where the images of a file are.

    column: of images; nested: whether it is a struct with the field `bytes`.
    ends: how many rows the row groups up to each have; block_rows: how many rows of each are read together.
    """

    column: str
    nested: bool
    ends: tuple[int, ...]
    block_rows: tuple[int, ...]

    def place(self, index: int) -> tuple[int, int, int]:
        """Row group, block in it, row in that."""
        group = int(np.searchsorted(self.ends, index, side="right"))
        within = index - (self.ends[group - 1] if group else 0)
        return group, *divmod(within, self.block_rows[group])


@dataclass(frozen=True)
class ParquetReader:
    """index -> the bytes of an image, of one file that is opened at the first image."""

    file: StoredFile
    layout: Layout = field(repr=False)
    _blocks: _Blocks = field(default_factory=lambda: _Blocks(), init=False, repr=False, compare=False)

    def __reduce__(self) -> tuple[type[ParquetReader], tuple[StoredFile, Layout]]:
        return ParquetReader, (self.file, self.layout)  # a copy in another process opens the file anew

    def __call__(self, index: int) -> bytes:
        group, block, row = self.layout.place(index)
        values = self._blocks.get(self.file, self.layout, group, block)
        if row >= len(values):
            raise DataError(f"{self.file.location}: row group {group} has fewer rows than the file says")
        value = values[row]
        if not value.is_valid:
            raise UnreadableImage(str(index), "the row holds no bytes")
        buffer = value.as_buffer()
        if buffer.size > MAX_FILE_BYTES:
            raise UnreadableImage(str(index), f"more than {MAX_FILE_BYTES:,} bytes")
        content: bytes = buffer.to_pybytes()
        return content


class _Blocks:
    """The last few blocks of one file, for all threads, and the place where reading stands in a large row group."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.process = 0
        self.kept: OrderedDict[tuple[int, int], Any] = OrderedDict()
        self.opened: Any = None
        self.walk: tuple[int, int, Iterator[Any]] | None = None  # row group, next block, what gives it

    def get(self, file: StoredFile, layout: Layout, group: int, block: int) -> Any:
        with self.lock:
            if self.process != os.getpid():  # a forked child shares the file's position
                self.kept.clear()
                self.opened, self.walk, self.process = None, None, os.getpid()
            if (group, block) in self.kept:
                self.kept.move_to_end((group, block))
                return self.kept[group, block]
            return safely(file, lambda: self._read(file, layout, group, block))

    def _read(self, file: StoredFile, layout: Layout, group: int, block: int) -> Any:
        if self.opened is None:
            self.opened = open_parquet_file(file)
        columns = [f"{layout.column}.bytes" if layout.nested else layout.column]
        if self.walk is None or self.walk[0] != group or self.walk[1] > block:
            batches = self.opened.iter_batches(
                batch_size=layout.block_rows[group], row_groups=[group], columns=columns, use_threads=False
            )
            self.walk = (group, 0, batches)
        _, at, batches = self.walk
        values = None
        while at <= block:
            batch = next(batches, None)
            if batch is None:
                raise DataError(f"{file.location}: row group {group} has fewer rows than the file says")
            values = batch.column(0)
            if layout.nested:
                # not `field`, which passes over the rows where the struct itself is null
                import pyarrow.compute as pc

                values = pc.struct_field(values, "bytes")
            self.kept[group, at] = values
            while len(self.kept) > KEPT_BLOCKS:
                self.kept.popitem(last=False)
            at += 1
            self.walk = (group, at, batches)
        return values


class ParquetLabels(Sequence[str]):
    """The label column of one file, read when the first label is asked for; "" for a row without one."""

    def __init__(self, file: StoredFile, column: str, classes: Sequence[str] | None, count: int) -> None:
        self._file, self._column, self._classes, self._count = file, column, classes, count
        self._lock = threading.Lock()
        self._read: CodedLabels | None = None

    def __reduce__(self) -> tuple[type[ParquetLabels], tuple[object, ...]]:
        return ParquetLabels, (self._file, self._column, self._classes, self._count)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        with self._lock:
            if self._read is None:
                self._read = safely(self._file, self._load)
        return self._read[index]

    def _load(self) -> CodedLabels:
        column = open_parquet_file(self._file).read([self._column]).column(0).combine_chunks()
        if len(column) != self._count:
            raise DataError(f"{self._file.location}: column {shown(self._column)} has another number of rows")
        encoded = column if hasattr(column, "dictionary") else column.dictionary_encode()
        classes = [self._name(value) for value in encoded.dictionary.to_pylist()]
        codes = encoded.indices.fill_null(len(classes)).to_numpy(zero_copy_only=False)
        return CodedLabels(codes.astype(np.int32), [*classes, ""])

    def _name(self, value: object) -> str:
        if value is None or (
            isinstance(value, int) and value == -1
        ):  # -1: how a hidden test label is written
            return ""
        if self._classes is None:
            return str(value)
        if not isinstance(value, int) or not 0 <= value < len(self._classes):
            raise DataError(
                f"{self._file.location}: column {shown(self._column)} has the label {value!r}; "
                f"its classes are 0 to {len(self._classes) - 1}"
            )
        return self._classes[value]


def open_parquet_file(file: StoredFile) -> Any:
    """A `pyarrow.parquet.ParquetFile` that reads only what it is asked for."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtra("pyarrow", "parquet", "reading Parquet") from None
    if isinstance(file, LocalFile):
        file.read_at(0, min(4, file.size))  # that it is still the file that was opened first
        return pq.ParquetFile(pa.OSFile(str(file.path), "rb"), pre_buffer=False, buffer_size=1 << 20)
    return pq.ParquetFile(pa.PythonFile(as_binary_file(file), "r"), pre_buffer=False, buffer_size=1 << 22)


def safely(file: StoredFile, action: Any) -> Any:
    """What `action` gives; pyarrow's failures on damaged files, of any kind, as one sentence."""
    try:
        return action()
    except (DataError, UsageError, MissingExtra):
        raise
    except MemoryError:
        said = "too large for the memory"
    except Exception as error:
        said = " ".join(str(error).split())[:120] or type(error).__name__
    if "magic bytes" in said or "footer" in said.lower():
        raise DataError(f"{file.location} is not a Parquet file, or is cut off")
    raise DataError(f"{file.location} is a damaged Parquet file: {said}")
