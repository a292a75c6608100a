"""The extractor of the FID: the 2015 Inception graph on images that are brought to 299 x 299 by a stated rule."""

from __future__ import annotations

import hashlib
import os
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from assay.errors import UsageError
from assay.features.extractor import Crop, Extractor, Outputs
from assay.features.inception_network import FEATURES, SIDE, InceptionNetwork
from assay.features.network_runner import Runner, channels_last, run_network
from assay.features.published_name import extractor_name
from assay.features.resize import Resize, center_crop_box, named_resize
from assay.features.weights import PUBLISHED, WeightFile, find_weights, load_weights

REVISION = 2  # raised when the features of an image change though the weights did not
DEFAULT_RESIZE = "clean"


def inception(
    argument: str | None,
    *,
    device: torch.device,
    crop: Crop | None = None,
    resize: str | None = None,
    weights: str | os.PathLike[str] | None = None,
) -> Extractor:
    """`inception`: 2048 pooled features, 1008 logits, and `extra["spatial"]`, 2023 spatial features, in one pass.

    The logits are without the classifier's bias, as the Inception score is defined by its code. The spatial features
    are the first 7 channels of the 17 x 17 map `mixed_6/conv` (sFID).

    crop: "center" takes the central square; "none", the default, the whole image, whose proportions are not kept.
    resize: a key of `assay.features.resize.RESIZES`; "clean" by default. With "legacy-pytorch" bytes 0-255 are scaled
        to [-1, 1] as x / 127.5 - 1, as pytorch-fid does, else as (x - 128) / 128, as the graph itself does.
    weights: a file in place of the published weights; the extractor's name then ends in the file's hash.

    Raises `UsageError` where the weights are not here, `DataError` where they are not those of this network.
    """
    if argument is not None:
        raise UsageError(f"inception takes nothing after a colon, not {argument!r}")
    crop = "none" if crop is None else crop
    resize = DEFAULT_RESIZE if resize is None else resize
    rule = named_resize(resize)
    file = find_weights("inception", weights)
    offset, scale = (127.5, 127.5) if resize == "legacy-pytorch" else (128.0, 128.0)

    def network() -> InceptionNetwork:
        return inception_network(file)

    def transform(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        if crop == "center":
            top, left, side = center_crop_box(image.shape[0], image.shape[1], 1.0)
            image = image[top : top + side, left : left + side]
        return (rule.array(image, SIDE) - np.float32(offset)) / np.float32(scale)

    @cache
    def runner() -> Runner:
        return run_network(
            network(), side=SIDE, key=f"inception-{file.sha256[:16]}-{REVISION}", device=device
        )

    def forward(batch: Tensor) -> Outputs:
        features, logits, spatial = runner()(batch)
        return Outputs(features, logits, {"spatial": spatial})

    def torch_module() -> nn.Module:
        if rule.tensor is None:
            raise UsageError(f"resize {resize!r} rounds to bytes, which has no gradient: use clean")
        return channels_last(_FromImages(network(), rule, crop, offset, scale), device)

    identity = f"inception|{file.sha256}|{REVISION}|{crop}|{resize}|{offset}|{scale}"
    return Extractor(
        name=extractor_name(
            "inception",
            file,
            resize=None if resize == DEFAULT_RESIZE else resize,
            crop=None if crop == "none" else crop,
        ),
        dim=FEATURES,
        license=PUBLISHED["inception"].license if file.published else "unknown",
        fingerprint=hashlib.sha256(identity.encode()).hexdigest(),
        transform=transform,
        forward=forward,
        torch_module=torch_module,
    )


def inception_network(file: WeightFile) -> InceptionNetwork:
    """The frozen network with the weights of a file; raises `DataError` where they are of another network."""
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        module = InceptionNetwork().float()  # whatever the default type is
    load_weights(module, file.path, "inception")
    return module.requires_grad_(False)


class _FromImages(nn.Module):
    """Float images (B, 3, H, W) in [0, 1] -> features (B, 2048), differentiable in the images."""

    def __init__(
        self, network: InceptionNetwork, rule: Resize, crop: Crop, offset: float, scale: float
    ) -> None:
        super().__init__()
        self.network = network
        self.rule = rule
        self.crop = crop
        self.offset, self.scale = offset, scale

    def outputs(self, images: Tensor) -> Outputs:
        """Features, logits and spatial features of the same pass."""
        if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
            raise UsageError(
                "images must be floating-point (B, 3, H, W) with values in [0, 1], "
                f"not {images.dtype} {tuple(images.shape)}"
            )
        if self.crop == "center":
            top, left, side = center_crop_box(images.shape[2], images.shape[3], 1.0)
            images = images[:, :, top : top + side, left : left + side]
        assert self.rule.tensor is not None
        x = (self.rule.tensor(images * 255.0, SIDE) - self.offset) / self.scale
        features, logits, spatial = self.network(x)
        return Outputs(features, logits, {"spatial": spatial})

    def forward(self, images: Tensor) -> Tensor:
        return self.outputs(images).features
