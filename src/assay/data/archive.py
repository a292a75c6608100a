"""Images in a zip, read in place: nothing is extracted."""

from __future__ import annotations

import os
import threading
import zipfile
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from assay.data.decode import MAX_FILE_BYTES, UnreadableImage, require_pillow
from assay.data.names import is_hidden, is_image_name, no_images, shown
from assay.data.source import ImageSource
from assay.errors import DataError


@dataclass(frozen=True)
class ZipReader:
    """index -> the bytes of an image, of members of one zip that is opened at the first image and stays open."""

    path: Path
    names: tuple[str, ...]
    _handle: _Handle = field(default_factory=lambda: _Handle(), init=False, repr=False, compare=False)

    def __reduce__(self) -> tuple[type[ZipReader], tuple[Path, tuple[str, ...]]]:
        return ZipReader, (self.path, self.names)  # a copy in another process opens the file anew

    def __call__(self, index: int) -> bytes:
        name = self.names[index]
        try:
            return self._handle.read(self.path, name)
        except UnreadableImage:
            raise
        except zipfile.BadZipFile as error:
            reason = "damaged: wrong checksum" if "CRC" in str(error) else "damaged in the zip"
        except NotImplementedError:
            reason = "compressed by a method this Python cannot undo"
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
        except Exception as error:  # the fields of a hostile archive reach struct, zlib, lzma and bz2
            reason = f"damaged in the zip: {type(error).__name__}"
        raise UnreadableImage(name, reason)


class _Handle:
    """One open zip for all threads: a table of contents each would cost memory that grows with the set."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.archive: zipfile.ZipFile | None = None
        self.process = 0

    def read(self, path: Path, name: str) -> bytes:
        with self.lock:
            if (
                self.archive is None or self.process != os.getpid()
            ):  # a forked child shares the file's position
                self.archive = zipfile.ZipFile(path)
                self.process = os.getpid()
            member = self.archive.getinfo(name)
            if member.file_size > MAX_FILE_BYTES:
                raise UnreadableImage(name, f"more than {MAX_FILE_BYTES:,} bytes")
            if member.flag_bits & 0x1:
                raise UnreadableImage(name, "encrypted")
            return self.archive.read(member)


def open_zip(path: Path) -> ImageSource:
    """Every image in a zip, at any depth, sorted by member name.

    Raises `DataError` for a file that is not a zip, for two members of one name, for a zip without images.
    """
    require_pillow()
    try:
        with zipfile.ZipFile(path) as archive:
            files = sorted(info.filename for info in archive.infolist() if not info.is_dir())
    except zipfile.BadZipFile:
        raise DataError(f"{path} is not a zip, or is cut off: it has no table of contents") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    except Exception as error:  # a hostile table of contents may raise anything
        raise DataError(f"{path} has a damaged table of contents ({type(error).__name__})") from None
    files = [name for name in files if not is_hidden(name)]
    names = tuple(name for name in files if is_image_name(name))
    description = f"zip {shown(str(path))}"
    if not names:
        raise no_images(description, files)
    twice = next((a for a, b in pairwise(names) if a == b), None)
    if twice is not None:
        raise DataError(
            f"{description} has two members named {shown(twice)}: an image's name must be its own"
        )
    return ImageSource(names, description, ZipReader(path, names))
