"""JSON that is written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import DataError


def write_json(content: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write JSON, indented by two, under a temporary name beside the target, and rename it.

    Args:
        content: plain values; NaN and infinity are refused, as JSON has none.
        path: where to; an existing file is replaced in one step.

    Raises:
        DataError: where the folder is missing or the file cannot be written.
        ValueError: NaN or infinity in the content.
    """
    target = Path(path)
    text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        # a file's name may hold bytes that are no text; they are written as they would be escaped
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        os.chmod(temporary, _usual_mode())
        os.replace(temporary, target)
    except OSError as error:
        _remove(temporary)
        raise DataError(f"{target} cannot be written: {(error.strerror or str(error)).lower()}") from None
    except BaseException:
        _remove(temporary)
        raise


def _remove(path: str | None) -> None:
    if path is not None:
        Path(path).unlink(missing_ok=True)


def _usual_mode() -> int:
    """What a plain `open` would have given; temporary files are closed to others."""
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask
