"""Each rule of decoding, on files made here, against values worked out by hand."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")

from assay.data import UnreadableImage  # noqa: E402
from assay.data import decode as decode_module  # noqa: E402
from assay.data.decode import decode_image  # noqa: E402


def encoded(image, format, **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def png_chunks(width, height, depth, colour, rows, extra=b""):
    """A PNG written by hand, for kinds that Pillow reads and does not write."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + head + extra + data + chunk(b"IEND", b"")


RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
GREY = RGB[:, :, 0]


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF"])
def test_rgb_is_read_as_it_is(format):
    name = {"PNG": "a.png", "BMP": "a.BMP", "TIFF": "a.tif"}[format]
    read = decode_image(encoded(Image.fromarray(RGB), format), name)
    assert read.dtype == np.uint8 and read.shape == (5, 7, 3)
    np.testing.assert_array_equal(read, RGB)


def test_lossless_webp_and_close_jpeg():
    np.testing.assert_array_equal(
        decode_image(encoded(Image.fromarray(RGB), "WEBP", lossless=True), "a.webp"), RGB
    )
    flat = np.full((8, 8, 3), (200, 30, 90), np.uint8)
    read = decode_image(encoded(Image.fromarray(flat), "JPEG", quality=95), "a.jpeg")
    assert np.abs(read.astype(int) - flat).max() <= 3


def test_grey_is_replicated():
    read = decode_image(encoded(Image.fromarray(GREY), "PNG"), "a.png")
    np.testing.assert_array_equal(read, np.stack([GREY] * 3, -1))


def test_black_and_white_becomes_0_and_255():
    bits = GREY > 127
    read = decode_image(encoded(Image.fromarray(bits), "PNG"), "a.png")
    np.testing.assert_array_equal(read, np.repeat(bits[:, :, None] * np.uint8(255), 3, 2))


def test_palette_is_looked_up():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([1, 0])
    for format, name in [("PNG", "a.png"), ("GIF", "a.gif"), ("BMP", "a.bmp")]:
        assert decode_image(encoded(image, format), name).tolist() == [[[200, 100, 50], [10, 20, 30]]]


def test_cmyk_is_converted():
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    red = decode_image(encoded(image, "TIFF"), "a.tiff")
    assert red[4, 4].tolist() == [255, 0, 0]
    jpeg = decode_image(encoded(image, "JPEG", quality=100), "a.jpg")
    assert np.abs(jpeg[4, 4].astype(int) - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_composited_over_white(mode):
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (6, 6, 4 if mode == "RGBA" else 2), dtype=np.uint8)
    read = decode_image(encoded(Image.fromarray(pixels, mode), "PNG"), "a.png")
    alpha = pixels[:, :, -1:].astype(float) / 255
    expected = pixels[:, :, :-1] * alpha + 255 * (1 - alpha)
    assert np.abs(read - np.broadcast_to(expected, read.shape)).max() <= 1
    assert (read[pixels[:, :, -1] == 0] == 255).all()


def test_a_transparent_colour_is_white():
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putdata([1, 0])
    for format, name in [("PNG", "a.png"), ("GIF", "a.gif")]:
        read = decode_image(encoded(palette, format, transparency=0), name)
        assert read.tolist() == [[[200, 100, 50], [255, 255, 255]]]
    read = decode_image(encoded(Image.fromarray(np.uint8([[7, 9]])), "PNG", transparency=9), "a.png")
    assert read[0, :, 0].tolist() == [7, 255]
    sixteen = png_chunks(2, 1, 16, 0, [struct.pack(">HH", 0x1234, 0x1235)], _chunk_trns(0x1235))
    assert decode_image(sixteen, "a.png")[0, :, 0].tolist() == [0x12, 255]


def _chunk_trns(level):
    body = struct.pack(">H", level)
    return struct.pack(">I", 2) + b"tRNS" + body + struct.pack(">I", zlib.crc32(b"tRNS" + body))


LEVELS = [0, 255, 256, 32768, 65279, 65280, 65535]
HIGH = [0, 0, 1, 128, 254, 255, 255]


