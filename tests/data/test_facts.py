"""Facts of images: what is stored, how coarsely, whether it is a copy, and whether it was enlarged."""

from __future__ import annotations

import io

import numpy as np
import pytest

from assay.data.decode import decode_image
from assay.data.facts import (
    FACTS,
    UPSAMPLED,
    Format,
    detail_of,
    digest_of,
    facts_of,
    format_of,
    jpeg_quality,
)

Image = pytest.importorskip("PIL.Image")
skimage_data = pytest.importorskip("skimage.data")


def noise(height=40, width=48, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def saved(pixels, format, **how):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format, **how)
    return file.getvalue()


def by_name(raw, pixels):
    values = facts_of(raw, pixels)
    assert len(values) == len(FACTS)
    for value, kind in zip(values, FACTS.values(), strict=True):
        np.array([value], dtype=kind)  # fits
    return dict(zip(FACTS, values, strict=True))


def test_the_facts_of_one_image():
    pixels = noise()
    facts = by_name(saved(pixels, "PNG"), pixels)
    assert (facts["height"], facts["width"], facts["format"], facts["quality"]) == (40, 48, Format.PNG, -1)
    assert facts["grey"] is False and facts["constant"] is False and facts["digest"] == digest_of(pixels)
    assert by_name(pixels, pixels)["format"] == Format.PIXELS
    assert digest_of(pixels) != digest_of(noise(seed=1))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"])
def test_formats_by_their_first_bytes(format):
    assert format_of(saved(noise(), format)) is Format[format]


def test_other_bytes_are_unknown():
    assert format_of(b"hello") is Format.UNKNOWN
    assert format_of(b"RIFF....WAVE") is Format.UNKNOWN


@pytest.mark.parametrize("how", [{}, {"progressive": True}, {"optimize": True}, {"subsampling": 0}])
def test_every_jpeg_quality_is_found(how):
    for quality in [*range(1, 101, 7), 75, 95, 99, 100]:
        content = saved(noise(16, 16), "JPEG", quality=quality, **how)
        assert jpeg_quality(content) == quality
    grey = io.BytesIO()
    Image.new("L", (9, 9)).save(grey, "JPEG", quality=60)
    assert jpeg_quality(grey.getvalue()) == 60


def test_quality_of_damaged_headers_is_never_an_exception():
    content = saved(noise(16, 16), "JPEG", quality=80)
    rng = np.random.default_rng(0)
    for _ in range(500):
        damaged = bytearray(content[: rng.integers(0, len(content))])
        for at in rng.integers(0, max(1, len(damaged)), 4):
            if damaged:
                damaged[at % len(damaged)] = rng.integers(0, 256)
        assert -1 <= jpeg_quality(bytes(damaged)) <= 100
    assert jpeg_quality(b"") == jpeg_quality(b"\xff\xd8") == jpeg_quality(b"\xff\xd8\xff\xd9") == -1
    # a 16-bit table of the same steps
    table = content.index(b"\xff\xdb\x00\x43\x00")
    steps = content[table + 5 : table + 69]
    wide = b"\xff\xdb\x00\x83\x10" + b"".join(bytes([0, step]) for step in steps)
    assert jpeg_quality(content[:table] + wide + content[table + 69 :]) == 80


def test_digests_know_pictures_not_files():
    pixels = noise()
    for format in ("PNG", "BMP", "TIFF"):
        content = saved(pixels, format)
        assert digest_of(decode_image(content, "")) == digest_of(pixels)
    assert digest_of(pixels[::-1][::-1]) == digest_of(pixels)
    assert digest_of(pixels.reshape(48, 40, 3)) != digest_of(pixels)
    one_off = pixels.copy()
    one_off[-1, -1, 2] ^= 1
    assert digest_of(one_off) != digest_of(pixels)
    assert -(2**63) <= digest_of(pixels) < 2**63


def test_grey_and_constant_look_at_every_pixel():
    grey = np.repeat(noise()[..., :1], 3, axis=2)
    assert by_name(grey, grey)["grey"] is True
    tinted = grey.copy()
    tinted[37, 3, 2] ^= 1
    assert by_name(tinted, tinted)["grey"] is False
    flat = np.full((40, 48, 3), (3, 4, 5), np.uint8)
    assert by_name(flat, flat)["constant"] is True and by_name(flat, flat)["grey"] is False
    flat[33, 7, 1] += 1
    assert by_name(flat, flat)["constant"] is False
    tiny = np.zeros((1, 1, 3), np.uint8)
    assert by_name(tiny, tiny)["constant"] is True


def photograph():
    return Image.fromarray(skimage_data.chelsea())


@pytest.mark.parametrize("filter", ["NEAREST", "BILINEAR", "BICUBIC", "LANCZOS"])
@pytest.mark.parametrize("factor", [2, 4])
def test_enlarged_photographs_lie_below_the_line_and_others_above(filter, factor):
    photo = photograph()
    assert detail_of(np.asarray(photo)) > UPSAMPLED
    small = photo.resize((photo.width // 2, photo.height // 2), Image.Resampling.BICUBIC)
    assert detail_of(np.asarray(small)) > UPSAMPLED
    for image in (photo, small):
        large = image.resize((image.width * factor, image.height * factor), Image.Resampling[filter])
        assert detail_of(np.asarray(large)) < UPSAMPLED


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_blocks_of_jpeg_are_not_taken_for_enlarging(quality):
    pixels = decode_image(saved(np.asarray(photograph()), "JPEG", quality=quality), "a.jpg")
    assert detail_of(pixels) > UPSAMPLED


def test_detail_says_nothing_where_nothing_can_be_said():
    assert np.isnan(detail_of(noise(31, 200)))
    assert np.isnan(detail_of(np.full((64, 64, 3), 9, np.uint8)))
    assert detail_of(noise(200, 200)) > -0.5
