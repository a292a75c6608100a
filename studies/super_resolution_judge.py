"""What `super_resolution.py` judges with: every measure, the tested crops, and intervals over photographs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from super_resolution_training import photograph
from torch import Tensor

import assay
from assay import images
from assay.errors import MissingExtra

Found = dict[str, Any]
WAVED = (
    "psnr",
    "ssim",
    "gmsd",
    "frequency_distance",
    "radial_spectrum_error",
    "efficientnet_lite0_distance",
    "brisque",
)
PREDICTED = 64  # side of the middle that the slow linear prediction is judged on


@dataclass(frozen=True)
class Judge:
    """`kin`: the objectives it is, or is made of the same numbers as: their wins here are no evidence."""

    measure: Callable[[Tensor, Tensor], Tensor]
    best: str
    kin: tuple[str, ...] = ()


@assay.pair_measure(domain="any", best="max", differentiable=False, reference="none: a mean")
def mean_of(value: Tensor) -> Tensor:
    """Values that are there already, for their mean and its interval."""
    return value


def variation_error(x: Tensor, y: Tensor) -> Tensor:
    """How far the total variation is from the target's: |log of the ratio|."""
    return (images.total_variation(x).clamp_min(1e-6) / images.total_variation(y).clamp_min(1e-6)).log().abs()


def middle(image: Tensor) -> Tensor:
    side = min(PREDICTED, *image.shape[-2:])
    top, left = ((s - side) // 2 for s in image.shape[-2:])
    return image[..., top : top + side, left : left + side]


def lite2_distance() -> Callable[[Tensor, Tensor], Tensor]:
    """The distance of `efficientnet_lite0_distance`, with another network."""
    from assay.features.efficientnet_layers import efficientnet_lite_layers

    layers = efficientnet_lite_layers("efficientnet-lite2")
    with torch.no_grad():
        channels = [m.shape[1] for m in layers(torch.zeros(1, 3, 64, 64))]
    shares = tuple(c / len(channels) for c in channels)
    return images.feature_distance.with_options(features=layers, unit=True, layer_weights=shares)


def judges(scales: int = 5) -> dict[str, Judge]:
    """Every measure, by name; those whose weights are not installed are left out."""
    exponents = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)[:scales]
    made = {
        "psnr": Judge(images.psnr, "max"),
        "mean_absolute_error": Judge(images.mean_absolute_error, "min", ("L1", "sum")),
        "ssim": Judge(images.ssim, "max"),
        "ms_ssim": Judge(images.ms_ssim.with_options(exponents=exponents), "max", ("MS-SSIM", "sum")),
    }
    if scales == 5:  # what needs 161 pixels
        made["iw_ssim"] = Judge(images.iw_ssim, "max")
    for name in ("fsim", "gmsd", "vsi", "mdsi", "haarpsi", "vif", "dss"):
        made[name] = Judge(getattr(images, name), getattr(images, name).best)
    made |= {
        "frequency_distance": Judge(images.frequency_distance, "min", ("frequency", "sum")),
        "radial_spectrum_error": Judge(images.radial_spectrum_error, "min"),
        "variation_error": Judge(variation_error, "min"),
        "linear_prediction_distance": Judge(
            lambda x, y: images.linear_prediction_distance(middle(x), middle(y)), "min"
        ),
        "efficientnet_lite0_distance": Judge(
            images.efficientnet_lite0_distance, "min", ("perceptual", "sum")
        ),
    }
    try:
        made["efficientnet_lite2_distance"] = Judge(lite2_distance(), "min")
    except MissingExtra as missing:
        print(f"left out: {missing}")
    try:
        model = images.brisque_model()
        made["brisque"] = Judge(lambda x, y: images.brisque(x, model=model), "min")
    except MissingExtra as missing:
        print(f"left out: {missing}")
    return made


