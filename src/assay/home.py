"""Where does assay keep what was expensive to make?"""

from __future__ import annotations

import os
from pathlib import Path

from .errors import MissingExtra, UsageError


def home_folder() -> Path:
    """`$ASSAY_HOME`, or the platform's cache folder for assay. It may not exist yet.

    Raises `UsageError` where a file is in its place, `MissingExtra` where nothing says it.
    """
    chosen = os.environ.get("ASSAY_HOME")
    if chosen:
        path = Path(chosen).expanduser()
        there = next((part for part in (path, *path.parents) if part.exists()), path)
        if there.exists() and not there.is_dir():
            raise UsageError(
                f"ASSAY_HOME={chosen}: {there} is a file; expected a folder, which is made if need be"
            )
        return path
    try:
        import platformdirs
    except ImportError as error:
        raise MissingExtra(
            "platformdirs", "images", "finding the cache folder (or set ASSAY_HOME)"
        ) from error
    return Path(platformdirs.user_cache_dir("assay", appauthor=False))