def test_sixteen_bit_keeps_the_high_byte_in_grey_and_in_colour():
    array = np.array([LEVELS], np.uint16)
    for format, name in [("PNG", "a.png"), ("TIFF", "a.tif")]:
        assert decode_image(encoded(Image.fromarray(array), format), name)[0].tolist() == [
            [v] * 3 for v in HIGH
        ]
    big_endian = encoded(Image.fromarray(array.astype(">u2")), "TIFF")
    assert decode_image(big_endian, "a.tif")[0, :, 0].tolist() == HIGH
    row = b"".join(struct.pack(">HHH", v, v, v) for v in LEVELS)
    assert decode_image(png_chunks(7, 1, 16, 2, [row]), "a.png")[0, :, 0].tolist() == HIGH
    row = b"".join(struct.pack(">HH", v, 65535) for v in LEVELS)
    assert decode_image(png_chunks(7, 1, 16, 4, [row]), "a.png")[0, :, 0].tolist() == HIGH


def tiff(width, height, tags, strip):
    """A little-endian TIFF of one strip, for kinds that Pillow reads and does not write."""
    entries = {256: (3, width), 257: (3, height), 259: (3, 1), 278: (3, height), 279: (4, len(strip)), **tags}
    bits = struct.pack("<3H", 16, 16, 16)
    at = 8 + 2 + 12 * (len(entries) + 2) + 4
    entries |= {258: (3, at), 273: (4, at + len(bits))}
    body = b"".join(
        struct.pack("<HHII", tag, kind, 3 if tag == 258 else 1, value)
        for tag, (kind, value) in sorted(entries.items())
    )
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + bytes(4) + bits + strip


def test_sixteen_bit_colour_in_a_tiff_keeps_the_high_byte():
    strip = b"".join(struct.pack("<HHH", v, v, 0xABCD) for v in LEVELS)
    read = decode_image(tiff(7, 1, {262: (3, 2), 277: (3, 3)}, strip), "a.tif")
    assert read[0, :, 0].tolist() == HIGH and (read[..., 2] == 0xAB).all()


def test_an_inverted_cmyk_jpeg_and_a_lab_tiff_are_shown_as_they_are_meant():
    # as Adobe writes it: 255 is no ink, and a marker says so; without the marker the same bytes are ink
    ink = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    plain = encoded(ink, "JPEG", quality=100, subsampling=0)
    assert b"Adobe" in plain  # Pillow writes the marker and inverts
    assert np.abs(decode_image(plain, "a.jpg")[8, 8].astype(int) - [255, 0, 0]).max() <= 3
    white, middle = Image.new("LAB", (2, 2), (255, 128, 128)), Image.new("LAB", (2, 2), (128, 128, 128))
    assert decode_image(encoded(white, "TIFF"), "a.tif").min() >= 253
    grey = decode_image(encoded(middle, "TIFF"), "a.tif")[0, 0].astype(int)
    assert grey.max() - grey.min() <= 2 and 110 <= grey.mean() <= 128  # L* = 50 is sRGB 119
    ycc = Image.fromarray(np.full((8, 8, 3), (200, 30, 90), np.uint8)).convert("YCbCr")
    assert np.abs(decode_image(encoded(ycc, "TIFF"), "a.tif")[0, 0].astype(int) - [200, 30, 90]).max() <= 2


