"""How far do numbers move by what nobody meant to measure, and how well are enlarged images told from others?

Photographs that come with scikit-image and scikit-learn are cut into crops of 128 x 128 (moon.png is left out: it was
enlarged already). The crops are dealt into two halves; one is the real set and the other, in several states, the
generated one:

* as it is, the value of two halves of one set;
* saved as JPEG;
* shrunk to half its size and enlarged again;
* both halves saved as JPEG with the same setting.

The Fréchet and the kernel distance of EfficientNet-Lite0 features are taken of each. At these few samples the Fréchet
distance is mostly bias, which is the same in every row: read its differences. The kernel distance is unbiased.

Then every crop is looked at for having been enlarged, at its own size and after each way of enlarging.

    python studies/comparability.py --crops 30 --out studies/comparability.json
"""

from __future__ import annotations

import argparse
import io
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

import assay
from assay.data import array_images
from assay.data.facts import UPSAMPLED, detail_of
from assay.features import extract, get_extractor

SIDE = 128
PHOTOGRAPHS = (
    "astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "grass.png", "gravel.png",
    "hubble_deep_field.jpg", "ihc.png", "motorcycle_left.png", "retina.jpg", "rocket.jpg",
)  # fmt: skip
FILTERS = ("NEAREST", "BILINEAR", "BICUBIC", "LANCZOS")


def photographs() -> list[Image.Image]:
    import skimage.data
    from sklearn.datasets import load_sample_images

    folder = Path(skimage.data.__file__).parent
    found = [Image.open(folder / name).convert("RGB") for name in PHOTOGRAPHS]
    return found + [Image.fromarray(image) for image in load_sample_images().images]


def crops(photo: Image.Image, k: int, rng: np.random.Generator) -> list[Image.Image]:
    width, height = photo.size
    places = [(rng.integers(0, width - SIDE + 1), rng.integers(0, height - SIDE + 1)) for _ in range(k)]
    return [photo.crop((int(x), int(y), int(x) + SIDE, int(y) + SIDE)) for x, y in places]


def jpeg(quality: int) -> Callable[[Image.Image], Image.Image]:
    def save(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file).convert("RGB")

    return save


def resized(image: Image.Image, factor: float, filter: str) -> Image.Image:
    size = (round(image.width * factor), round(image.height * factor))
    return image.resize(size, Image.Resampling[filter])


def there_and_back(image: Image.Image) -> Image.Image:
    return resized(resized(image, 0.5, "BICUBIC"), 2, "BICUBIC")


def as_it_is(image: Image.Image) -> Image.Image:
    return image


def stacked(images: Sequence[Image.Image]) -> NDArray[np.uint8]:
    return np.stack([np.asarray(image) for image in images])


def distances(images: Sequence[Image.Image], seed: int) -> list[dict[str, Any]]:
    extractor = get_extractor("efficientnet-lite0", device="cpu")
    order = np.random.default_rng(seed).permutation(len(images))
    half = len(images) // 2
    a, b = ([images[i] for i in rows] for rows in (order[:half], order[half : 2 * half]))

    def features(side: Sequence[Image.Image], state: Callable[[Image.Image], Image.Image]) -> torch.Tensor:
        return extract(array_images(stacked([state(image) for image in side])), extractor).features

    real = features(a, as_it_is)
    cases = {
        "PNG and PNG": (real, features(b, as_it_is)),
        "PNG and JPEG-95": (real, features(b, jpeg(95))),
        "PNG and JPEG-75": (real, features(b, jpeg(75))),
        "JPEG-75 and JPEG-75": (features(a, jpeg(75)), features(b, jpeg(75))),
        "native and enlarged x2": (real, features(b, there_and_back)),
        "enlarged x2 and enlarged x2": (features(a, there_and_back), features(b, there_and_back)),
    }
    rows = []
    for name, (x, y) in cases.items():
        kernel = assay.kernel_distance.estimate(x, y)
        rows.append(
            {
                "case": name, "n": half, "frechet_distance": float(assay.frechet_distance(x, y)),
                "kernel_distance": kernel.value, "low": kernel.low, "high": kernel.high,
            }
        )  # fmt: skip
        print(f"{name:28} FD {rows[-1]['frechet_distance']:8.2f}   KD {kernel}", flush=True)
    return rows


def told_enlarged(photos: Sequence[Image.Image], k: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    def share(images: Sequence[Image.Image]) -> float:
        return float(np.mean([detail_of(np.asarray(image)) < UPSAMPLED for image in images]))

    halved = [resized(photo, 0.5, "BICUBIC") for photo in photos]
    rows = []
    for size, bases in (("own size", photos), ("half size", halved)):
        native = [crop for photo in bases for crop in crops(photo, k, rng)]
        states = {"PNG": as_it_is, "JPEG-95": jpeg(95), "JPEG-75": jpeg(75)}
        for name, state in states.items():
            rows.append(
                {"of": size, "state": name, "n": len(native), "told": share(list(map(state, native)))}
            )
        for factor in (2, 4):
            for filter in FILTERS:
                large = [crop for photo in bases for crop in crops(resized(photo, factor, filter), k, rng)]
                name = f"enlarged x{factor}, {filter.lower()}"
                rows.append({"of": size, "state": name, "n": len(large), "told": share(large)})
    for row in rows:
        print(f"{row['of']:10} {row['state']:24} {100 * row['told']:5.1f}% told to be enlarged", flush=True)
    return rows


def write(found: dict[str, Any], path: Path) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w") as file:
        file.write(json.dumps(found, indent=2) + "\n")
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crops", type=int, default=30, help="of each photograph")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    photos = photographs()
    rng = np.random.default_rng(arguments.seed)
    images = [crop for photo in photos for crop in crops(photo, arguments.crops, rng)]
    settings = {
        "crops": arguments.crops, "photographs": len(photos), "seed": arguments.seed, "side": SIDE,
        "threshold": UPSAMPLED, "assay": assay.__version__,
    }  # fmt: skip
    found = {
        "settings": settings,
        "distances": distances(images, arguments.seed),
        "enlarged": told_enlarged(photos, max(1, arguments.crops // 5), rng),
    }
    write(found, arguments.out)


if __name__ == "__main__":
    main()
