"""Sets of images as files: a zip of PNGs that is the same bytes every time, and a sheet to look at."""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# The earliest time a zip can state: the time of the run would make every archive a different file.
FIXED_TIME = (1980, 1, 1, 0, 0, 0)


def replace_file(path: Path, content: bytes) -> None:
    """Write under a temporary name beside `path`, then rename: nobody ever reads half a file."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def png(image: NDArray[np.uint8]) -> bytes:
    """A grey image (H, W) as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def zip_bytes(images: NDArray[np.uint8], labels: NDArray[np.uint8], classes: Sequence[str]) -> bytes:
    """Images (n, H, W) as a zip with a folder a class: `sneaker/0042.png` is the 43rd image of a sneaker."""
    buffer = io.BytesIO()
    seen = [0] * len(classes)
    with zipfile.ZipFile(buffer, "w") as archive:
        for image, label in zip(images, labels, strict=True):
            member = zipfile.ZipInfo(f"{classes[label]}/{seen[label]:04d}.png", FIXED_TIME)
            member.create_system = 3
            member.external_attr = 0o100644 << 16
            # A PNG is compressed already.
            archive.writestr(member, png(image), zipfile.ZIP_STORED)
            seen[label] += 1
    return buffer.getvalue()


def contact_sheet(
    rows: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]],
    columns: int = 16,
    zoom: int = 2,
    gap: int = 2,
) -> NDArray[np.uint8]:
    """One row a set of (images, labels), one class a column, classes in turn; white between the images."""
    cell = rows[0][0].shape[1] * zoom + gap
    sheet = np.full((len(rows) * cell + gap, columns * cell + gap), 255, np.uint8)
    for row, (images, labels) in enumerate(rows):
        by_class = [images[labels == label] for label in np.unique(labels)]
        for column in range(columns):
            members = by_class[column % len(by_class)]
            image = members[(column // len(by_class)) % len(members)]
            image = image.repeat(zoom, axis=0).repeat(zoom, axis=1)
            top, left = row * cell + gap, column * cell + gap
            sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    return sheet
