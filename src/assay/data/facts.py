"""What is known of an image beside its content: what makes two sets of numbers incomparable shows in these facts.

| fact | type | what |
|---|---|---|
| `height`, `width` | int32 | of the decoded image, in pixels |
| `format` | int8 | how it is stored: a `Format` |
| `quality` | int16 | of a JPEG, 1 to 100, estimated from its luminance table; -1 for anything else |
| `grey` | bool | all three channels are equal everywhere |
| `constant` | bool | every pixel has the same colour |
| `digest` | int64 | of the shape and all pixels: equal digests are equal pictures, however stored |
| `detail` | float32 | see `detail_of`; below `UPSAMPLED` the image has been enlarged, or is out of focus |
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from enum import IntEnum
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.data.decode import Raw

FACTS: Mapping[str, np.dtype[Any]] = MappingProxyType(
    {
        "height": np.dtype(np.int32),
        "width": np.dtype(np.int32),
        "format": np.dtype(np.int8),
        "quality": np.dtype(np.int16),
        "grey": np.dtype(np.bool_),
        "constant": np.dtype(np.bool_),
        "digest": np.dtype(np.int64),
        "detail": np.dtype(np.float32),
    }
)
Fact = int | bool | float

UPSAMPLED = -1.8  # decades; how often photographs fall on the wrong side is in studies/comparability.json
CROP = 128  # pixels a side that `detail_of` looks at
FEWEST = 32  # on less than this a spectrum says nothing
EVERY = 4  # of rows and columns: neighbours hold almost the same spectrum
ROUNDING = 1 / 12  # variance of the rounding to whole levels
RHYTHM_WEIGHT = 10.0  # a rhythm of 0.18 counts like a spectrum at UPSAMPLED


class Format(IntEnum):
    """How an image is stored."""

    UNKNOWN = -1
    PIXELS = 0
    PNG = 1
    JPEG = 2
    WEBP = 3
    BMP = 4
    GIF = 5
    TIFF = 6


def facts_of(raw: Raw, pixels: NDArray[np.uint8]) -> tuple[Fact, ...]:
    """The facts of one image, in the order of `FACTS`.

    raw: the image as it is stored. pixels: the same decoded, uint8 (H, W, 3). Thread-safe; never raises for an
    image that could be decoded.
    """
    format = format_of(raw)
    return (
        pixels.shape[0],
        pixels.shape[1],
        int(format),
        jpeg_quality(raw) if format is Format.JPEG and isinstance(raw, bytes) else -1,
        _is_grey(pixels),
        bool((pixels == pixels[0, 0]).all()) if _looks_constant(pixels) else False,
        digest_of(pixels),
        detail_of(pixels),
    )


def format_of(raw: Raw) -> Format:
    """The kind of file, by its first bytes."""
    if not isinstance(raw, bytes):
        return Format.PIXELS
    if raw.startswith(b"\x89PNG"):
        return Format.PNG
    if raw.startswith(b"\xff\xd8"):
        return Format.JPEG
    if raw.startswith(b"RIFF") and raw[8:12] == b"WEBP":
        return Format.WEBP
    if raw.startswith(b"GIF8"):
        return Format.GIF
    if raw.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return Format.TIFF
    return Format.BMP if raw.startswith(b"BM") else Format.UNKNOWN


def jpeg_quality(content: bytes) -> int:
    """The quality setting, 1 to 100, whose standard luminance table is nearest to the file's; -1 where it has none.

    The standard tables are those of ITU-T T.81, annex K, scaled as the Independent JPEG Group's encoder does, which
    most programs share; for a program with tables of its own the answer is the setting of like coarseness.
    """
    table = _luminance_table(content)
    return -1 if table is None else _nearest_quality(table)


def digest_of(pixels: NDArray[np.uint8]) -> int:
    """A signed 64-bit BLAKE2b digest of the shape and every pixel."""
    hashed = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=8)
    hashed.update(np.ascontiguousarray(pixels).data)
    return int.from_bytes(hashed.digest(), "little", signed=True)


def detail_of(pixels: NDArray[np.uint8]) -> float:
    r"""How much fine structure an image has for its size, in decades; enlarging removes it.

    Of the green channel in a central crop of at most 128 x 128, along rows and columns,

    $$ \min\Big(\log_{10} \frac{P[\tfrac12, 1] - \sigma}{P[\tfrac18, \tfrac12] - \sigma},\; -10\, r\Big) $$

    where P is the mean power in a band of frequencies (1: the finest that pixels can hold) and sigma the power of
    rounding to 8 bits, at least a tenth of which is left above. Photographs at their own size lie about -1. An image
    enlarged smoothly has almost nothing in its finest half and lies about -2. Blocks of repeated pixels do have fine
    structure, but in a rhythm: r is how strongly the size of differences between neighbours, first or third ones,
    repeats every second or fourth pixel, beyond what it does every eighth, as the blocks of JPEG make it.

    NaN where nothing can be said: a crop smaller than 32 pixels, or without contrast. An image out of focus looks
    like an enlarged one.
    """
    if min(pixels.shape[:2]) < FEWEST:
        return math.nan
    side = min(CROP, *pixels.shape[:2])
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    green = pixels[top : top + side, left : left + side, 1]
    lines = np.concatenate((green[::EVERY], green[:, ::EVERY].T)).astype(np.float32)
    window = _window(side)
    waves = np.fft.rfft((lines - lines.mean(1, keepdims=True)) * window, axis=1)
    power = (waves.real**2 + waves.imag**2).mean(0)
    last = len(power) - 1
    fine, coarse = float(power[last // 2 :].mean()), float(power[last // 8 : last // 2].mean())
    floor = ROUNDING * float(window @ window)
    if coarse <= 2 * floor:
        return math.nan
    spectrum = math.log10(max(fine - floor, 0.1 * floor) / (coarse - floor))
    return min(spectrum, -RHYTHM_WEIGHT * _rhythm(lines))


def _rhythm(lines: NDArray[np.float32]) -> float:
    """How much the differences between neighbours repeat every 2nd or every 4th pixel, beyond every 8th.

    lines: as many rows as columns; both must have the rhythm.
    """
    first = lines[:, 1:] - lines[:, :-1]
    third = first[:, 2:] - 2 * first[:, 1:-1] + first[:, :-2]
    found = 0.0
    for differences in (first, third):  # blocks show in the first, smooth filters in the third
        size = np.abs(differences).reshape(2, len(lines) // 2, -1).mean(1)
        runs = size[:, : size.shape[1] // 8 * 8].reshape(2, -1, 8)
        shape = (runs / (runs.mean(2, keepdims=True) + 1e-3)).mean(1)
        wave = np.abs(np.fft.rfft(shape, axis=1)) / 8
        found = max(found, *(wave[:, [4, 2]] - np.maximum(wave[:, 1], wave[:, 3])[:, None]).min(0).tolist())
    return found


@cache
def _window(length: int) -> NDArray[np.float32]:
    return np.hanning(length).astype(np.float32)


def _is_grey(pixels: NDArray[np.uint8]) -> bool:
    # A few rows tell almost every colour image; only grey ones are looked at whole.
    for part in (pixels[:: max(1, len(pixels) // 8)], pixels):
        red, green, blue = part[..., 0], part[..., 1], part[..., 2]
        if not (np.array_equal(red, green) and np.array_equal(green, blue)):
            return False
    return True


def _looks_constant(pixels: NDArray[np.uint8]) -> bool:
    return bool((pixels[:: max(1, len(pixels) // 8)] == pixels[0, 0]).all())


# ITU-T T.81, table K.1, in reading order.
_LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
_START_OF_SCAN, _END, _TABLES = 0xDA, 0xD9, 0xDB


def _luminance_table(content: bytes) -> tuple[int, ...] | None:
    """Table 0 of the header as 64 numbers in zigzag order, or None."""
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker in (_START_OF_SCAN, _END):
            return None
        length = int.from_bytes(content[at + 2 : at + 4], "big")
        if marker == _TABLES:
            segment = content[at + 4 : at + 2 + length]
            while segment:
                wide, which = segment[0] >> 4, segment[0] & 15
                size = 128 if wide else 64
                table, segment = segment[1 : 1 + size], segment[1 + size :]
                if which == 0 and len(table) == size:
                    return tuple(np.frombuffer(table, ">u2" if wide else "u1").tolist())
        at += 2 + max(length, 2)
    return None


@lru_cache(maxsize=1024)
def _nearest_quality(table: tuple[int, ...]) -> int:
    return int(np.abs(_standard_tables() - np.array(table)).sum(1).argmin()) + 1


@cache
def _standard_tables() -> NDArray[np.int64]:
    """(100, 64): the luminance table of every quality, in zigzag order."""
    # Diagonal by diagonal; the even ones run upwards.
    cells = [(row, column) for row in range(8) for column in range(8)]
    cells.sort(key=lambda c: (sum(c), c[0] if sum(c) % 2 else c[1]))
    base = np.array([_LUMINANCE[8 * row + column] for row, column in cells])
    quality = np.arange(1, 101)
    percent = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    tables: NDArray[np.int64] = np.clip((base * percent[:, None] + 50) // 100, 1, 255)
    return tables
