"""When are two images, and two runs of images, the same to a cache?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache

import numpy as np

from assay.data.decode import Raw

FORMAT = (
    "1"  # of what is kept, and of how facts and thumbnails are made; another number finds nothing of this one
)
DIGEST_BYTES = 20


def digest_of(raw: Raw) -> bytes:
    """20 bytes that tell one image from every other, by what is stored of it.

    Its name is no part of that: a renamed or moved image is found again.
    """
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    if isinstance(raw, bytes):
        digest.update(b"file|")
        digest.update(raw)
    else:
        digest.update(f"pixels|{raw.shape}|".encode())
        digest.update(np.ascontiguousarray(raw).data)
    return digest.digest()


def digest_of_failure(reason: str) -> bytes:
    """What stands for an image whose bytes could not be had at all."""
    return hashlib.blake2b(f"unread|{reason}".encode(), digest_size=DIGEST_BYTES).digest()


def content_of(digests: Iterable[bytes]) -> str:
    """One name for images in a row, from their digests in order."""
    return hashlib.blake2b(b"".join(digests), digest_size=DIGEST_BYTES).hexdigest()


def shard_key(content: str, fingerprint: str, facts: str) -> str:
    """The name of what one extractor found in these images: it changes whenever a bit of that might."""
    parts = "|".join((FORMAT, fingerprint, facts, decoder(), content))
    return hashlib.blake2b(parts.encode(), digest_size=DIGEST_BYTES).hexdigest()


@cache
def decoder() -> str:
    """The versions of what turns files into pixels: libraries round a JPEG's pixels differently."""
    try:
        import PIL
        from PIL import features
    except ImportError:
        return "none"
    return "|".join(
        [PIL.__version__, *(str(features.version(codec)) for codec in ("jpg", "webp", "zlib", "libtiff"))]
    )
