"""Photographs, and what is done to them: fourteen distortions, each with a strength that can be turned up.

A distortion takes the photograph with a margin on every side, so that a shift or a blur never has to invent what lies
beyond the border, and everything random in it is drawn once a photograph: a stronger one has the weaker one's noise,
only more of it.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Pixels = NDArray[np.float64]  # (H, W, 3) in [0, 1]
Distort = Callable[[Pixels, float, np.random.Generator], Pixels]

MARGIN, BLOCK, LARGE, LUMA = 16, 16, 400, (0.299, 0.587, 0.114)
PHOTOGRAPHS = (
    "astronaut.png", "chelsea.png", "coffee.png", "hubble_deep_field.jpg", "ihc.png", "motorcycle_left.png",
    "retina.jpg", "rocket.jpg", "china.jpg", "flower.jpg",
)  # fmt: skip


@dataclass(frozen=True)
class Distortion:
    """`strengths` from weak to strong; between the ends of `reach` a strength of a wanted PSNR is sought."""

    name: str
    apply: Distort
    strengths: tuple[float, ...]
    reach: tuple[float, float]
    what: str


def folder_of(package: str) -> Path:
    """Found without importing it, which takes seconds."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"the photographs come with {package}, which is not installed")
    return Path(spec.origin).parent


