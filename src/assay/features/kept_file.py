"""Where is something kept that was expensive to make, and how is it known to be whole?"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path

from assay.home import home_folder
from assay.written_whole import write_whole

DIGEST_BYTES = 32


def kept_bytes(name: str, make: Callable[[], bytes]) -> bytes:
    """The bytes kept under `name` in `home_folder() / "networks"`; made, and kept, where they are missing or
    damaged.

    The file is its content after the content's SHA-256, in one file, so that no crash or second process can
    part them. It is written under a temporary name and renamed. Where it cannot be written a warning says
    so, and the bytes come back all the same.
    """
    path = home_folder() / "networks" / name
    kept = _whole(path)
    if kept is not None:
        return kept
    content = make()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, hashlib.sha256(content).digest() + content)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        warnings.warn(
            f"{path} cannot be written ({reason}): it is made anew at every start; "
            "set ASSAY_HOME to a folder that can",
            stacklevel=2,
        )
    return content


def _whole(path: Path) -> bytes | None:
    try:
        stored = path.read_bytes()
    except OSError:
        return None
    digest, content = stored[:DIGEST_BYTES], stored[DIGEST_BYTES:]
    return content if hashlib.sha256(content).digest() == digest else None
