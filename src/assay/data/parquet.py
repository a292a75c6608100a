"""Images in a column of a Parquet file, read a row group at a time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from assay.data.decode import require_pillow
from assay.data.names import RowNames, shown
from assay.data.parquet_rows import Layout, ParquetLabels, ParquetReader, open_parquet_file, safely
from assay.data.source import ImageSource
from assay.data.stored_file import StoredFile, signature_of
from assay.errors import DataError, UsageError

LABEL_COLUMNS = ("label", "labels", "class")
# Of images that are held together; a row group above it is read in pieces, down to a page, which is read whole.
BLOCK_BYTES = 32 << 20
NAMED_AT_MOST = 20


def open_parquet(file: StoredFile, *, column: str | None = None) -> ImageSource:
    """The images in a Parquet file, named by their row numbers.

    column: which, where there are several. A column of images is a struct with the field `bytes`, as Hugging Face
        writes it, or holds plain bytes. Labels come from a column of Hugging Face's ClassLabel, or from one of integers
        or texts named label, labels or class.

    Raises `DataError` for a file that is damaged, has no column of images or several, or no rows; `UsageError` for a
    `column` that is not there; `MissingExtra` without pyarrow.
    """
    require_pillow()
    source: ImageSource = safely(file, lambda: _opened(file, column))
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
