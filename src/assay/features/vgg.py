"""VGG-16: the features of the original precision and recall, and the maps that perceptual measures stand on.

Architecture: Simonyan and Zisserman 2014, arXiv:1409.1556, configuration D. Parts carry the names of torchvision's
weights, so that these load as they are.
"""

from __future__ import annotations

import os

import torch
from torch import Tensor, nn
from torch.nn import functional

from assay.errors import UsageError
from assay.features.extractor import Crop, Extractor, Outputs
from assay.features.network_extractor import Preparation, built, network_extractor
from assay.features.published_name import extractor_name
from assay.features.resize import named_resize
from assay.features.weight_tensors import load_weights
from assay.features.weights import PUBLISHED, WeightFile, find_weights

REVISION = 1  # raised when the features of an image change though the weights did not
SIDE = 224
FEATURES = 4096
CLASSES = 1000
DEFAULT_RESIZE = "clean"
# channels of the 3 x 3 convolutions of each stage; a 2 x 2 maximum follows each stage
STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Vgg16Network(nn.Module):
    """Normalised images (B, 3, 224, 224) -> features (B, 4096), the second fully connected layer after its ReLU,
    and logits (B, 1000).

    It is for inference: `.train()` leaves it in evaluation.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for stage in STAGES:
            for outputs in stage:
                layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.ReLU()]
                channels = outputs
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        # the gaps in the published numbering are ReLUs and dropouts
        self.classifier = nn.ModuleDict(
            {
                "0": nn.Linear(channels * 7 * 7, FEATURES),
                "3": nn.Linear(FEATURES, FEATURES),
                "6": nn.Linear(FEATURES, CLASSES),
            }
        )
        self.eval()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.features(x).flatten(1)
        x = functional.relu(self.classifier["0"](x))
        features = functional.relu(self.classifier["3"](x))
        return features, self.classifier["6"](features)

    def maps(self, x: Tensor) -> dict[str, Tensor]:
        """The map after every ReLU by its usual name, `relu1_1` to `relu5_3`, (B, C, H, W); any H, W from 16."""
        found, stage, index = {}, 1, 0
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                index += 1
                found[f"relu{stage}_{index}"] = x
            if isinstance(layer, nn.MaxPool2d):
                stage, index = stage + 1, 0
        return found

    def train(self, mode: bool = True) -> Vgg16Network:
        return super().train(False)


def vgg16(
    argument: str | None,
    *,
    device: torch.device,
    crop: Crop | None = None,
    resize: str | None = None,
    weights: str | os.PathLike[str] | None = None,
) -> Extractor:
    """`vgg16`: 4096 features of the second fully connected layer, after its ReLU, and 1000 ImageNet logits.

    crop: "center" takes the central square; "none", the default, the whole image, whose proportions are not kept.
    resize: a key of `assay.features.resize.RESIZES`; "clean" by default.
    weights: a file in place of the published weights; the extractor's name then ends in the file's hash.

    Raises `UsageError` where the weights are not here, `DataError` where they are not those of this network.
    """
    if argument is not None:
        raise UsageError(f"vgg16 takes nothing after a colon, not {argument!r}")
    crop = "none" if crop is None else crop
    resize = DEFAULT_RESIZE if resize is None else resize
    rule = named_resize(resize)
    file = find_weights("vgg16", weights)

    return network_extractor(
        extractor_name(
            "vgg16",
            file,
            resize=None if resize == DEFAULT_RESIZE else resize,
            crop=None if crop == "none" else crop,
        ),
        network=lambda: vgg16_network(file),
        named=Outputs,
        preparation=Preparation(SIDE, crop, 1.0, rule, resize, _in_bytes(MEAN), _in_bytes(DEVIATION)),
        key=f"vgg16-{file.sha256[:16]}-{REVISION}",
        identity=f"vgg16|{file.sha256}|{REVISION}|{crop}|{resize}|{MEAN}|{DEVIATION}",
        dim=FEATURES,
        license=PUBLISHED["vgg16"].license if file.published else "unknown",
        device=device,
    )


def _in_bytes(of_unit: tuple[float, float, float]) -> tuple[float, float, float]:
    red, green, blue = of_unit
    return 255 * red, 255 * green, 255 * blue


def vgg16_network(file: WeightFile) -> Vgg16Network:
    """The frozen network with the weights of a file; raises `DataError` where they are of another network."""
    module = built(Vgg16Network)
    load_weights(module, file.path, "vgg16")
    return module.requires_grad_(False)
