"""The feature maps of AlexNet, the network of LPIPS.

Architecture: Krizhevsky 2014, arXiv:1404.5997, as torchvision's weights have it.
"""

from __future__ import annotations

import os

import torch
from torch import nn

from assay.features.backbone_file import backbone_path, load_features
from assay.features.layers import IMAGENET_DEVIATION, IMAGENET_MEAN, Layers

# of the five activations in the published numbering
ACTIVATIONS = ("1", "4", "7", "9", "11")
SMALLEST = 31


def alexnet_layers(*, weights: str | os.PathLike[str] | None = None) -> Layers:
    """The five activations of AlexNet: float images (B, 3, H, W) in [0, 1] -> maps of 64, 192, 384, 256, 256 channels.

    Images are normalised with ImageNet's mean and deviation, which is what LPIPS does to images in [-1, 1].

    Args:
        weights: a file of torchvision's weights in place of the fetched ones.

    Raises:
        UsageError: weights that are not here (with the steps to take).
        DataError: a file of another network.
    """
    path = backbone_path("alexnet", weights)
    with torch.device("meta"):
        network = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
        )
    load_features(network, path, "AlexNet")
    return Layers(network, ACTIVATIONS, IMAGENET_MEAN, IMAGENET_DEVIATION, SMALLEST)
