"""Where does assay keep what was expensive to make?"""

from __future__ import annotations

import os
from pathlib import Path

from .errors import MissingExtra


def home_folder() -> Path:
    """`$ASSAY_HOME`, or the platform's cache folder for assay. It may not exist yet."""
    chosen = os.environ.get("ASSAY_HOME")
    if chosen:
        return Path(chosen).expanduser()
    try:
        import platformdirs
    except ImportError as error:
        raise MissingExtra(
            "platformdirs", "images", "finding the cache folder (or set ASSAY_HOME)"
        ) from error
    return Path(platformdirs.user_cache_dir("assay", appauthor=False))
