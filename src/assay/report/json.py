"""JSON that is written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..written_whole import write_whole


def write_json(content: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write JSON, indented by two, under a temporary name beside the target, and rename it.

    Args:
        content: plain values; NaN and infinity are refused, as JSON has none.
        path: where to; an existing file is replaced in one step.

    Raises:
        DataError: where the folder is missing or the file cannot be written.
        ValueError: NaN or infinity in the content.
    """
    text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    try:
        # a file's name may hold bytes that are no text; they are written as they would be escaped
        write_whole(path, text.encode("utf-8", errors="backslashreplace"))
    except OSError as error:
        raise DataError(f"{Path(path)} cannot be written: {(error.strerror or str(error)).lower()}") from None
