"""Which of several runs works on a piece, when no lock can be trusted on a network's disk?"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path

BEAT_EVERY = 5.0  # seconds
DEAD_AFTER = 120.0
SUFFIX = ".claim"


@dataclass
class Claim:
    """A link to nowhere that says "I am at it": of all files, only a link comes into being with its content.

    It is advice: two runs that both hold one compute twice, nothing worse.
    """

    path: Path
    owner: str
    beaten: float = field(default_factory=time.monotonic)

    def beat(self) -> None:
        """Still at it; to be called often, touches the file now and then."""
        now = time.monotonic()
        if now - self.beaten > BEAT_EVERY:
            self.beaten = now
            with contextlib.suppress(OSError):
                os.utime(self.path, follow_symlinks=False)

    def release(self) -> None:
        """Done, or given up. A claim that another run took over in the meantime stays."""
        with contextlib.suppress(OSError):
            if os.readlink(self.path) == self.owner:
                self.path.unlink()


class Claims:
    """The claims of one run in one folder; it remembers since when another's claim shows no sign of life.

    A claim is dead when its process is not there any more (on this host), or when its file has not been touched for
    two minutes as seen from here: clocks of other machines are not asked.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[str, tuple[int, float]] = {}

    def take(self, key: str) -> Claim | None:
        """The claim, or None where another run that lives has it.

        Raises `OSError` where the folder cannot be written, or its file system has no links.
        """
        path = self._folder / f"{key}{SUFFIX}"
        owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(8)}"
        for _ in range(3):
            try:
                os.symlink(owner, path)
            except FileExistsError:
                if not self._dead(path, key):
                    return None
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()
                continue
            self._seen.pop(key, None)
            return Claim(path, owner)
        return None

    def _dead(self, path: Path, key: str) -> bool:
        try:
            touched = path.lstat().st_mtime_ns
            host, pid, _ = os.readlink(path).split(":")
        except FileNotFoundError:
            return True  # released just now: try again
        except (OSError, ValueError):
            return False
        if host == socket.gethostname() and not _alive(int(pid)):
            return True
        now = time.monotonic()
        last, since = self._seen.get(key, (-1, now))
        if last != touched:
            self._seen[key] = (touched, now)
            return False
        return now - since > DEAD_AFTER


def _alive(pid: int) -> bool:
    if os.name == "nt":  # there, signal 0 would end it
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
