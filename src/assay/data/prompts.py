"""Which text belongs to which image?"""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path

from assay.data.names import shown
from assay.errors import DataError

IMAGE_COLUMNS = ("image", "file", "name", "file_name", "filename")
PROMPT_COLUMNS = ("prompt", "text", "caption")
NAMED_AT_MOST = 5


def read_prompts(path: str | os.PathLike[str], names: Sequence[str]) -> list[str]:
    """The prompt of every image, in the order of `names`.

    path: a CSV file in UTF-8 with a header: a column `image` (or `file`, `name`, `file_name`, `filename`) with names
        as in `names`, and a column `prompt` (or `text`, `caption`). A prompt with a comma stands in quotes.
    names: the images', relative to their folder, as `ImageSource.names` has them.

    Raises `DataError`, naming them, for images without a row, rows without an image, images with two rows, empty
    prompts, a missing column (with the columns there are), or a file that cannot be read as CSV.
    """
    rows = _rows(Path(path))
    known = set(names)
    extra = [name for name in rows if name not in known]
    missing = [name for name in names if name not in rows]
    if missing:
        hint = f"; {len(extra)} rows fit no image ({_some(extra)})" if extra else ""
        raise DataError(
            f"{path}: {len(missing)} of {len(names)} images have no prompt ({_some(missing)}){hint}; the column of "
            "images holds names relative to the folder, such as dogs/0001.png"
        )
    if extra:
        raise DataError(f"{path}: {len(extra)} of {len(rows)} rows have no image ({_some(extra)})")
    return [rows[name] for name in names]


def _rows(path: Path) -> dict[str, str]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, None)
            if header is None:
                raise DataError(
                    f"{path} is empty: expected a header with image and prompt, and a row an image"
                )
            image, prompt = _column(path, header, IMAGE_COLUMNS), _column(path, header, PROMPT_COLUMNS)
            rows: dict[str, str] = {}
            twice: list[str] = []
            blank: list[str] = []
            for row in reader:
                if not row:
                    continue
                if len(row) != len(header):
                    raise DataError(
                        f"{path}: line {reader.line_num} has {len(row)} values, the header {len(header)}; "
                        "a prompt with a comma stands in double quotes"
                    )
                name = row[image].strip().removeprefix("./")
                if name in rows:
                    twice.append(name)
                rows[name] = row[prompt].strip()
                if not rows[name]:
                    blank.append(name)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({(error.strerror or str(error)).lower()})") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not a text file in UTF-8") from None
    except csv.Error as error:
        raise DataError(f"{path} is not a CSV file ({error})") from None
    if twice:
        raise DataError(f"{path}: {len(twice)} images have more than one row ({_some(twice)})")
    if blank:
        raise DataError(f"{path}: {len(blank)} prompts are empty ({_some(blank)})")
    return rows


def _column(path: Path, header: Sequence[str], wanted: Sequence[str]) -> int:
    plain = [name.strip().lower() for name in header]
    for name in wanted:
        if name in plain:
            return plain.index(name)
    has = ", ".join(shown(name) for name in header)
    raise DataError(f"{path}: has no column {wanted[0]} (or {', '.join(wanted[1:])}); its columns are {has}")


def _some(names: Sequence[str]) -> str:
    some = ", ".join(shown(name) for name in names[:NAMED_AT_MOST])
    return f"{some}, ..." if len(names) > NAMED_AT_MOST else some
