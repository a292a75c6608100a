"""Weights by a formula under the published names, so that other packages can be given the same."""

from __future__ import annotations

import math

import torch
from torch import Tensor

VGG16 = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
VGG16_WIDTHS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
ALEXNET = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}
FIRES = {3: (64, 16, 64), 4: (128, 16, 64), 6: (128, 32, 128), 7: (256, 32, 128)}
FIRES |= {9: (256, 48, 192), 10: (384, 48, 192), 11: (384, 64, 256), 12: (512, 64, 256)}


def uniform(count: int, start: float) -> Tensor:
    """Equidistributed in (0, 1): the fractional parts of multiples of the golden ratio."""
    return torch.arange(1, count + 1, dtype=torch.float64).mul((5**0.5 - 1) / 2).add(start).frac()


def convolution(name: str, outputs: int, inputs: int, kernel: int) -> dict[str, Tensor]:
    """Uniform weights of variance 2 / fan in, and small biases."""
    fan, place = inputs * kernel**2, len(name) / 7 + sum(map(ord, name)) / 13
    # permuted by a step that shares no factor with the length: neighbours in a filter must not be a ramp
    weight = (uniform(outputs * fan, place) * 7919).frac().sub(0.5) * math.sqrt(24 / fan)
    bias = uniform(outputs, place / 2).sub(0.5) * 0.2
    return {
        f"{name}.weight": weight.view(outputs, inputs, kernel, kernel).float(),
        f"{name}.bias": bias.float(),
    }


def state(name: str) -> dict[str, Tensor]:
    """The state of vgg16, alexnet or squeezenet1_1, without what is fully connected."""
    found: dict[str, Tensor] = {}
    if name == "vgg16":
        for index, outputs, inputs in zip(VGG16, VGG16_WIDTHS, (3, *VGG16_WIDTHS), strict=False):
            found |= convolution(f"features.{index}", outputs, inputs, 3)
    elif name == "alexnet":
        for index, (outputs, inputs, kernel) in ALEXNET.items():
            found |= convolution(f"features.{index}", outputs, inputs, kernel)
    else:
        found |= convolution("features.0", 64, 3, 3)
        for index, (inputs, squeezed, each) in FIRES.items():
            found |= convolution(f"features.{index}.squeeze", squeezed, inputs, 1)
            found |= convolution(f"features.{index}.expand1x1", each, squeezed, 1)
            found |= convolution(f"features.{index}.expand3x3", each, squeezed, 3)
    return found


def lpips_state(channels: tuple[int, ...]) -> dict[str, Tensor]:
    return {
        f"lin{k}.model.1.weight": uniform(count, k / 7).view(1, count, 1, 1).float()
        for k, count in enumerate(channels)
    }


def dists_state() -> dict[str, Tensor]:
    return {
        name: uniform(1475, k / 3).view(1, 1475, 1, 1).float() for k, name in enumerate(("alpha", "beta"))
    }


def images(size: int = 40) -> tuple[Tensor, Tensor]:
    """Two smooth images and the same with a fine pattern on them, (2, 3, size, size + 4) in [0, 1]."""
    row = torch.linspace(0, 1, size, dtype=torch.float64)[:, None]
    column = torch.linspace(0, 1, size + 4, dtype=torch.float64)
    planes = [
        0.5 + 0.3 * torch.sin(6 * row * (k + 1) + 4 * column) * torch.cos(3 * column + k) for k in range(6)
    ]
    y = torch.stack(planes).view(2, 3, size, size + 4)
    return (y + 0.15 * (uniform(y.numel(), 0.0).view_as(y) - 0.5)).float(), y.float()
