"""Which extractor does a name mean?"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol, get_args

import torch

from assay.data import without_credentials
from assay.devices import chosen_device
from assay.errors import UsageError
from assay.features.did_you_mean import did_you_mean
from assay.features.efficientnet_lite import WEIGHTS, efficientnet_lite
from assay.features.extractor import Crop, Extractor
from assay.features.inception import inception
from assay.features.onnx_file import onnx_file
from assay.features.open_clip_models import open_clip_model
from assay.features.own_callable import own_callable, split_name
from assay.features.pixels import pixels
from assay.features.resized_first import resized_first
from assay.features.timm_models import timm_model
from assay.features.transformers_models import transformers_model
from assay.features.vgg import vgg16


class Family(Protocol):
    """Builds an extractor; `argument` is what follows the colon in its name, or None."""

    def __call__(self, argument: str | None, *, device: torch.device, crop: Crop | None) -> Extractor: ...


def _efficientnet(name: str) -> Family:
    def build(argument: str | None, *, device: torch.device, crop: Crop | None) -> Extractor:
        if argument is not None:
            raise UsageError(f"{name} takes nothing after a colon, not {argument!r}")
        return efficientnet_lite(name, device=device, crop=crop)

    return build


class PublishedFamily(Protocol):
    """Builds an extractor that is part of published protocols: its weights are a file, its resizing has a name."""

    def __call__(
        self,
        argument: str | None,
        *,
        device: torch.device,
        crop: Crop | None,
        resize: str | None,
        weights: str | os.PathLike[str] | None,
    ) -> Extractor: ...


FAMILIES: Mapping[str, Family] = {
    **{name: _efficientnet(name) for name in WEIGHTS},
    "timm": timm_model,
    "open_clip": open_clip_model,
    "transformers": transformers_model,
    "onnx": onnx_file,
    "python": own_callable,
    "pixels": pixels,
}
PUBLISHED_FAMILIES: Mapping[str, PublishedFamily] = {"inception": inception, "vgg16": vgg16}


# what these do without being asked; the crop of the others is their model's own
USUAL_CROP: Mapping[str, Crop] = {"pixels": "none", **dict.fromkeys(WEIGHTS, "center")}


def get_extractor(
    name: str = "efficientnet-lite0",
    *,
    device: torch.device | str | None = None,
    crop: Crop | None = None,
    resize: str | None = None,
    size: int | None = None,
    weights: str | os.PathLike[str] | None = None,
) -> Extractor:
    """The feature extractor called `name`.

    | name | features | what they are |
    |---|---|---|
    | `efficientnet-lite0` | 1280, with 1000 logits | pooled last layer of an ImageNet classifier, 224 x 224 |
    | `efficientnet-lite1`, `-lite2` | 1280, with 1000 logits | larger ones, 240 x 240 and 260 x 260 |
    | `timm:NAME` | the model's | pooled features of a timm model; see `timm_model` |
    | `open_clip:MODEL/TAG` | the model's | image embeddings of a CLIP-like model; see `open_clip_model` |
    | `transformers:NAME` | the model's | DINOv2 class tokens, CLIP and SigLIP embeddings; see `transformers_model` |
    | `onnx:FILE` | the file's | the output of an ONNX file; see `onnx_file` |
    | `python:package.module:name` | yours | a module, function or extractor of your own; see `own_callable` |
    | `inception` | 2048, with 1008 logits | the 2015 Inception graph of the FID, and `extra["spatial"]` for sFID |
    | `vgg16` | 4096, with 1000 logits | second fully connected layer of VGG-16 |
    | `pixels` | 3 H W | the image divided by 255; all images of one size |
    | `pixels:SIZE` | 3 SIZE SIZE | the same after resizing |

    device: where `forward` and `torch_module` run; by default a CUDA device if there is one, else the CPU.
    crop: "center" or "none"; by default what the extractor's own page says. It is part of the fingerprint.
    resize: of `inception` and `vgg16`, a key of `assay.features.resize.RESIZES`: "clean", or an old behaviour for
        values that are to stand beside printed ones ("legacy-pytorch", "legacy-tensorflow", ...).
    size: bring every image to size x size first, so that sets of different sizes can be compared; see `resized_first`.
    weights: of `inception` and `vgg16`, a file in place of the published weights that `assay features fetch` brings.
    What departs from the defaults is in the extractor's name and in its fingerprint.

    Raises `UsageError` for an unknown name (with the nearest known one), crop, resize or device, and where weights
    have not been fetched; `MissingExtra` where a package or its weights are not installed.
    """
    family, colon, argument = split_name(name)
    if family not in FAMILIES and family not in PUBLISHED_FAMILIES:
        known = [*FAMILIES, *PUBLISHED_FAMILIES]
        hint = did_you_mean(family.lower(), known)
        raise UsageError(
            f"unknown features {without_credentials(name)!r}: {hint}known are {', '.join(known)}, pixels:SIZE"
        )
    if crop is not None and crop not in get_args(Crop):
        raise UsageError(f"crop must be one of {', '.join(get_args(Crop))}, not {crop!r}")
    after, chosen = argument if colon else None, chosen_device(device)
    if family in PUBLISHED_FAMILIES:
        extractor = PUBLISHED_FAMILIES[family](
            after, device=chosen, crop=crop, resize=resize, weights=weights
        )
    else:
        for option, given in (("resize", resize), ("weights", weights)):
            if given is not None:
                raise UsageError(f"{family} takes no {option}: only {' and '.join(PUBLISHED_FAMILIES)} do")
        extractor = FAMILIES[family](after, device=chosen, crop=crop)
        if crop is not None and crop != USUAL_CROP.get(family):
            extractor = replace(extractor, name=f"{extractor.name}[crop={crop}]")
    return extractor if size is None else resized_first(extractor, size)