def tested_crops(name: str, side: int, count: int) -> Tensor:
    """(up to count, 3, side, side): crops that do not overlap, the middle ones first."""
    whole = photograph(name)
    rows, columns = (s // side for s in whole.shape[-2:])
    top, left = ((s - n * side) // 2 for s, n in zip(whole.shape[-2:], (rows, columns), strict=True))
    places = [(top + r * side, left + c * side) for r in range(rows) for c in range(columns)]
    centre = torch.tensor(whole.shape[-2:]) / 2
    places.sort(key=lambda at: float((torch.tensor(at) + side / 2 - centre).norm()))
    return torch.stack([whole[:, t : t + side, a : a + side] for t, a in places[:count]])


@torch.no_grad()
def values_of(restored: Tensor, target: Tensor, asked: Mapping[str, Judge]) -> dict[str, list[float]]:
    """Each measure's value of each crop; the images' own variation as well."""
    found = {name: judge.measure(restored, target) for name, judge in asked.items()}
    found["variation_ratio"] = images.total_variation(restored) / images.total_variation(target)
    return {name: [float(f"{v:.6g}") for v in value.tolist()] for name, value in found.items()}


@torch.no_grad()
def under_a_wave(
    restored: Tensor, target: Tensor, asked: Mapping[str, Judge], amplitudes: Sequence[float]
) -> Found:
    """What some measures say of a wave of four pixels, added along both axes: the grid that upscaling by 4 may leave.

    By amplitude and measure, the mean over images.
    """
    rows, columns = (torch.cos(torch.arange(side) * torch.pi / 2) for side in restored.shape[-2:])
    chosen = {n: asked[n].measure for n in WAVED if n in asked}
    chosen["frequency_distance, l1"] = images.frequency_distance.with_options(kind="l1")
    found = {}
    for amplitude in amplitudes:
        waved = (restored + amplitude * (rows[:, None] + columns)).clamp(0, 1)
        waved = (255 * waved).round() / 255
        found[f"{amplitude:g}"] = {n: float(f"{m(waved, target).mean():.6g}") for n, m in chosen.items()}
    return found


def interval(values: Sequence[float], photographs: Sequence[str]) -> Found:
    """Mean and its 95% interval, photographs as clusters."""
    numbers = {name: k for k, name in enumerate(dict.fromkeys(photographs))}
    of = torch.tensor([numbers[name] for name in photographs])
    if len(numbers) < 2:
        return {"value": float(np.mean(values)), "low": None, "high": None}
    found = mean_of.estimate(torch.tensor(values, dtype=torch.float64), clusters=of)
    return {k: float(f"{getattr(found, k):.6g}") for k in ("value", "low", "high")}


def by_photograph(values: ArrayLike, photographs: Sequence[str]) -> NDArray[np.float64]:
    names = list(dict.fromkeys(photographs))
    array, of = np.asarray(values), np.asarray(photographs)
    return np.array([array[of == name].mean() for name in names])


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Along the first axis; ties count as they come."""
    return values.argsort(0).argsort(0).astype(float)


def agreement(quality: Mapping[str, NDArray[np.float64]]) -> dict[str, dict[str, float]]:
    """Spearman's correlation of two measures' orders of the models, the mean over photographs.

    quality: by measure (models, photographs), higher is better.
    """
    centred = {name: ranks(q) - (len(q) - 1) / 2 for name, q in quality.items()}
    scale = next(iter(centred.values()))
    whole = (scale[:, 0] ** 2).sum()
    return {
        a: {b: round(float(((centred[a] * centred[b]).sum(0) / whole).mean()), 3) for b in centred}
        for a in centred
    }


def summed_up(
    crops: Mapping[str, Mapping[str, Sequence[float]]], photographs: Sequence[str], asked: Mapping[str, Judge],
    arms: Sequence[str], beside: str,
) -> Found:  # fmt: skip
    """Means, differences to one model, wins by photograph, and which measures order the models alike.

    crops: by model and measure, one value a crop.
    """
    shown = [*asked, "variation_ratio"]
    means = {m: {j: interval(of[j], photographs) for j in shown} for m, of in crops.items()}
    differences = {}
    for m in [m for m in crops if m != beside]:
        gaps = {j: np.subtract(of, crops[beside][j]) for j, of in crops[m].items()}
        differences[m] = {j: interval(gap.tolist(), photographs) for j, gap in gaps.items()}
        for j, judge in asked.items():
            up = by_photograph(gaps[j], photographs) * (1 if judge.best == "max" else -1)
            differences[m][j]["better_on"] = int((up > 0).sum())
    quality = {
        j: np.stack([by_photograph(crops[m][j], photographs) for m in arms])
        * (1 if judge.best == "max" else -1)
        for j, judge in asked.items()
    }
    wins = {j: {m: int((q.argmax(0) == k).sum()) for k, m in enumerate(arms)} for j, q in quality.items()}
    return {"means": means, "differences": differences, "wins": wins, "agreement": agreement(quality)}
