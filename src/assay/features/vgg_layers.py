"""The feature maps of VGG-16 and VGG-19 that style transfer, LPIPS and DISTS stand on.

Architecture: Simonyan and Zisserman 2014, arXiv:1409.1556, configurations D and E.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from assay.checks import nearest_name
from assay.errors import UsageError
from assay.features.backbone_file import backbone_path, load_features
from assay.features.layers import IMAGENET_DEVIATION, IMAGENET_MEAN, Layers

CHANNELS = (64, 128, 256, 512, 512)
CONVOLUTIONS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}

Pooling = Literal["max", "l2"]


class L2Pooling(nn.Module):
    r"""$\sqrt{g * x^2 + 10^{-12}}$ at every second place, g the 3 x 3 Hanning window (1 2 1)/4 of sum 1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        taps = x.new_tensor([0.25, 0.5, 0.25])
        window = (taps[:, None] * taps).expand(self.channels, 1, 3, 3)
        return (
            functional.conv2d(x.square(), window, stride=2, padding=1, groups=self.channels) + 1e-12
        ).sqrt()


def vgg_layers(
    names: Sequence[str] = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3"),
    *,
    depth: Literal[16, 19] = 16,
    pooling: Pooling = "max",
    weights: str | os.PathLike[str] | None = None,
) -> Layers:
    """Feature maps of VGG: float images (B, 3, H, W) in [0, 1] -> a tuple, one a name.

    Images are normalised with ImageNet's mean and deviation. The defaults are the layers of LPIPS and DISTS; style
    transfer (Johnson et al.) takes the first four.

    Args:
        names: relu1_1, relu1_2, relu2_1, ... (after the activation), or conv1_1, ... (before it): stage, then place in
            the stage, in the network's order or any other.
        depth: 16, or 19 with four convolutions in the last three stages.
        pooling: between stages "max" as published, or "l2", as DISTS has it.
        weights: a file of torchvision's weights in place of the fetched ones.

    Raises:
        UsageError: an unknown layer, or weights that are not here (with the steps to take).
        DataError: a file of another network.
    """
    if depth not in CONVOLUTIONS:
        raise UsageError(f"depth: expected {' or '.join(map(str, CONVOLUTIONS))}, got {depth!r}")
    if pooling not in ("max", "l2"):
        raise UsageError(f"pooling: expected max or l2, got {pooling!r}")
    places = _places(depth)
    if isinstance(names, str) or not names or len(set(names)) < len(names):
        raise UsageError(f"names: expected different layers, such as ['relu3_3'], got {names!r}")
    for name in names:
        if name not in places:
            raise UsageError(f"names: VGG-{depth} has no layer {name!r}{nearest_name(name, places)}")
    last = max(places[name] for name in names)
    path = backbone_path(f"vgg{depth}", weights)
    with torch.device("meta"):
        network = nn.Sequential(*list(_convolutions(depth, pooling))[: last + 1])
    load_features(network, path, f"VGG-{depth}")
    pools = sum(isinstance(layer, (nn.MaxPool2d, L2Pooling)) for layer in network)
    return Layers(
        network,
        [str(places[name]) for name in names],
        IMAGENET_MEAN,
        IMAGENET_DEVIATION,
        2**pools if pooling == "max" else 1,
    )


def _convolutions(depth: int, pooling: Pooling) -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = 3
    for stage, (outputs, repeats) in enumerate(zip(CHANNELS, CONVOLUTIONS[depth], strict=True)):
        if stage:
            layers.append(nn.MaxPool2d(2) if pooling == "max" else L2Pooling(channels))
        for _ in range(repeats):
            layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.ReLU()]
            channels = outputs
    return nn.Sequential(*layers)


def _places(depth: int) -> dict[str, int]:
    """Where in the published numbering each layer is."""
    places, index = {}, 0
    for stage, repeats in enumerate(CONVOLUTIONS[depth], start=1):
        for repeat in range(1, repeats + 1):
            places[f"conv{stage}_{repeat}"] = index
            places[f"relu{stage}_{repeat}"] = index + 1
            index += 2
        index += 1
    return places
