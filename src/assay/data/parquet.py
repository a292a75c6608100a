"""Images in a column of a Parquet file, read a row group at a time."""

from __future__ import annotations

import json
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np

from assay.data.decode import MAX_FILE_BYTES, UnreadableImage, require_pillow
from assay.data.labels import CodedLabels
from assay.data.names import RowNames, shown
from assay.data.source import ImageSource
from assay.data.stored_file import LocalFile, StoredFile, as_binary_file, signature_of
from assay.errors import DataError, MissingExtra, UsageError

LABEL_COLUMNS = ("label", "labels", "class")
# Of images that are held together; a row group above it is read in pieces, down to a page, which is read whole.
BLOCK_BYTES = 32 << 20
KEPT_BLOCKS = 4
NAMED_AT_MOST = 20


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
            return _safely(file, lambda: self._read(file, layout, group, block))

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
                self._read = _safely(self._file, self._load)
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


def open_parquet(file: StoredFile, *, column: str | None = None) -> ImageSource:
    """The images in a Parquet file, named by their row numbers.

    column: which, where there are several. A column of images is a struct with the field `bytes`, as Hugging Face
        writes it, or holds plain bytes. Labels come from a column of Hugging Face's ClassLabel, or from one of integers
        or texts named label, labels or class.

    Raises `DataError` for a file that is damaged, has no column of images or several, or no rows; `UsageError` for a
    `column` that is not there; `MissingExtra` without pyarrow.
    """
    require_pillow()
    source: ImageSource = _safely(file, lambda: _opened(file, column))
    return source


def _opened(file: StoredFile, wanted: str | None) -> ImageSource:
    opened = open_parquet_file(file)
    schema, metadata = opened.schema_arrow, opened.metadata
    features = _hugging_face_features(schema)
    description = f"Parquet {file.location}"
    column = _image_column(schema, features, wanted, description)
    nested = _is_struct(schema.field(column).type)
    ends, block_rows = [], []
    rows = 0
    for group in range(metadata.num_row_groups):
        about = metadata.row_group(group)
        if about.num_rows < 0:
            raise DataError(f"{description} is damaged: a row group of {about.num_rows} rows")
        rows += about.num_rows
        ends.append(rows)
        size = sum(
            about.column(i).total_uncompressed_size
            for i in range(about.num_columns)
            if f"{about.column(i).path_in_schema}.".startswith(f"{column}.")
        )
        block_rows.append(max(1, min(about.num_rows, BLOCK_BYTES * about.num_rows // max(1, size))))
    if rows == 0:
        raise DataError(f"{description} has no rows")
    if not _is_count(rows):
        raise DataError(f"{description} is damaged: it says {rows:,} rows")
    return ImageSource(
        RowNames(rows),
        f"{description}, column {shown(column)}" if wanted is not None else description,
        ParquetReader(file, Layout(column, nested, tuple(ends), tuple(block_rows))),
        _labels(file, schema, features, metadata, rows),
        signature_of([file.identity, column]),
    )


def _is_count(rows: int) -> bool:
    """Whether a count of rows can be one: a damaged footer says anything."""
    return 0 <= rows < 1 << 40


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


def _safely(file: StoredFile, action: Any) -> Any:
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


def _hugging_face_features(schema: Any) -> Mapping[str, Any]:
    try:
        written = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return {}
    return written if isinstance(written, dict) else {}


def _kind(features: Mapping[str, Any], column: str) -> object:
    about = features.get(column)
    return about.get("_type") if isinstance(about, dict) else None


def _image_column(schema: Any, features: Mapping[str, Any], wanted: str | None, description: str) -> str:
    held = (
        ", ".join(f"{shown(f.name)} ({shown(str(f.type))[:60]})" for f in list(schema)[:NAMED_AT_MOST])
        or "none"
    )
    names = list(schema.names)
    if wanted is not None:
        if names.count(wanted) != 1:
            raise UsageError(f"{description} has no column {shown(wanted)}; its columns are {held}")
        if not (_is_struct(schema.field(wanted).type) or _is_binary(schema.field(wanted).type)):
            raise DataError(f"{description}: column {shown(wanted)} holds no images; the columns are {held}")
        return wanted
    said = [f.name for f in schema if _kind(features, f.name) == "Image"]
    structs = [f.name for f in schema if _is_struct(f.type)]
    plain = [f.name for f in schema if _is_binary(f.type)]
    found = [name for name in said if name in structs or name in plain] or structs or plain
    if not found:
        raise DataError(
            f"{description} has no column of images (bytes, or a struct with the field bytes); its columns are {held}"
        )
    if len(found) > 1:
        raise DataError(
            f"{description} has several columns of images ({', '.join(map(shown, found))}): say which after the path, "
            f"e.g. #{shown(found[0])}"
        )
    return str(found[0])


def _is_binary(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind))


def _is_struct(kind: Any) -> bool:
    import pyarrow.types as types

    if not types.is_struct(kind):
        return False
    at = kind.get_field_index("bytes")
    return at >= 0 and _is_binary(kind.field(at).type)


def _labels(
    file: StoredFile, schema: Any, features: Mapping[str, Any], metadata: Any, rows: int
) -> ParquetLabels | None:
    import pyarrow.types as types

    of_classes = [name for name in schema.names if _kind(features, name) == "ClassLabel"]
    by_name = [name for name in LABEL_COLUMNS if name in schema.names]
    named = [name for name in by_name if name in of_classes] or of_classes[:2] or by_name[:1]
    if len(named) != 1 or schema.names.count(named[0]) != 1:  # of a coarse and a fine one, nobody said which
        return None
    column = named[0]
    kind = schema.field(column).type
    kind = kind.value_type if types.is_dictionary(kind) else kind
    if not (types.is_integer(kind) or types.is_string(kind) or types.is_large_string(kind)):
        return None
    if _has_no_label(metadata, column):
        return None
    classes = features[column].get("names") if column in of_classes else None
    if not (isinstance(classes, list) and all(isinstance(name, str) for name in classes)):
        classes = None
    return ParquetLabels(file, column, classes, rows)


def _has_no_label(metadata: Any, column: str) -> bool:
    """Whether the footer says that every row's label is null or -1, as in a test split whose labels are hidden."""
    for group in range(metadata.num_row_groups):
        about = metadata.row_group(group)
        chunks = [about.column(i) for i in range(about.num_columns)]
        found = next((chunk for chunk in chunks if chunk.path_in_schema == column), None)
        if found is None or not found.is_stats_set or found.statistics is None:
            return False
        statistics = found.statistics
        all_null = statistics.has_null_count and statistics.null_count == about.num_rows
        hidden = statistics.has_min_max and statistics.min == -1 and statistics.max == -1
        if not (all_null or hidden):
            return False
    return True
