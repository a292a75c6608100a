"""Where are features kept, and how are they found again, shown and thrown away?

One folder an extractor below `home_folder() / "features"`, one file a shard, named by its key; its time of change is
when it was last used. Beside them `listings`: which shards the images of one unchanged folder or archive are in.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from assay.features.claims import SUFFIX as CLAIM_SUFFIX
from assay.features.claims import Claim, Claims
from assay.features.shard import SUFFIX, DamagedShard, Shard, from_bytes, images_in, to_bytes
from assay.home import home_folder
from assay.written_whole import write_whole

LISTINGS = "listings"
ABANDONED_AFTER = 3600.0  # seconds: no shard takes that long to write
FULL = frozenset({errno.ENOSPC, errno.EDQUOT} if hasattr(errno, "EDQUOT") else {errno.ENOSPC})


class FullDisk(Exception):
    """A shard of `size` bytes does not fit in `folder`, where `free` bytes are left."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self.size = size
        self.free = shutil.disk_usage(folder).free
        super().__init__(f"{folder}: no space for {size} bytes")


def shown_bytes(size: float) -> str:
    """`950 B`, `4.0 MB`, `1.2 GB`: decimal units, as disks are sold."""
    power = next((k for k in range(4) if size < 999.5 * 1000**k), 4)
    shown = size / 1000**power
    digits = 0 if power == 0 or shown >= 99.5 else 1
    return f"{shown:.{digits}f} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"


def features_folder() -> Path:
    """Where shards are kept; it may not exist yet."""
    return home_folder() / "features"


