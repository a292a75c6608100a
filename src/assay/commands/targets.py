"""Can the file that is asked for be written at all?"""

from __future__ import annotations

import os

from ..errors import UsageError


def writable_target(path: str | None, option: str) -> str | None:
    """Refuse a place that cannot be written before the work and not after it."""
    if path is None:
        return None
    folder = os.path.dirname(path) or "."
    if os.path.isdir(path) or not os.path.isdir(folder):
        what = "is a folder" if os.path.isdir(path) else f"the folder {folder} does not exist"
        raise UsageError(f"{option} {path}: {what}; expected the name of a file to write")
    if (os.path.exists(path) and not os.path.isfile(path)) or os.path.abspath(path).startswith(
        ("/dev/", "/proc/")
    ):
        # the file is written beside it and renamed: a device or pipe would be replaced
        raise UsageError(f"{option} {path}: is a device or pipe; expected the name of a file to write")
    return path
