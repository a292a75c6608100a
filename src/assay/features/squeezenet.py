"""The feature maps of SqueezeNet 1.1, the smallest network of LPIPS.

Architecture: Iandola et al. 2016, arXiv:1602.07360, version 1.1.
"""

from __future__ import annotations

import os

import torch
from torch import Tensor, nn
from torch.nn import functional

from assay.features.backbone_file import backbone_path, load_features
from assay.features.layers import IMAGENET_DEVIATION, IMAGENET_MEAN, Layers

# of the layers of LPIPS in the published numbering
TAPPED = ("1", "4", "7", "9", "10", "11", "12")
SMALLEST = 17


class _Fire(nn.Module):
    """A 1 x 1 convolution to few channels, then 1 x 1 and 3 x 3 convolutions of it side by side, each with a ReLU."""

    def __init__(self, inputs: int, squeezed: int, each: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, each, 1)
        self.expand3x3 = nn.Conv2d(squeezed, each, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.squeeze(x))
        return functional.relu(torch.cat((self.expand1x1(x), self.expand3x3(x)), dim=1))


def squeezenet_layers(*, weights: str | os.PathLike[str] | None = None) -> Layers:
    """Seven maps of SqueezeNet 1.1: float images (B, 3, H, W) in [0, 1] -> 64, 128, 256, 384, 384, 512, 512 channels.

    Images are normalised with ImageNet's mean and deviation.

    Args:
        weights: a file of torchvision's weights in place of the fetched ones.

    Raises:
        UsageError: weights that are not here (with the steps to take).
        DataError: a file of another network.
    """
    path = backbone_path("squeezenet1_1", weights)
    with torch.device("meta"):
        network = nn.Sequential(
            nn.Conv2d(3, 64, 3, stride=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            _Fire(64, 16, 64),
            _Fire(128, 16, 64),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            _Fire(128, 32, 128),
            _Fire(256, 32, 128),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            _Fire(256, 48, 192),
            _Fire(384, 48, 192),
            _Fire(384, 64, 256),
            _Fire(512, 64, 256),
        )
    load_features(network, path, "SqueezeNet 1.1")
    return Layers(network, TAPPED, IMAGENET_MEAN, IMAGENET_DEVIATION, SMALLEST)
