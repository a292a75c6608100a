"""How is a file behind a URL read in place, and what is said when it cannot be?"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

from assay.data.credentials import SCHEME, without_credentials, without_secrets
from assay.data.names import shown
from assay.data.stored_file import StoredFile, local_file
from assay.errors import DataError, MissingExtra, UsageError

T = TypeVar("T")
Options = Mapping[str, object]

WEB = frozenset({"http", "https"})
LOCAL = frozenset({"file", "local"})
BROUGHT_BY_EXTRA = {"s3": "s3fs", "s3a": "s3fs", "http": "aiohttp", "https": "aiohttp"}
ATTEMPTS = 4
FIRST_PAUSE = 0.5  # seconds; doubled after each attempt
# What stores call a thing that changes with the content, the surest first.
VERSIONS = (
    "ETag", "etag", "checksum", "md5Hash", "Content-MD5", "content_md5", "generation", "VersionId", "blob_id",
    "mtime", "LastModified", "last_modified", "Last-Modified", "updated", "created",
)  # fmt: skip


class NotThere(DataError):
    """Nothing is behind a URL."""


def is_url(path: str | os.PathLike[str]) -> bool:
    """Whether a path is one for fsspec: `s3://...`, `https://...`, `memory://...`."""
    return isinstance(path, str) and SCHEME.match(path) is not None


def refuse_url(path: str | os.PathLike[str], what: str) -> None:
    """For what is read from a disk only; `what` is its name in the plural.

    Raises `UsageError` for a URL.
    """
    if is_url(path):
        raise UsageError(
            f"{shown(without_credentials(os.fspath(path)))}: {what} are read from files on a disk only; "
            "download it first and give its path"
        )


def scheme_of(url: str) -> str:
    """The part before `://`, in lower case."""
    match = SCHEME.match(url)
    return match[1].lower() if match else ""


def local_path_of(url: str) -> str | None:
    """What a `file://` URL means; None for any other."""
    if scheme_of(url) not in LOCAL:
        return None
    rest = url.partition("://")[2]
    return unquote(rest.removeprefix("localhost") if rest.startswith("localhost/") else rest)


@dataclass(frozen=True)
class RemoteFile:
    """A file behind a URL, read by ranges."""

    location: str
    size: int
    identity: str | None
    url: str = field(repr=False)
    options: Options = field(repr=False)

    def read_at(self, offset: int, length: int) -> bytes:
        if length == 0:
            return b""

        def read() -> bytes:
            system, path = _filesystem(self.url, self.options)
            if scheme_of(self.url) in WEB:
                # not `cat_file`: from a server without ranges it would take the whole file
                with system.open(path, "rb", size=self.size, cache_type="none") as file:
                    file.seek(offset)
                    content: bytes = file.read(length)
                    return content
            found: bytes = system.cat_file(path, start=offset, end=offset + length)
            return found

        content = reached(self.url, self.options, read)
        if len(content) != length:
            raise DataError(
                f"{self.location} gave {len(content):,} bytes where {length:,} were asked for: "
                "it was changed or cut off"
            )
        return bytes(content)


def remote_file(url: str, options: Options) -> RemoteFile:
    """Raises `DataError` for what is not there, may not be read, or does not say its size."""
    location = shown(without_credentials(url))

    def look() -> dict[str, Any]:
        system, path = _filesystem(url, options)
        found: dict[str, Any] = system.info(path)
        return found

    info = reached(url, options, look)
    if info.get("type") == "directory":
        raise DataError(f"{location} is a folder: expected a file")
    size = info.get("size")
    if not isinstance(size, int) or info.get("partial") is False:
        raise DataError(
            f"{location}: the server does not give parts of a file, which reading in place needs; "
            "download it and give the file"
        )
    return RemoteFile(location, size, version_of(location, info), url, options)


def file_at(path: str | os.PathLike[str], options: Options) -> StoredFile:
    """A file on a disk or behind a URL; raises as `local_file` and `remote_file` do."""
    text = os.fspath(path)
    if not is_url(text):
        return local_file(Path(text))
    local = local_path_of(text)
    return remote_file(text, options) if local is None else local_file(Path(local))


def version_of(location: str, info: Mapping[str, Any]) -> str | None:
    """Location, size and what the store says of the version; None where it says nothing."""
    version = next((f"{key}={info[key]}" for key in VERSIONS if info.get(key)), None)
    return None if version is None else f"{location}:{info.get('size')}:{version}"


def is_remote_folder(url: str, options: Options) -> bool:
    """A web page is no folder: what it links to is nobody's set."""
    if scheme_of(url) in WEB:
        return False

    def look() -> bool:
        system, path = _filesystem(url, options)
        return bool(system.isdir(path))

    return reached(url, options, look)


def listed(url: str, options: Options) -> dict[str, dict[str, Any]]:
    """Every file below a remote folder, as path relative to it -> what the store says of it."""

    def look() -> dict[str, dict[str, Any]]:
        system, path = _filesystem(url, options)
        root = path.rstrip("/")
        found = system.find(root, detail=True)
        return {
            name[len(root) :].lstrip("/"): info
            for name, info in found.items()
            if name.startswith(f"{root}/") and not name.endswith("/")
        }

    return reached(url, options, look)


