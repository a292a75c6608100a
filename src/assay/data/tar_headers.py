"""Where in a tar is each member? One walk over its headers, which says what is damaged, compressed or strange."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from assay.data.names import is_hidden, shown
from assay.data.stored_file import StoredFile
from assay.errors import DataError

BLOCK = 512
READ_AHEAD = 1 << 17  # headers of small members, and their labels, come many at a time
MAX_RECORD = 1 << 20  # of an extended header: names are shorter
COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
FOLDER = b"5"
KINDS = {
    b"1": "a hard link", b"2": "a symbolic link", b"3": "a device", b"4": "a device", b"6": "a named pipe",
    b"S": "a sparse file", b"M": "a part of a file",
}  # fmt: skip


@dataclass(frozen=True)
class Member:
    """A regular file in a tar: its name and the place of its bytes."""

    name: str
    offset: int
    size: int


class TarHeaders:
    """A walk over the headers of one tar, in its order."""

    def __init__(self, file: StoredFile) -> None:
        self.file = file
        self.start = 0
        self.ahead = b""

    def bytes_at(self, offset: int, length: int) -> bytes:
        """As many of these bytes as the file has."""
        length = max(0, min(length, self.file.size - offset))
        if not (self.start <= offset and offset + length <= self.start + len(self.ahead)):
            self.start = offset
            self.ahead = self.file.read_at(offset, min(max(length, READ_AHEAD), self.file.size - offset))
        return self.ahead[offset - self.start : offset - self.start + length]

    def members(self) -> Iterator[Member]:
        at, last = 0, ""
        name: str | None = None
        size: int | None = None
        where = self.file.location
        while True:
            header = self.bytes_at(at, BLOCK)
            if len(header) < BLOCK:
                self._check_not_compressed(at, header)
                after = f" after {shown(last)}" if last else ""
                raise DataError(f"{where} is cut off{after}, or is no tar: it has no end mark")
            if not any(header):
                self._check_end(at)
                return
            if not _is_header(header):
                raise self._no_header(at, header, last)
            kind = header[156:157]
            length = _number(header[124:136])
            if length < 0:
                raise DataError(
                    f"{where} is damaged behind {shown(last) or 'its start'}: a member without a size"
                )
            if kind in (b"x", b"g", b"L", b"K"):
                record = self._record(at, length)
                if kind == b"L":
                    name = _text(record)
                elif kind == b"x":
                    fields = _fields(record)
                    if fields is None or any(key.startswith("GNU.sparse") for key in fields):
                        raise DataError(
                            f"{where} has a member that is sparse or has a damaged extended header (after "
                            f"{shown(last) or 'its start'}): make it again without sparse files"
                        )
                    name = fields.get("path", name)
                    size = int(fields["size"]) if fields.get("size", "").isdecimal() else size
                at += BLOCK + _padded(length)
                continue
            last = name if name is not None else _name(header)
            length = length if size is None else size
            name = size = None
            clean = self._inside(last, kind)
            if kind not in (b"0", b"\0", b"7", FOLDER):
                if clean is not None and not is_hidden(clean):
                    raise DataError(
                        f"{where}: member {shown(last)} is {KINDS.get(kind, 'of an unknown kind')}; expected regular "
                        "files only (tar --dereference --hard-dereference stores what a link leads to)"
                    )
                clean = None
            # the old format tells a folder by its name
            if kind == FOLDER or (kind == b"\0" and last.endswith("/")):
                clean = None
            holds = kind in (b"0", b"\0", b"7", b"S", b"M") and not last.endswith("/")
            length = length if holds else 0
            if at + BLOCK + length > self.file.size:
                raise DataError(f"{where} is cut off in member {shown(last)}")
            if clean is not None:
                yield Member(clean, at + BLOCK, length)
            at += BLOCK + _padded(length)

    def _inside(self, name: str, kind: bytes) -> str | None:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name[:1] or name[1:3] == ":\\":
            raise DataError(
                f"{self.file.location}: member {shown(name)} lies outside the archive; expected relative names "
                "without .."
            )
        clean = str(path)
        return None if clean == "." else clean

    def _record(self, at: int, length: int) -> bytes:
        if length > MAX_RECORD or at + BLOCK + length > self.file.size:
            raise DataError(f"{self.file.location} has a damaged extended header at byte {at:,}")
        return self.bytes_at(at + BLOCK, length)

    def _check_end(self, at: int) -> None:
        """Tars that were put together with `cat` go on behind the first one's end, where tar itself looks no more."""
        rest = self.bytes_at(at, READ_AHEAD)
        filled = next((i for i in range(0, len(rest) - BLOCK + 1, BLOCK) if any(rest[i : i + BLOCK])), None)
        if filled is not None and _is_header(rest[filled : filled + BLOCK]):
            raise DataError(
                f"{self.file.location} goes on behind its end mark, as tars do that were joined by cat: "
                "join them with tar --concatenate, or give each by itself"
            )

    def _check_not_compressed(self, at: int, header: bytes) -> None:
        for magic, method in COMPRESSED.items():
            if at == 0 and header.startswith(magic):
                raise compressed_tar(self.file.location, method)

    def _no_header(self, at: int, header: bytes, last: str) -> DataError:
        self._check_not_compressed(at, header)
        if at == 0:
            return DataError(f"{self.file.location} is not a tar")
        return DataError(f"{self.file.location} is damaged behind {shown(last)}: no header at byte {at:,}")


def compressed_tar(location: str, method: str) -> DataError:
    """Why such an archive is not read, and what to do."""
    return DataError(
        f"{location} is a tar compressed whole ({method}): no member of it can be reached without unpacking all before "
        "it; unpack it to a plain .tar, which is no larger where images are compressed already"
    )


def _is_header(header: bytes) -> bool:
    stated = _number(header[148:156])
    blanked = header[:148] + b" " * 8 + header[156:]
    signed = sum(byte - 256 if byte > 127 else byte for byte in blanked) if stated >= 0 else None
    return stated > 0 and stated in (sum(blanked), signed)


def _number(digits: bytes) -> int:
    """Octal, or binary where the first bit is set; -1 for neither."""
    if digits[0] == 0x80:
        return int.from_bytes(digits[1:], "big")
    text = digits.split(b"\0")[0].strip()
    try:
        return int(text, 8) if text.isdigit() else (0 if not text else -1)
    except ValueError:
        return -1


def _padded(length: int) -> int:
    return -(-length // BLOCK) * BLOCK


def _text(content: bytes) -> str:
    return content.split(b"\0")[0].decode("utf-8", "surrogateescape")


def _name(header: bytes) -> str:
    name = _text(header[:100])
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _fields(record: bytes) -> dict[str, str] | None:
    """`length key=value` lines of an extended header; None where they are damaged."""
    fields = {}
    at = 0
    while at < len(record) and record[at : at + 1] != b"\0":
        digits = record[at : at + 8].split(b" ")[0]
        length = int(digits) if digits.isdigit() else 0
        key, equals, value = record[at + len(digits) + 1 : at + length - 1].partition(b"=")
        if length <= len(digits) + 1 or at + length > len(record) or not equals:
            return None
        fields[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        at += length
    return fields
