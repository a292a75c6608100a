"""Do heat maps point at what matters? Maps of photographs with a known fault, against random maps.

Photographs that come with scikit-image and scikit-learn are cut into crops of 192 x 192, dealt into a real and a
generated set. A tenth of the generated crops get a fault in one square of 64 x 64: noise, blur, or a piece of another
photograph. Some crops of each photograph, with the faults and without, are explained by EfficientNet-Lite0 features,
for the Fréchet and the kernel distance.

* **Deletion**: the 7 x 7 cells of the map give way, the highest first, to those of the nearest real crop, or of the
  crop itself blurred, and the influence is taken again and again. The area under that curve is set beside that of
  random orders: the difference, in units of how far the influence falls when every cell is replaced.
* **Pointing**: how often the highest cell lies in the faulty square.

Intervals are over photographs: crops of one photograph are alike. The Fréchet distance is taken at two sizes of the
sets, above and below as many samples as there are features.

    python studies/deletion.py --out studies/deletion.json
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from comparability import photographs, stacked, write
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy.special import stdtrit
from torch import Tensor, nn

import assay
from assay.attribution import (
    FrozenInfluence,
    deletion,
    grad_cam,
    pixel_maps,
    points_at,
    pooled_layer,
    pooled_maps,
    sample_influence,
    seen_box,
)  # fmt: skip
from assay.attribution.deletion import Box, share_in
from assay.data import array_images
from assay.features import extract, get_extractor
from assay.features.efficientnet_lite import CROP_FRACTION, DEVIATION, MEAN, VARIANTS
from assay.features.resize import center_crop_box, resize_tensor
from assay.scale.nearest import nearest

SIDE, PATCH = 192, 64
KINDS = ("as it is", "noise", "blur", "foreign")
MEASURES = {"fd": assay.frechet_distance, "kd": assay.kernel_distance}
STEPS = 7


@dataclass(frozen=True)
class Crop:
    photo: int
    kind: str
    image: Image.Image
    top: int
    left: int


def cut(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    x, y = rng.integers(0, photo.width - SIDE + 1), rng.integers(0, photo.height - SIDE + 1)
    return photo.crop((int(x), int(y), int(x) + SIDE, int(y) + SIDE))


def faulty(
    image: Image.Image, kind: str, other: Image.Image, box: Box, photo: int, rng: np.random.Generator
) -> Crop:
    top, left = (int(rng.integers(box[k], box[k] + box[k + 2] - PATCH + 1)) for k in (0, 1))
    where = (left, top, left + PATCH, top + PATCH)
    piece = image.crop(where)
    if kind == "noise":
        piece = Image.fromarray(rng.integers(0, 256, (PATCH, PATCH, 3), dtype=np.uint8))
    elif kind == "blur":
        piece = image.filter(ImageFilter.GaussianBlur(6)).crop(where)
    elif kind == "foreign":
        piece = other.crop(where)
    changed = image.copy()
    changed.paste(piece, where)
    return Crop(photo, kind, changed, top, left)


def tensor(images: Sequence[Image.Image]) -> Tensor:
    return torch.from_numpy(stacked(images)).permute(0, 3, 1, 2).float() / 255


def features(images: Sequence[Image.Image], extractor: Any) -> Tensor:
    return extract(array_images(stacked(images)), extractor).features


def without_gradient(extractor: Any) -> Callable[[Tensor], Tensor]:
    """The features as `torch_module` gives them, by the form that is fastest without a gradient."""

    def features_of(images: Tensor) -> Tensor:
        top, left, side = center_crop_box(images.shape[2], images.shape[3], CROP_FRACTION)
        square = images[:, :, top : top + side, left : left + side]
        x = (resize_tensor(square, VARIANTS[extractor.name].resolution) * 255 - MEAN) / DEVIATION
        found: Tensor = extractor.forward(x).features
        return found

    return features_of


def mean_and_interval(values: NDArray[Any], photos: NDArray[Any]) -> dict[str, float]:
    means = np.array([values[photos == photo].mean() for photo in np.unique(photos)])
    half = stdtrit(len(means) - 1, 0.975) * means.std(ddof=1) / len(means) ** 0.5
    return {
        "mean": float(means.mean()),
        "low": float(means.mean() - half),
        "high": float(means.mean() + half),
    }


@dataclass(frozen=True)
class Bench:
    """What every map is judged with."""

    features: Callable[[Tensor], Tensor]
    crops: Sequence[Crop]
    images: Tensor
    fills: dict[str, Tensor]
    box: Box
    random: dict[str, list[Tensor]]  # fill -> a random order each: features (B, STEPS + 1, d)

    def area(self, phi: FrozenInfluence, curves: Tensor) -> Tensor:
        with torch.no_grad():
            scores = torch.stack([phi(each) for each in curves])
        return torch.trapezoid(scores, dx=1 / (curves.shape[1] - 1), dim=1)

    def judge(
        self, phi: FrozenInfluence, maps: Tensor, name: str, rows: Sequence[int]
    ) -> list[dict[str, Any]]:
        photos = np.array([self.crops[i].photo for i in rows])
        kinds = np.array([self.crops[i].kind for i in rows])
        found = []
        for fill, other in self.fills.items():
            done = deletion(
                lambda x: phi(self.features(x)), self.images[list(rows)], maps, other[list(rows)],
                steps=STEPS, box=self.box,
            )  # fmt: skip
            by_chance = torch.stack([self.area(phi, c[list(rows)]) for c in self.random[fill]]).mean(0)
            fall = float((done.score[:, 0] - done.score[:, -1]).mean())
            gain = (by_chance - done.area.cpu()).numpy()
            found.append(
                {
                    "map": name, "test": f"deletion, {fill}", "n": len(rows), "fall": fall,
                    **{k: v / abs(fall) for k, v in mean_and_interval(gain, photos).items()},
                    "better_than_random": float((gain > 0).mean()),
                }
            )  # fmt: skip
        bad = kinds != "as it is"
        if not bad.any():
            return found
        region = torch.zeros(len(rows), SIDE, SIDE, dtype=torch.bool)
        for k, i in enumerate(rows):
            crop = self.crops[i]
            region[k, crop.top : crop.top + PATCH, crop.left : crop.left + PATCH] = True
        hits = points_at(maps, region, box=self.box).numpy().astype(float)
        chance = (share_in(region, *maps.shape[1:], self.box) >= 0.5).double().mean((1, 2)).numpy()
        by_kind = {kind: float(hits[kinds == kind].mean()) for kind in KINDS[1:]}
        found.append(
            {
                "map": name, "test": "pointing", "n": int(bad.sum()), **mean_and_interval(hits[bad], photos[bad]),
                "by_chance": float(chance[bad].mean()), "by_kind": by_kind,
            }
        )  # fmt: skip
        return found


def random_curves(
    features: Callable[[Tensor], Tensor],
    images: Tensor,
    fill: Tensor,
    box: Box,
    orders: int,
    generator: torch.Generator,
) -> list[Tensor]:
    found = []
    for _ in range(orders):
        kept: list[Tensor] = []

        def keep(x: Tensor, kept: list[Tensor] = kept) -> Tensor:
            kept.append(features(x))
            return torch.zeros(len(x))

        deletion(keep, images, torch.rand(len(images), 7, 7, generator=generator), fill, steps=STEPS, box=box)
        found.append(torch.stack(kept, 1))
    return found


def against_means(
    module: nn.Module, layer: str, phi: FrozenInfluence, images: Tensor, base: Tensor
) -> Tensor:
    """The pooled map with the baseline's mean at every place: a baseline of 1 x 1 cell has no places of its own."""
    part = module.get_submodule(layer)
    kept: list[Tensor] = []
    with torch.no_grad(), part.register_forward_hook(lambda _m, _i, out: kept.append(out.double())):
        for each in (*torch.split(images, 16), *torch.split(base, 16)):
            module(each)
    maps = torch.cat(kept)
    own, other = maps[: len(images)], maps[len(images) :].mean((2, 3))
    slopes = phi.mean_slope(own.mean((2, 3)), other)
    return torch.einsum("bc,bchw->bhw", slopes, own - other[:, :, None, None]) / 49


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crops", type=int, default=90, help="of each photograph and set")
    parser.add_argument("--few", type=int, default=24, help="of the same, for the smaller sets")
    parser.add_argument("--each", type=int, default=2, help="crops of a photograph that are explained")
    parser.add_argument("--orders", type=int, default=3, help="random ones")
    parser.add_argument("--pixels", type=int, default=6, help="crops with a map of pixels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rng, generator = np.random.default_rng(arguments.seed), torch.Generator().manual_seed(arguments.seed)
    extractor = get_extractor("efficientnet-lite0", device="cpu")
    module = extractor.torch_module()
    box = seen_box(module, SIDE, SIDE)
    layer = pooled_layer(module, SIDE, SIDE)
    assert layer is not None
    by_images = without_gradient(extractor)
    photos = photographs()
    start = time.monotonic()

    def note(what: str) -> None:
        print(f"{time.monotonic() - start:6.0f} s  {what}", flush=True)

    real = [cut(photo, rng) for _ in range(arguments.crops) for photo in photos]
    made: list[Crop] = []
    for k in range(arguments.crops):
        for p, photo in enumerate(photos):
            faults = k % 10 == 0
            kind = KINDS[1 + (k // 10 + p) % 3] if faults and k >= 10 else "as it is"
            other = photos[int(rng.integers(1, len(photos))) + p - len(photos)]
            made.append(faulty(cut(photo, rng), kind, cut(other, rng), box, p, rng))
    # these come first, so that they are in the set at both of its sizes
    explained = [
        faulty(cut(photo, rng), kind, cut(photos[p - 1 - k], rng), box, p, rng)
        for k in range(arguments.each)
        for p, photo in enumerate(photos)
        for kind in [KINDS[(p + 2 * k + (k > 1)) % len(KINDS)]]
    ]
    made = [*explained, *made[len(explained) :]]
    x = features(real, extractor)
    y = features([crop.image for crop in made], extractor)
    note(f"features of {len(x)} and {len(y)} crops")
    images = tensor([crop.image for crop in explained])
    closest = nearest(y[: len(explained)], x, 1).index[:, 0]
    base = tensor([real[int(i)] for i in closest])
    blurred = tensor([crop.image.filter(ImageFilter.GaussianBlur(12)) for crop in explained])
    fills = {"nearest real": base, "blurred": blurred}
    curves = {
        name: random_curves(by_images, images, fill, box, arguments.orders, generator)
        for name, fill in fills.items()
    }
    note("random orders")
    bench = Bench(by_images, explained, images, fills, box, curves)
    everyone = range(len(explained))
    some = [7 * k % len(explained) for k in range(arguments.pixels)]  # of as many photographs as can be
    rows: list[dict[str, Any]] = []
    few = arguments.few * len(photos)
    settings = {
        "crops": arguments.crops, "few": few, "photographs": len(photos), "explained": len(explained),
        "orders": arguments.orders, "pixels": len(some), "seed": arguments.seed, "side": SIDE, "patch": PATCH,
        "steps": STEPS, "assay": assay.__version__,
    }  # fmt: skip

    def judged(maps: Tensor, of: Sequence[int], name: str, **about: Any) -> None:
        found = [{**about, **row} for row in bench.judge(phi, maps, name, of)]
        rows.extend(found)
        for row in found:
            shown = f"{row['mean']:6.2f} [{row['low']:5.2f}, {row['high']:5.2f}]"
            note(f"{row['measure']} {row['samples']:5} {row['map']:26} {row['test']:24} {shown}")
        write({"settings": settings, "rows": rows}, arguments.out)

    for size in (len(x), few):
        for short, measure in MEASURES.items():
            phi = sample_influence(measure, x[:size], y[:size])
            about = {"measure": short, "samples": size}
            judged(pooled_maps(module, layer, phi, images, base).values, everyone, "pooled", **about)
            if size != few:
                judged(
                    against_means(module, layer, phi, images, base),
                    everyone,
                    "pooled, against the mean",
                    **about,
                )
                local = grad_cam(module, images, layer, lambda f: phi(f), relu=False, upsample=False)  # noqa: B023
                judged(local, everyone, "Grad-CAM", **about)
    for short, measure in MEASURES.items() if some else ():
        phi = sample_influence(measure, x, y)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            found = pixel_maps(module, phi, images[some], base[some], most_steps=64)
        top, left, height, width = box
        inside = found.values[:, top : top + height, left : left + width]
        cells = nn.functional.adaptive_avg_pool2d(inside, (7, 7))
        about = {"measure": short, "samples": len(x), "residual": float(found.residual.median())}
        judged(cells, some, "integrated gradients", **about)


if __name__ == "__main__":
    main()
