"""What was given to be scored, as images with names that are read one by one?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..comparing.opened_sets import open_set
from ..data import ImageSource, is_url
from ..data.decode import Raw
from ..data.folder import file_images
from ..data.names import SUFFIXES, RowNames
from ..errors import DataError, UsageError
from .levels import Levels, is_grey, levels_of
from .reading_ahead import Need, bytes_to_decode

DIGITS = 1e-6  # how far beyond [0, 1] rounding may bring a value


class Read(Protocol):
    """See `Images.read`."""

    def __call__(self, index: int, need: Need = ..., /) -> tuple[Levels, bytes]: ...


@dataclass(frozen=True)
class Images:
    """One set of images.

    Attributes:
        name: as it is printed.
        description: where it comes from.
        names: of its images.
        read: index -> the image's levels and a digest of what is stored. Raises `UnreadableImage`; may be called from
            several threads at once. A second argument is called with the bytes that decoding is going to need, and
            may wait until there is room for them.
        alone: whether it is one file, which belongs to the other one whatever it is called.
        source: where its labels are looked up; None for arrays of floating-point numbers.
    """

    name: str
    description: str
    names: Sequence[str]
    read: Read
    alone: bool = False
    source: ImageSource | None = None

    def __len__(self) -> int:
        return len(self.names)


def opened_images(given: Any, name: str, argument: str) -> Images:
    """Look at what was given without decoding any image.

    Args:
        given: a path or URL (see `assay.data.open_images`), one image file, an `ImageSource`, a data set or loader of
            images; uint8 images (N, 3, H, W) or (N, H, W, 3); floating-point images (N, C, H, W) in [0, 1].
        name: what it is called.
        argument: "restored" or "target", for messages.

    Raises:
        UsageError: a thing of another kind, features among them.
        DataError: a path that is missing, empty or damaged; floating-point images beyond [0, 1].
    """
    if isinstance(given, (Tensor, np.ndarray)) and given.ndim == 4 and _is_floating(given):
        return _floating(given, name, argument)
    if isinstance(given, (Tensor, np.ndarray)) and given.dtype not in (torch.uint8, np.uint8):
        raise UsageError(
            f"{argument}: expected images (N, C, H, W), uint8 or floating-point in [0, 1], got {given.dtype} "
            f"{tuple(given.shape)}"
        )
    if isinstance(given, (str, os.PathLike)) and _one_file(given):
        path = Path(given)
        source = file_images(path.parent, [path.name], str(path))
        return _of_source(source, name, alone=True)
    opened = open_set(given, name, argument)
    if opened.source is None:
        raise UsageError(
            f"{argument}: expected images, got features or statistics in {name}; assay compare takes those"
        )
    return _of_source(opened.source, name)


def _of_source(source: ImageSource, name: str, *, alone: bool = False) -> Images:
    from ..features.content import digest_of

    def read(index: int, need: Need = _no_matter, /) -> tuple[Levels, bytes]:
        raw = source.read(index)
        need(_size(raw) + bytes_to_decode(raw))
        return levels_of(raw, source.names[index]), digest_of(raw)

    return Images(name, source.description, source.names, read, alone, source)


def _no_matter(needed: int) -> None:
    """However much: one image is read, and nothing beside it."""


def _size(raw: Raw) -> int:
    return len(raw) if isinstance(raw, bytes) else raw.nbytes


def _one_file(given: str | os.PathLike[str]) -> bool:
    text = os.fspath(given)
    return not is_url(text) and Path(text).suffix.lower() in SUFFIXES and Path(text).is_file()


def _is_floating(given: Tensor | NDArray[Any]) -> bool:
    if isinstance(given, Tensor):
        return given.is_floating_point()
    return bool(np.issubdtype(given.dtype, np.floating))


def _floating(given: Tensor | NDArray[Any], name: str, argument: str) -> Images:
    if 0 in given.shape:
        raise UsageError(f"{argument}: is empty: shape {tuple(given.shape)}, expected (N, C, H, W)")
    if given.shape[-1] in (1, 3, 4) and given.shape[1] not in (1, 2, 3, 4):
        raise UsageError(
            f"{argument}: floating-point images must be (N, C, H, W), and {tuple(given.shape)} looks like "
            "(N, H, W, C); bring the channels forward with .transpose(0, 3, 1, 2), of a tensor .permute(0, 3, 1, 2)"
        )
    # torch knows no negative strides, which flipped arrays have
    tensor = (
        given.detach().cpu() if isinstance(given, Tensor) else torch.from_numpy(np.ascontiguousarray(given))
    )
    for first in range(0, len(tensor), 64):  # NaN fails the comparison, too
        part = tensor[first : first + 64].float()
        beyond = ~((part >= -DIGITS) & (part <= 1 + DIGITS)).flatten(1).all(1)
        if bool(beyond.any()):
            row = first + int(beyond.nonzero()[0])
            low, high = float(tensor[row].float().min()), float(tensor[row].float().max())
            raise DataError(
                f"{argument}: floating-point images must lie in [0, 1], and image {row} of {name} goes from {low:.4g} "
                f"to {high:.4g}; divide by the largest level there is (255 for 8 bits), or clip"
            )

    from ..features.content import digest_of

    def read(index: int, need: Need = _no_matter, /) -> tuple[Levels, bytes]:
        need(4 * tensor[index].numel())
        pixels = tensor[index].float().clamp(0, 1).permute(1, 2, 0).numpy()
        return Levels(pixels, is_grey(pixels)), digest_of(np.ascontiguousarray(pixels).view(np.uint8))

    shape = " x ".join(str(side) for side in tensor.shape[1:])
    return Images(name, f"{name} (array of images, {shape})", RowNames(len(tensor)), read)
