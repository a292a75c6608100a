"""Where is something kept that was expensive to make, and how is it known to be whole?"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import warnings
from collections.abc import Callable
from pathlib import Path

from assay.errors import MissingExtra

DIGEST_BYTES = 32


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
        _write(path, hashlib.sha256(content).digest() + content)
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


def _write(path: Path, content: bytes) -> None:
    # Not `tempfile`, whose files only their owner may read: the folder may be shared.
    temporary = path.with_name(f".{path.name}-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