def test_a_palette_with_an_alpha_for_each_colour():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([1, 0])
    read = decode_image(encoded(image, "PNG", transparency=bytes([128, 0])), "a.png")
    assert read[0, 1].tolist() == [(10 * 128 + 255 * 127 + 127) // 255, *read[0, 1, 1:].tolist()]
    assert read[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_pixels_without_a_stated_range_are_refused(dtype):
    content = encoded(Image.fromarray(np.ones((2, 2), dtype)), "TIFF")
    with pytest.raises(UnreadableImage, match=r"a\.tif cannot be read: .*no stated range"):
        decode_image(content, "a.tif")


# What an orientation means: stored pixels -> upright pixels (Exif 2.32, tag 0x0112).
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("format,name", [("PNG", "a.png"), ("TIFF", "a.tif"), ("WEBP", "a.webp")])
def test_exif_orientation_is_applied_once(orientation, format, name):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if format == "WEBP" else {}
    content = encoded(
        Image.fromarray(RGB), format, exif=exif.tobytes() if format == "WEBP" else exif, **options
    )
    np.testing.assert_array_equal(decode_image(content, name), UPRIGHT[orientation](RGB))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_metadata_does_not_lose_the_picture():
    content = encoded(Image.fromarray(RGB), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    np.testing.assert_array_equal(decode_image(content, "a.png"), RGB)


def test_first_frame_of_several():
    frames = [Image.new("RGB", (3, 3), colour) for colour in ("red", "blue")]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode_image(content, "a.gif")[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize(
    "format,name", [("PNG", "a.png"), ("JPEG", "a.jpg"), ("BMP", "a.bmp"), ("TIFF", "a.tif")]
)
def test_truncated_files_are_refused(format, name):
    noise = np.random.default_rng(2).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    content = encoded(Image.fromarray(noise), format)
    for kept in (len(content) // 2, len(content) * 9 // 10):
        with pytest.raises(UnreadableImage) as caught:
            decode_image(content[:kept], name)
        assert caught.value.name == name and "\n" not in str(caught.value)
    if format in ("PNG", "JPEG"):
        assert caught.value.reason == "truncated"


def test_flipped_bits_in_a_png_are_refused():
    content = bytearray(encoded(Image.fromarray(RGB), "PNG"))
    content[content.index(b"IDAT") + 10] ^= 0xFF
    with pytest.raises(UnreadableImage, match=r"damaged|truncated"):
        decode_image(bytes(content), "a.png")


def test_the_content_tells_the_format_and_not_the_name():
    jpeg = encoded(Image.fromarray(RGB), "JPEG")
    np.testing.assert_array_equal(decode_image(jpeg, "b/a.png"), decode_image(jpeg, "a.jpg"))
    np.testing.assert_array_equal(decode_image(encoded(Image.fromarray(RGB), "PNG"), "17"), RGB)


def test_what_is_no_image_is_refused():
    with pytest.raises(UnreadableImage, match="not an image"):
        decode_image(b"<html>404</html>", "a.png")
    with pytest.raises(UnreadableImage, match="not an image"):  # a format nobody asked for is not even parsed
        decode_image(encoded(Image.fromarray(RGB), "PPM"), "a.png")
    with pytest.raises(UnreadableImage, match="empty file"):
        decode_image(b"", "a.png")


def test_a_decompression_bomb_is_refused_before_its_pixels_are_made(monkeypatch):
    bomb = png_chunks(60_000, 60_000, 8, 2, [b""])
    with pytest.raises(UnreadableImage, match="pixels"):
        decode_image(bomb, "a.png")
    monkeypatch.setattr(decode_module, "MAX_PIXELS", 34)
    with pytest.raises(UnreadableImage, match="more than 34 pixels"):
        decode_image(encoded(Image.fromarray(RGB), "PNG"), "a.png")


@pytest.mark.filterwarnings("ignore")
def test_no_mutation_of_a_file_raises_anything_else():
    rng = np.random.default_rng(3)
    noise = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
    files = [(encoded(noise, f), n) for f, n in [("PNG", "a.png"), ("JPEG", "a.jpg"), ("GIF", "a.gif")]]
    files += [(encoded(noise, f), n) for f, n in [("TIFF", "a.tif"), ("BMP", "a.bmp"), ("WEBP", "a.webp")]]
    refused = 0
    for content, name in files:
        for _ in range(50):
            damaged = bytearray(content)
            for position in rng.integers(0, len(damaged), 8):
                damaged[position] = rng.integers(0, 256)
            try:
                assert decode_image(bytes(damaged), name).ndim == 3
            except UnreadableImage:
                refused += 1
    assert refused > 20