def globbed(url: str, options: Options) -> list[str]:
    """The URLs that match one with `*` or `[...]`."""
    if scheme_of(url) in WEB:
        raise UsageError(
            f"{shown(without_credentials(url))}: a web server has no listing to match * against; "
            "use {000..010} or name the files"
        )

    def look() -> list[str]:
        system, path = _filesystem(url, options)
        if "*" not in path and "[" not in path:
            return [url]
        root = url[: url.index(path)] if path in url else f"{scheme_of(url)}://"
        return [root + match for match in sorted(system.glob(path))]

    return reached(url, options, look)


def whole(url: str, options: Options, at_most: int) -> bytes:
    """A file's bytes, or the first `at_most + 1` of a larger one."""

    def read() -> bytes:
        system, path = _filesystem(url, options)
        with system.open(path, "rb") as file:
            pieces, left = [], at_most + 1
            while left > 0 and (piece := file.read(min(left, 1 << 22))):
                pieces.append(piece)
                left -= len(piece)
            return b"".join(pieces)

    return reached(url, options, read)


def joined_url(url: str, name: str) -> str:
    """The URL of a file below a folder's URL."""
    return f"{url.rstrip('/')}/{name}"


def reached(url: str, options: Options, action: Callable[[], T]) -> T:
    """What `action` gives; tried again where the network failed; its failure is one sentence without credentials."""
    pause = FIRST_PAUSE
    for attempt in range(1, ATTEMPTS + 1):
        problem, again = _tried(url, options, action)
        if not isinstance(problem, Exception):
            return problem[0]
        if not again or attempt == ATTEMPTS:
            break
        time.sleep(pause)
        pause *= 2
    assert isinstance(problem, Exception)
    # Not where it was caught: the first exception, which holds the URL, would hang on this one's context.
    raise problem


def _tried(url: str, options: Options, action: Callable[[], T]) -> tuple[tuple[T] | Exception, bool]:
    location = shown(without_credentials(url))
    try:
        return (action(),), False
    except (DataError, UsageError, MissingExtra) as error:
        return error.with_traceback(None), False
    except ImportError as error:
        return _missing(scheme_of(url), without_secrets(str(error), url, options)), False
    except Exception as error:  # each store has its own
        status = _status_of(error)
        missing = isinstance(error, FileNotFoundError) and status in (None, 404)
        if missing:
            return NotThere(f"{location} does not exist, or may not be seen with these credentials"), False
        if isinstance(error, PermissionError) or status in (401, 403):
            return DataError(f"{location}: access denied; check the credentials"), False
        if type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError"):
            return DataError(
                f"{location}: no credentials found; set them as the store's own tools expect them, "
                "e.g. AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            ), False
        if "more bytes" in str(error) or "range" in str(error).lower():
            return DataError(
                f"{location}: the server does not give parts of a file, which reading in place needs; "
                "download it and give the file"
            ), False
        said = without_secrets(str(error), url, options)[:160] or type(error).__name__
        wrong_call = isinstance(error, (ValueError, TypeError, KeyError, AttributeError, NotImplementedError))
        again = not wrong_call and (status is None or status >= 500 or status in (408, 429))
        return DataError(f"{location} cannot be read: {said}"), again


def _status_of(error: BaseException | None) -> int | None:
    """The HTTP status that an exception, or what it came from, carries."""
    for _ in range(8):
        if error is None:
            return None
        for status in (
            getattr(error, "status", None),
            getattr(error, "status_code", None),
            getattr(getattr(error, "response", None), "status_code", None),
        ):
            if isinstance(status, int) and 100 <= status < 600:
                return status
        error = error.__cause__ or error.__context__
    return None


def _missing(scheme: str, said: str) -> Exception:
    package = BROUGHT_BY_EXTRA.get(scheme)
    if package is not None:
        return MissingExtra(package, "urls", f"reading {scheme}:// URLs")
    return UsageError(f"reading {scheme}:// URLs needs a package that is not installed: {said}")


def _filesystem(url: str, options: Options) -> tuple[Any, str]:
    scheme = scheme_of(url)
    try:
        import fsspec
        from fsspec.core import url_to_fs
    except ImportError:
        raise MissingExtra("fsspec", "urls", f"reading {scheme}:// URLs") from None
    if "::" in url:
        raise UsageError(
            f"{shown(without_credentials(url))}: chained URLs are not read; give the archive's own URL, "
            "it is read in place"
        )
    if scheme not in set(fsspec.available_protocols()):
        raise UsageError(f"{shown(without_credentials(url))}: no store is known by {scheme}://")
    authority = url.partition("://")[2].partition("/")[0]
    if scheme in ("s3", "s3a", "gs", "gcs", "hf") and "@" in authority:
        raise UsageError(
            f"{shown(without_credentials(url))}: credentials in {scheme}:// URLs are not read; "
            "give them as the store's own tools expect them, in the environment or in storage_options"
        )
    made: tuple[Any, str] = url_to_fs(url, **options)
    return made
