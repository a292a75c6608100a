"""How is a file written so that a reader never sees half of it?"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path` to write to; flushed to the disk and renamed to `path` when the block ends well.

    When it does not, the temporary file is removed and an existing file at `path` stays as it was. The folder must
    exist. Errors of the file system pass through as `OSError`.
    """
    target = Path(os.path.realpath(path))  # what a link leads to is written, and the link stays
    # Not `tempfile`, whose files only their owner may read: the folder may be shared.
    temporary = target.with_name(f".{target.name}-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write bytes to `path`, whole or not at all; see `written_whole`."""
    with written_whole(path) as temporary, open(temporary, "xb") as file:
        file.write(content)