class ShardCache:
    """The kept shards of one extractor, for one pass.

    Where the folder cannot be written, one warning says so, and from then on nothing is kept or claimed.
    """

    def __init__(self, extractor: str, fingerprint: str) -> None:
        root = features_folder()
        self.folder = root / f"{_plain(extractor)}-{fingerprint[:12]}"
        self._listings = root / LISTINGS
        self._claims = Claims(self.folder)
        self.writable = True
        try:
            for folder in (self.folder, self._listings):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self._give_up(error)
        else:
            _remove_abandoned(self.folder)

    def path(self, key: str) -> Path:
        """Where the shard of this key is, or would be."""
        return self.folder / f"{key}{SUFFIX}"

    def find(self, key: str) -> Shard | None:
        """The shard of this key, whole; None where it is missing or damaged."""
        path = self.path(key)
        try:
            shard = from_bytes(path.read_bytes())
        except (OSError, DamagedShard):
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return shard

    def keep(self, key: str, shard: Shard) -> int:
        """Keep it under its key; how many bytes that took, 0 where it could not be kept.

        Raises `FullDisk` where there is no room for it.
        """
        if not self.writable:
            return 0
        content = to_bytes(shard)
        try:
            write_whole(self.path(key), content)
        except OSError as error:
            if error.errno in FULL:
                raise FullDisk(self.folder, len(content)) from None
            self._give_up(error)
            return 0
        return len(content)

    def claim(self, key: str) -> Claim | bool:
        """The right to make the shard: a claim, True where claims cannot be made, False where another run has it."""
        if not self.writable:
            return True
        try:
            return self._claims.take(key) or False
        except OSError:
            return True  # what stands in the way will show when the shard is kept

    def listed(self, description: str, signature: str, total: int, size: int) -> list[str] | None:
        """The contents of the shards of a set that has not changed since `list_contents`."""
        path = self._listing(description, signature, total, size)
        try:
            contents = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return None
        if not (isinstance(contents, list) and len(contents) == -(-total // size)):
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return [str(content) for content in contents]

    def list_contents(
        self, description: str, signature: str, total: int, size: int, contents: Sequence[str]
    ) -> None:
        """Remember which contents a set has, so that the next pass need not read it. A failure costs time only."""
        if self.writable:
            with contextlib.suppress(OSError):
                path = self._listing(description, signature, total, size)
                write_whole(path, json.dumps(list(contents)).encode())

    def forget_listing(self, description: str, signature: str, total: int, size: int) -> None:
        """The set is not what was listed."""
        with contextlib.suppress(OSError):
            self._listing(description, signature, total, size).unlink()

    def _listing(self, description: str, signature: str, total: int, size: int) -> Path:
        named = f"{description}|{signature}|{total}|{size}".encode("utf-8", "surrogatepass")
        return self._listings / f"{hashlib.blake2b(named, digest_size=20).hexdigest()}.json"

    def _give_up(self, error: OSError) -> None:
        self.writable = False
        reason = (error.strerror or str(error)).lower()
        warnings.warn(
            f"{self.folder} cannot be written ({reason}): features are not kept, and computed again next time; "
            "set ASSAY_HOME to a folder that can",
            stacklevel=2,
        )


@dataclass(frozen=True)
class Kept:
    """What one extractor has in the cache; `last_used` in seconds since the epoch."""

    name: str
    shards: int
    images: int
    size: int
    last_used: float


def kept() -> list[Kept]:
    """What is in the cache, the extractor used last first."""
    found = []
    for folder in _extractor_folders():
        files = list(_files(folder))
        if files:
            images = sum(images_in(path) for path, _ in files)
            size = sum(status.st_size for _, status in files)
            last = max(status.st_mtime for _, status in files)
            found.append(Kept(folder.name, len(files), images, size, last))
    return sorted(found, key=lambda one: -one.last_used)


def trim(*, to: int | None = None, unused_for: float | None = None, dry_run: bool = False) -> tuple[int, int]:
    """Throw away shards, those first that were not used for longest; how many went, and their bytes.

    to: bytes that may stay; 0 empties the cache.
    unused_for: seconds; shards not used for longer go.
    dry_run: only say what would go.
    """
    now = time.time()
    folders = list(_extractor_folders())
    files = sorted(
        (entry for folder in folders for entry in _files(folder)), key=lambda entry: entry[1].st_mtime
    )
    left = sum(status.st_size for _, status in files)
    gone, freed = 0, 0
    for path, status in files:
        too_much = to is not None and left > to
        too_old = unused_for is not None and now - status.st_mtime > unused_for
        if not (too_much or too_old):
            continue
        if not dry_run:
            try:
                path.unlink()
            except FileNotFoundError:
                continue  # another run threw it away
        left -= status.st_size
        gone, freed = gone + 1, freed + status.st_size
    if not dry_run:
        for folder in folders:
            _remove_abandoned(folder)
            with contextlib.suppress(OSError):
                folder.rmdir()  # only where it is empty
        _trim_listings(everything=to == 0, unused_for=unused_for)
    return gone, freed


def _trim_listings(*, everything: bool, unused_for: float | None) -> None:
    with contextlib.suppress(OSError), os.scandir(features_folder() / LISTINGS) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                age = time.time() - entry.stat().st_mtime
                if everything or (unused_for is not None and age > unused_for):
                    os.unlink(entry)


def _extractor_folders() -> Iterator[Path]:
    with contextlib.suppress(FileNotFoundError), os.scandir(features_folder()) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False) and entry.name != LISTINGS:
                yield Path(entry.path)


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(SUFFIX) and not entry.name.startswith("."):
                with contextlib.suppress(FileNotFoundError):
                    yield Path(entry.path), entry.stat()


def _remove_abandoned(folder: Path) -> None:
    """Temporary files and claims of runs that were killed."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name.endswith(CLAIM_SUFFIX):
                with contextlib.suppress(OSError):
                    if time.time() - entry.stat(follow_symlinks=False).st_mtime > ABANDONED_AFTER:
                        os.unlink(entry)


def _plain(name: str) -> str:
    """A name fit for a folder: `timm:vit_base` and `onnx:/home/me/x.onnx` are not."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[-60:] or "features"
