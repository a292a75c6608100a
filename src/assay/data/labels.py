"""Which class is each image of?"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from assay.data.names import JoinedNames, shown
from assay.data.source import ImageSource
from assay.data.urls import Options, file_at
from assay.errors import DataError, UsageError

FOLDERS = "folders"
NAME_COLUMNS = ("file", "file_name", "filename", "name", "image", "path")
LABEL_COLUMNS = ("label", "labels", "class", "category", "group")
MAX_TABLE_BYTES = 1 << 30
NAMED_AT_MOST = 10


class CodedLabels(Sequence[str]):
    """One of a few classes for each of many images, as a number an image and a name a class."""

    def __init__(self, codes: NDArray[np.int32], classes: Sequence[str]) -> None:
        self.codes = codes
        self.classes = tuple(classes)

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        if isinstance(index, slice):
            return tuple(self.classes[code] for code in self.codes[index])
        return self.classes[int(self.codes[index])]


def coded(labels: Iterable[str]) -> CodedLabels:
    """Labels in little memory."""
    classes: dict[str, int] = {}
    codes = np.array([classes.setdefault(label, len(classes)) for label in labels], np.int32)
    return CodedLabels(codes, tuple(classes))


def labels_of(
    source: ImageSource,
    given: str | os.PathLike[str] | None = None,
    *,
    storage_options: Mapping[str, object] | None = None,
) -> Sequence[str]:
    """One class an image, in the order of the images.

    given: `"folders"` for the first sub-folder an image lies in; the path or URL of a CSV file with a header, one
        column for the image (file, file_name, filename, name, image or path: its name in the source) and one for its
        class (label, labels, class, category or group); None for the labels that the source itself has.

    Raises `DataError` where an image has no label (the first ten are named), where the CSV names an image twice or is
    no such file; `UsageError` where None is given and the source has no labels.
    """
    if given is None:
        if source.labels is None:
            raise UsageError(
                f"{source.description} has no labels of its own: take them from its folders (labels='folders') or "
                "from a CSV file with the columns file and label"
            )
        labels = source.labels
        _check_all_named(source, (i for i, label in enumerate(labels) if not label), "its own labels")
        return labels
    if given == FOLDERS:
        return _from_folders(source)
    return _from_table(source, given, storage_options or {})


def _from_folders(source: ImageSource) -> CodedLabels:
    names = source.names
    # the prefix of a joined set is the archive an image lies in, and no folder of the set
    parts: Sequence[Sequence[str]] = names.parts if isinstance(names, JoinedNames) else (names,)
    labels = [name.partition("/")[0] if "/" in name else "" for part in parts for name in part]
    _check_all_named(source, (i for i, label in enumerate(labels) if not label), "sub-folders")
    return coded(labels)


def _from_table(source: ImageSource, path: str | os.PathLike[str], options: Options) -> CodedLabels:
    file = file_at(path, options)
    where = file.location
    if file.size > MAX_TABLE_BYTES:
        raise DataError(
            f"{where} has more than {MAX_TABLE_BYTES:,} bytes: expected a CSV file of names and labels"
        )
    try:
        text = file.read_at(0, file.size).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where} is not UTF-8 text at byte {error.start}: save the table as CSV in UTF-8"
        ) from None
    table: dict[str, str] = {}
    try:
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = next(rows, [])
        name_at, label_at = _columns(header, where)
        for row in rows:
            if not row:
                continue
            if len(row) != len(header):
                raise DataError(
                    f"{where}, line {rows.line_num}: {len(row)} fields where the header has {len(header)}"
                )
            name, label = row[name_at].removeprefix("./"), row[label_at].strip()
            if name in table:
                raise DataError(f"{where}, line {rows.line_num}: {shown(name)} is named a second time")
            if not label:
                raise DataError(f"{where}, line {rows.line_num}: {shown(name)} has an empty label")
            table[name] = label
    except csv.Error as error:
        raise DataError(f"{where} is not a whole CSV file: {error}") from None
    missing = (i for i, name in enumerate(source.names) if name not in table)
    _check_all_named(source, missing, where)
    return coded(table[name] for name in source.names)


def _columns(header: Sequence[str], where: str) -> tuple[int, int]:
    plain = [column.strip().lower() for column in header]
    found = []
    for meaning, known in (("the image", NAME_COLUMNS), ("its label", LABEL_COLUMNS)):
        at = [i for i, column in enumerate(plain) if column in known]
        if len(at) != 1:
            there = ", ".join(shown(column) for column in header[:NAMED_AT_MOST]) or "none"
            raise DataError(
                f"{where} must have one column for {meaning} ({', '.join(known)}), separated by commas; "
                f"its columns are {there}"
            )
        found.append(at[0])
    return found[0], found[1]


def _check_all_named(source: ImageSource, unlabelled: Iterable[int], where: str) -> None:
    missing = list(unlabelled)
    if missing:
        named = ", ".join(shown(source.names[i]) for i in missing[:NAMED_AT_MOST])
        more = f" and {len(missing) - NAMED_AT_MOST} more" if len(missing) > NAMED_AT_MOST else ""
        raise DataError(
            f"{len(missing)} of {len(source)} images in {source.description} have no label in {where}: {named}{more}"
        )
