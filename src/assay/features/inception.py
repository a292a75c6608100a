"""The extractor of the FID: the 2015 Inception graph on images that are brought to 299 x 299 by a stated rule."""

from __future__ import annotations

import os

import torch

from assay.errors import UsageError
from assay.features.extractor import Crop, Extractor, Outputs
from assay.features.inception_network import FEATURES, SIDE, InceptionNetwork
from assay.features.network_extractor import Preparation, built, network_extractor
from assay.features.published_name import extractor_name
from assay.features.resize import named_resize
from assay.features.weight_tensors import load_weights
from assay.features.weights import PUBLISHED, WeightFile, find_weights

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

    return network_extractor(
        extractor_name(
            "inception",
            file,
            resize=None if resize == DEFAULT_RESIZE else resize,
            crop=None if crop == "none" else crop,
        ),
        network=lambda: inception_network(file),
        named=lambda features, logits, spatial: Outputs(features, logits, {"spatial": spatial}),
        preparation=Preparation(SIDE, crop, 1.0, rule, resize, offset, scale),
        key=f"inception-{file.sha256[:16]}-{REVISION}",
        identity=f"inception|{file.sha256}|{REVISION}|{crop}|{resize}|{offset}|{scale}",
        dim=FEATURES,
        license=PUBLISHED["inception"].license if file.published else "unknown",
        device=device,
    )


def inception_network(file: WeightFile) -> InceptionNetwork:
    """The frozen network with the weights of a file; raises `DataError` where they are of another network."""
    module = built(InceptionNetwork)
    load_weights(module, file.path, "inception")
    return module.requires_grad_(False)
