"""How does a file become 8-bit RGB? One rule a kind of image, so that a measure never depends on who decoded.

| the file has | what is read |
|---|---|
| grey, or black and white | the grey level in all three channels |
| a palette, CMYK, YCbCr, LAB | converted to RGB; colour profiles are not applied |
| alpha or a transparent colour | composited over white |
| 16 bits a channel | the high eight bits: floor(v / 256), within one level of v / 257 |
| an EXIF orientation | applied, so that the picture stands as a viewer shows it |
| several frames | the first |
| 32-bit integers or floats | refused: no stated range |

The content tells the format, not the name: a JPEG named `.png` is read, because many published sets hold some. What
format each image truly has is for the result to say.
"""

from __future__ import annotations

import io
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from assay.data.names import shown
from assay.errors import DataError, MissingExtra

if TYPE_CHECKING:
    from PIL import Image

# Only these parsers ever see a byte of the file: the others are attack surface for formats nobody asked for.
PARSERS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
MAX_PIXELS = 178_956_970  # 512 MiB of RGB; far more is a decompression bomb, not a picture
MAX_FILE_BYTES = 1 << 30  # no picture within the pixel limit is larger; a deflated megabyte can claim more
WITH_ALPHA = frozenset({"RGBA", "RGBa", "LA", "La", "PA"})
SIXTEEN_BIT = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})


Raw = bytes | NDArray[np.uint8]  # an image as it is stored: its file's bytes, or (H, W, 3) pixels


class UnreadableImage(DataError):
    """One image cannot be read: `name` and `reason`."""

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self.reason = reason
        super().__init__(f"{shown(name)} cannot be read: {reason}")


def require_pillow() -> None:
    """Raises `MissingExtra` now rather than at the first image."""
    try:
        import PIL.Image  # noqa: F401
    except ImportError as error:
        raise MissingExtra("pillow", "images", "reading images") from error


def pixels_of(raw: Raw, name: str) -> NDArray[np.uint8]:
    """An image as it is stored -> uint8 RGB of shape (H, W, 3); raises as `decode_image` does."""
    return decode_image(raw, name) if isinstance(raw, bytes) else raw


def decode_image(content: bytes, name: str) -> NDArray[np.uint8]:
    """The bytes of an image file as uint8 RGB of shape (H, W, 3), by the rules at the top of this file.

    `name` is named in the error. Raises `UnreadableImage` for anything that is not a whole image.
    """
    require_pillow()
    from PIL import Image, UnidentifiedImageError

    if not content:
        raise UnreadableImage(name, "empty file")
    try:
        with Image.open(io.BytesIO(content), formats=_parsers()) as image:
            _check_size(image, name)
            image.load()
            return _to_rgb(_upright(image), str(image.format), name)
    except UnreadableImage:
        raise
    except UnidentifiedImageError:
        raise UnreadableImage(name, "not an image, or damaged at its start") from None
    except Image.DecompressionBombError:
        raise UnreadableImage(name, f"more than {MAX_PIXELS:,} pixels") from None
    except MemoryError:
        raise UnreadableImage(name, "too large for the memory") from None
    except Exception as error:  # a parser of hostile bytes may raise anything
        raise UnreadableImage(name, _reason(error)) from None


@cache
def _parsers() -> tuple[str, ...]:
    from PIL import Image

    Image.init()
    return tuple(parser for parser in PARSERS if parser in Image.OPEN)  # a Pillow can be built without some


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    if "truncated" in text or "unrecognized data stream" in text or isinstance(error, EOFError):
        return "truncated"
    return f"damaged: {text[:80] or type(error).__name__}"


def _check_size(image: Image.Image, name: str) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise UnreadableImage(name, f"more than {MAX_PIXELS:,} pixels")
    if width == 0 or height == 0:
        raise UnreadableImage(name, "no pixels")


def _to_rgb(image: Image.Image, format: str, name: str) -> NDArray[np.uint8]:
    from PIL import Image as pil

    if image.mode in SIXTEEN_BIT or (image.mode == "I" and format == "PNG"):  # a PNG has 16 bits at most
        levels = np.asarray(image).astype(np.uint32)
        grey = (levels >> 8).astype(np.uint8)
        transparent = image.info.get("transparency")
        if isinstance(transparent, int):
            grey[levels == transparent] = 255
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode in ("I", "F"):
        kind = "32-bit integer" if image.mode == "I" else "floating-point"
        raise UnreadableImage(name, f"{kind} pixels have no stated range; save it with 8 or 16 bits")
    if image.mode in WITH_ALPHA or image.has_transparency_data:
        foreground = image.convert("RGBA")
        image = pil.alpha_composite(pil.new("RGBA", foreground.size, (255, 255, 255, 255)), foreground)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"), dtype=np.uint8)


def _upright(image: Image.Image) -> Image.Image:
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged metadata beside whole pixels: every viewer shows these unrotated
        return image
