"""Images in a Hugging Face `datasets.Dataset`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assay.data.decode import UnreadableImage, require_pillow
from assay.data.folder import read_image_file
from assay.data.labels import coded
from assay.data.names import RowNames, shown
from assay.data.source import ImageSource
from assay.data.stored_file import signature_of
from assay.errors import DataError, MissingExtra, UsageError

LABEL_COLUMNS = ("label", "labels", "class")


@dataclass(frozen=True)
class DatasetReader:
    """index -> the bytes of an image, as the data set stores it."""

    rows: Any = field(repr=False)  # the column of images alone, not decoded
    column: str

    def __call__(self, index: int) -> bytes:
        name = str(index)
        try:
            stored = self.rows[index][self.column]
        except Exception as error:  # a memory-mapped table that was deleted, a damaged one
            raise UnreadableImage(name, f"damaged in the data set: {type(error).__name__}") from None
        content = None if stored is None else stored["bytes"]
        if content is not None:
            return bytes(content)
        path = None if stored is None else stored["path"]
        if not path:
            raise UnreadableImage(name, "the row holds no bytes")
        return read_image_file(Path(path), name)


def dataset_images(dataset: Any, *, column: str | None = None) -> ImageSource:
    """The images of a `datasets.Dataset`, as they are stored, named by their row numbers.

    column: which column of type `datasets.Image`, where there are several. Labels come from the column of type
        `ClassLabel`, or from one of integers or texts named label, labels or class.

    Raises `DataError` for a data set without rows, without a column of images or with several; `UsageError` for a
    `DatasetDict`, whose split has to be chosen, and an `IterableDataset`, whose rows have no numbers; `MissingExtra`
    without datasets.
    """
    try:
        from datasets import Dataset, DatasetDict, Image, IterableDataset, IterableDatasetDict
    except ImportError:
        raise MissingExtra("datasets", "datasets", "reading a datasets.Dataset") from None
    require_pillow()
    if isinstance(dataset, (DatasetDict, IterableDatasetDict)):
        splits = list(dataset)
        raise UsageError(
            f"dataset is a {type(dataset).__name__} with the splits {', '.join(map(str, splits))}: choose one, "
            f"e.g. dataset[{splits[0] if splits else 'train'!r}]"
        )
    if isinstance(dataset, IterableDataset):
        raise UsageError(
            "dataset is an IterableDataset, whose rows can be read only in turn: load it without streaming=True"
        )
    if not isinstance(dataset, Dataset):
        raise UsageError(f"dataset must be a datasets.Dataset, not {type(dataset).__name__}")
    description = "data set" + (f" {shown(dataset.info.dataset_name)}" if dataset.info.dataset_name else "")
    description += f", split {dataset.split}" if dataset.split is not None else ""
    chosen = _image_column(dataset, column, Image, description)
    if len(dataset) == 0:
        raise DataError(f"{description} has no rows")
    rows = dataset.select_columns([chosen]).with_format(None).cast_column(chosen, Image(decode=False))
    return ImageSource(
        RowNames(len(dataset)),
        description,
        DatasetReader(rows, chosen),
        _labels(dataset),
        _signature(dataset, chosen),
    )


def _image_column(dataset: Any, wanted: str | None, image: type, description: str) -> str:
    found = [name for name, kind in dataset.features.items() if isinstance(kind, image)]
    held = (
        ", ".join(f"{shown(name)} ({type(kind).__name__})" for name, kind in dataset.features.items())
        or "none"
    )
    if wanted is not None:
        if wanted not in found:
            raise UsageError(f"{description} has no column of images {shown(wanted)}; its columns are {held}")
        return wanted
    if not found:
        raise DataError(
            f"{description} has no column of type Image; its columns are {held}; "
            "cast one with dataset.cast_column(name, datasets.Image())"
        )
    if len(found) > 1:
        raise DataError(
            f"{description} has several columns of images ({', '.join(map(shown, found))}): say which by column="
        )
    return str(found[0])


def _labels(dataset: Any) -> Sequence[str] | None:
    from datasets import ClassLabel

    of_classes = [name for name, kind in dataset.features.items() if isinstance(kind, ClassLabel)]
    by_name = [name for name in LABEL_COLUMNS if name in dataset.features]
    named = [name for name in by_name if name in of_classes] or of_classes[:2] or by_name[:1]
    if len(named) != 1:
        return None
    column = named[0]
    kind = dataset.features[column]
    values = dataset.select_columns([column]).with_format(None)[:][column]
    if not all(value is None or isinstance(value, (int, str)) for value in values):
        return None
    if all(value is None or value == -1 for value in values):  # how a test split hides its labels
        return None
    names = kind.names if column in of_classes else None

    def name(value: int | str | None) -> str:
        if value is None or value == -1:
            return ""
        return str(names[value]) if names is not None and isinstance(value, int) else str(value)

    return coded(map(name, values))


def _signature(dataset: Any, column: str) -> str | None:
    """The library's fingerprint; None where rows hold paths alone, whose files may change beneath it."""
    fingerprint = getattr(dataset, "_fingerprint", None)
    if not isinstance(fingerprint, str):
        return None
    for chunk in dataset.data.column(column).chunks:
        at = chunk.type.get_field_index("bytes") if hasattr(chunk.type, "get_field_index") else -1
        if at < 0 or chunk.null_count or chunk.field(at).null_count:
            return None
    return signature_of(["datasets", fingerprint, column])