def photographs(side: int) -> dict[str, Pixels]:
    """The middle of every photograph in colour that scikit-image and scikit-learn ship, with the margin.

    Large ones are made smaller first: at their own size a few hundred pixels show next to nothing.
    """
    folders = (folder_of("skimage") / "data", folder_of("sklearn") / "datasets" / "images")
    found = {}
    for name in PHOTOGRAPHS:
        path = next(folder / name for folder in folders if (folder / name).is_file())
        with Image.open(path) as image:
            rgb, full = image.convert("RGB"), side + 2 * MARGIN
            rgb = rgb.reduce(max(1, min(rgb.size) // LARGE))
            left, top = (rgb.width - full) // 2, (rgb.height - full) // 2
            pixels = np.asarray(rgb.crop((left, top, left + full, top + full)))
        found[path.stem] = pixels / 255
    return found


def inner(pixels: Pixels) -> Pixels:
    return pixels[MARGIN:-MARGIN, MARGIN:-MARGIN]


def eight_bits(pixels: Pixels) -> Pixels:
    rounded: Pixels = np.round(np.clip(pixels, 0, 1) * 255) / 255
    return rounded


def distorted(pixels: Pixels, distortion: Distortion, strength: float, seed: int) -> Pixels:
    """Without the margin, in 8 bits."""
    return eight_bits(inner(distortion.apply(pixels, strength, np.random.default_rng(seed))))


def psnr(a: Pixels, b: Pixels) -> float:
    return float(-10 * np.log10(max(np.square(a - b).mean(), 1e-10)))


def at_psnr(pixels: Pixels, distortion: Distortion, wanted: float, seed: int, within: float) -> Pixels | None:
    """The image at the strength whose PSNR comes nearest to the wanted one, None where that is not within reach."""
    target, best = inner(pixels), None
    low, high = distortion.reach
    for _ in range(14):
        middle = (low + high) / 2
        image = distorted(pixels, distortion, middle, seed)
        found = psnr(image, target)
        if best is None or abs(found - wanted) < abs(best[0] - wanted):
            best = (found, image)
        low, high = (middle, high) if found > wanted else (low, middle)
    assert best is not None
    return best[1] if abs(best[0] - wanted) <= within else None


def blur(x: Pixels, deviation: float, _: np.random.Generator) -> Pixels:
    found: Pixels = ndimage.gaussian_filter(x, (deviation, deviation, 0))
    return found


def resized(x: Pixels, factor: float, _: np.random.Generator) -> Pixels:
    image = as_image(x)
    small = tuple(max(1, round(side / factor)) for side in image.size)
    back = image.resize((small[0], small[1]), Image.Resampling.BICUBIC)
    found: Pixels = np.asarray(back.resize(image.size, Image.Resampling.BICUBIC)) / 255
    return found


def sharpened(x: Pixels, amount: float, rng: np.random.Generator) -> Pixels:
    return x + amount * (x - blur(x, 1.5, rng))


def noise(x: Pixels, deviation: float, rng: np.random.Generator) -> Pixels:
    return x + deviation * rng.standard_normal(x.shape)


def salt_and_pepper(x: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    chance, salt = rng.random(x.shape[:2]), rng.random(x.shape[:2]) < 0.5
    return np.where((chance < share)[..., None], salt[..., None].astype(float), x)


def as_image(x: Pixels) -> Image.Image:
    return Image.fromarray((eight_bits(x) * 255).round().astype(np.uint8))


def coded(x: Pixels, form: str, **options: Any) -> Pixels:
    buffer = io.BytesIO()
    as_image(x).save(buffer, form, **options)
    with Image.open(io.BytesIO(buffer.getvalue())) as image:
        return np.asarray(image.convert("RGB")) / 255


def jpeg(x: Pixels, loss: float, _: np.random.Generator) -> Pixels:
    return coded(x, "JPEG", quality=100 - round(loss))


def jpeg2000(x: Pixels, ratio: float, _: np.random.Generator) -> Pixels:
    return coded(x, "JPEG2000", quality_mode="rates", quality_layers=[ratio], irreversible=True)


def quantised(x: Pixels, step: float, _: np.random.Generator) -> Pixels:
    return np.round(x / step) * step


def brighter(x: Pixels, shift: float, _: np.random.Generator) -> Pixels:
    return x + shift


def flatter(x: Pixels, loss: float, _: np.random.Generator) -> Pixels:
    return x + loss * (float(x.mean()) - x)


def paler(x: Pixels, loss: float, _: np.random.Generator) -> Pixels:
    luma: Pixels = (x @ np.array(LUMA))[..., None]
    return x + loss * (luma - x)


def moved(x: Pixels, pixels: float, _: np.random.Generator) -> Pixels:
    found: Pixels = ndimage.shift(x, (0, pixels, 0), order=3, mode="nearest")
    return found


def turned(x: Pixels, degrees: float, _: np.random.Generator) -> Pixels:
    found: Pixels = ndimage.rotate(x, degrees, reshape=False, order=3, mode="nearest")
    return found


def misplaced(x: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    """Blocks that show what lies half a block away."""
    found = x.copy()
    corners = [
        (i, j)
        for i in range(MARGIN, x.shape[0] - MARGIN, BLOCK)
        for j in range(MARGIN, x.shape[1] - MARGIN, BLOCK)
    ]
    ways = [(a, b) for a in (-8, 0, 8) for b in (-8, 0, 8) if a or b]
    order, way = rng.permutation(len(corners)), rng.integers(0, len(ways), len(corners))
    for k in order[: round(share * len(corners))]:
        (i, j), (a, b) = corners[k], ways[way[k]]
        found[i : i + BLOCK, j : j + BLOCK] = x[i + a : i + a + BLOCK, j + b : j + b + BLOCK]
    return found


DISTORTIONS = (
    Distortion("blur", blur, (0.5, 1, 2, 4, 8), (0.1, 16), "Gaussian, by its deviation in pixels"),
    Distortion("down-up", resized, (1.5, 2, 3, 4, 6), (1.05, 24), "made smaller and larger again, bicubic"),
    Distortion("sharpen", sharpened, (0.5, 1, 2, 4, 8), (0.05, 30), "so many times what a blur took is added"),
    Distortion("noise", noise, (0.01, 0.02, 0.04, 0.08, 0.16), (0.005, 0.4), "white, Gaussian, by its deviation"),
    Distortion("salt", salt_and_pepper, (0.002, 0.01, 0.03, 0.08, 0.2), (0.0002, 0.5), "pixels black or white"),
    Distortion("JPEG", jpeg, (20, 50, 75, 87, 95), (5, 99), "100 minus the quality"),
    Distortion("JPEG 2000", jpeg2000, (10, 20, 40, 80, 160), (3, 900), "the rate of compression"),
    Distortion("quantise", quantised, (1 / 32, 1 / 16, 1 / 8, 1 / 5, 1 / 3), (1 / 64, 0.6), "steps of values"),
    Distortion("bright", brighter, (0.02, 0.05, 0.1, 0.2, 0.3), (0.005, 0.6), "added to every value"),
    Distortion("contrast", flatter, (0.1, 0.25, 0.5, 0.7, 0.85), (0.02, 1), "loss: towards the mean value"),
    Distortion("saturation", paler, (0.1, 0.25, 0.5, 0.75, 1), (0.02, 1), "loss: towards the luma"),
    Distortion("shift", moved, (1, 2, 3, 4, 5), (0.02, 16), "to the right, in pixels"),
    Distortion("turn", turned, (0.5, 1, 2, 4, 8), (0.02, 8), "about the middle, in degrees"),
    Distortion("blocks", misplaced, (0.05, 0.1, 0.2, 0.4, 0.8), (0.004, 1), "share of 16 x 16 blocks 8 pixels off"),
)  # fmt: skip
