"""How far are a generator's images from real ones it was never shown, in the spaces it was trained in and in others?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from post_training_runs import in_range
from torch import Tensor, nn

import assay
from assay.data import array_images
from assay.features import extract, get_extractor


def numbers(estimate: assay.Estimate) -> dict[str, float]:
    return {"value": estimate.corrected, "low": estimate.low, "high": estimate.high}


def judged(
    made: Mapping[str, Tensor], real: Mapping[str, Tensor], few: int
) -> dict[str, dict[str, dict[str, float]]]:
    """Every distance in every space, with 95% intervals. All images for the Fréchet distance; for the kernel distance
    the first 2 `few`, for precision, recall and coverage the first `few`.

    Args:
        made, real: space -> features of the generated and of the held-out real images.
    """
    out = {}
    for name, x in real.items():
        y = made[name]
        near = assay.prdc.estimate(x[:few], y[:few], generator=torch.Generator().manual_seed(0))
        out[name] = {
            "frechet_distance": numbers(assay.frechet_distance.estimate(x, y)),
            "kernel_distance": numbers(assay.kernel_distance.estimate(x[: 2 * few], y[: 2 * few])),
            **{key: numbers(near[key]) for key in ("precision", "recall", "coverage")},
        }
    return out


def changed(real: Tensor, before: Tensor, after: Tensor) -> dict[str, float]:
    """The Fréchet distance after, less that before; both against the same real features."""
    return numbers(assay.difference(assay.frechet_distance, real, before, after))


def asked_class(classify: nn.Module, images: Tensor, classes: Tensor) -> float:
    """Share of images that a classifier takes for the class they were asked to be."""
    with torch.no_grad():
        said = torch.cat([classify(in_range(block)).argmax(1) for block in images.split(500)])
    return float((said == classes).float().mean())


def photograph_features(images: Tensor, device: str) -> Tensor:
    """EfficientNet-Lite0, a network for photographs: (n, 1280) features of the images enlarged to its size."""
    grey = images[:, 0].cpu().numpy()
    rgb = np.repeat(grey[..., None], 3, axis=3)
    return extract(array_images(rgb), get_extractor("efficientnet-lite0", device=device)).features


def in_photograph_space(real: Tensor, made: Tensor) -> dict[str, Any]:
    """Too few images for a Fréchet distance of 1280 features; the kernel distance is unbiased at any number."""
    return {"kernel_distance": numbers(assay.kernel_distance.estimate(real, made)), "n": len(made)}
