"""Where do the images come from? Fashion-MNIST, read from its original IDX files.

60,000 training and 10,000 test images of 28 x 28 grey pixels in ten classes. Debian and Ubuntu ship the four
files as the package `dataset-fashion-mnist`.

Source: Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from assay.errors import DataError

Bytes = NDArray[np.uint8]

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")

CLASSES = (
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle-boot",
)

FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


def read_idx(path: Path) -> Bytes:
    """The array of unsigned bytes in a gzip-compressed IDX file.

    An IDX file starts with two zero bytes, a type code (8 is unsigned byte) and the number of axes; then
    comes the length of each axis as a big-endian 32-bit integer, then the values, last axis fastest.
    Raises DataError where the file is not that, or is cut short.
    """
    try:
        with gzip.open(path, "rb") as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} cannot be read as a gzip file ({error}); install or copy it again"
        ) from error
    axes = content[3] if len(content) >= 4 and content[:3] == b"\0\0\x08" else 0
    start = 4 + 4 * axes
    if axes == 0 or len(content) < start:
        raise DataError(
            f"{path} is not an IDX file of unsigned bytes: starts with {content[:4].hex(' ') or 'nothing'}, "
            "expected 00 00 08 and the number of axes; install or copy it again"
        )
    shape = tuple(int(n) for n in np.frombuffer(content, ">u4", count=axes, offset=4))
    if len(content) - start != math.prod(shape):
        raise DataError(
            f"{path} holds {len(content) - start} values where its header promises {math.prod(shape)}, "
            f"shape {shape}; install or copy it again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()


def load(split: Literal["train", "test"], folder: Path = DEBIAN_FOLDER) -> tuple[Bytes, Bytes]:
    """Images (n, 28, 28) and labels (n,) in 0..9 of one split.

    Raises DataError where one of the four files is missing, or the two of the split do not fit each other.
    """
    missing = [name for names in FILES.values() for name in names if not (folder / name).is_file()]
    if missing:
        raise DataError(
            f"no Fashion-MNIST in {folder}: {', '.join(missing)} not found. Install the Debian package "
            "(apt install dataset-fashion-mnist), or pass --data DIR, a folder with the four original files"
        )
    images, labels = (read_idx(folder / name) for name in FILES[split])
    fits = images.shape[1:] == (28, 28) and labels.shape == images.shape[:1] and len(labels) > 0
    if not fits or labels.max() >= len(CLASSES):
        raise DataError(
            f"the {split} files in {folder} do not fit: images {images.shape}, labels {labels.shape}; "
            "expected (n, 28, 28) and (n,) with labels in 0..9; install the files or copy them again"
        )
    return images, labels


def first_of_each_class(images: Bytes, labels: Bytes, count: int) -> tuple[Bytes, Bytes]:
    """The first `count` images of every class in file order, class by class.

    (n, 28, 28) images and (n,) labels -> (10 count, 28, 28) and (10 count,). Raises DataError where a class
    has fewer.
    """
    chosen = []
    for label, name in enumerate(CLASSES):
        positions = np.flatnonzero(labels == label)
        if len(positions) < count:
            raise DataError(f"{count} images of class {name} were asked for and there are {len(positions)}")
        chosen.append(positions[:count])
    order = np.concatenate(chosen)
    return images[order], labels[order]
