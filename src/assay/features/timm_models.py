"""`timm:NAME`: pooled features of any network of the timm package."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, get_args

import torch
from torch import Tensor, nn

from assay.errors import DataError, UsageError
from assay.features.did_you_mean import did_you_mean
from assay.features.extractor import Crop, Extractor
from assay.features.model_names import given_folder, license_of_folder, need_argument
from assay.features.preprocessing import Interpolation, Preprocessing
from assay.features.towers import UNKNOWN_LICENSE, Frozen, first_line, importing, loading, tower_extractor

FAMILY = "timm"
FORM = "timm:NAME, such as timm:resnet50.a1_in1k, timm:hf-hub:OWNER/NAME or timm:./FOLDER"


def timm_model(argument: str | None, *, device: torch.device, crop: Crop | None = None) -> Extractor:
    """`timm:NAME`: the pooled features, without the classifier, of `timm.create_model(NAME, pretrained=True)`.

    NAME is a name of timm's list with its tag of weights, `hf-hub:OWNER/NAME[@REVISION]`, or a folder (starting with
    `.`, `/` or `~`) with config.json and model.safetensors, as timm's `save_for_hf` writes it.

    The preprocessing is the evaluation of the model's own configuration: input size, crop fraction and mode,
    interpolation, mean and deviation; resized by Pillow on bytes, as timm does. `torch_module` resizes floats instead.

    Raises `MissingExtra` without timm; `UsageError` for a name that timm does not know (with the nearest) or has no
    weights for; `DataError` where the weights cannot be had, saying how to fetch them beforehand.
    """
    argument = need_argument(argument, FAMILY, FORM)
    name = f"{FAMILY}:{argument}"
    with importing("timm", "timm", name):
        import timm
        import timm.data
    folder = given_folder(argument, FAMILY)
    if folder is None and not argument.startswith("hf-hub:"):
        _known(timm, argument)
    if folder is not None and not list(folder.glob("*.safetensors")):
        raise DataError(f"{name}: the folder has no .safetensors file; pickled weights are not read")
    source = argument if folder is None else f"local-dir:{folder}"
    try:
        with loading():
            network = timm.create_model(source, pretrained=True, num_classes=0)
    except Exception as error:  # whatever the package and its downloads raise
        raise DataError(
            f"{name} cannot be loaded ({first_line(error)}); without a network, load it once where there is one "
            "and copy the Hugging Face cache (HF_HOME), or give a folder: timm:./FOLDER"
        ) from error
    config = timm.data.resolve_model_data_config(network)
    stated = dict(getattr(network, "pretrained_cfg", None) or {})
    return tower_extractor(
        name,
        Frozen(network, pooled),
        timm_preprocessing(config, name).cropped(crop),
        license=license_of_folder(folder) or stated.get("license") or UNKNOWN_LICENSE,
        device=device,
    )


def pooled(network: nn.Module, x: Tensor) -> Tensor:
    """What a network of timm without a classifier gives."""
    features: Tensor = network(x)
    return features


def timm_preprocessing(config: Mapping[str, Any], name: str = FAMILY) -> Preprocessing:
    """timm's evaluation transform, from its data configuration.

    The side that is resized to is floor(input / crop fraction). Crop mode "center" keeps proportions by the short
    side, "border" by the long one and pads with the mean colour, "squash" does not keep them.

    Raises `UsageError` for a configuration that is none of these.
    """
    channels, height, width = config["input_size"]
    if channels != 3:
        raise UsageError(f"{name} takes images of {channels} channels; expected 3")
    interpolation, mode = config["interpolation"], config["crop_mode"]
    resize = {"center": "shortest", "border": "longest", "squash": "squash"}.get(mode or "center")
    if interpolation not in get_args(Interpolation) or resize is None:
        raise UsageError(
            f"{name} resizes as {interpolation} with crop mode {mode}, which is not supported here"
        )
    fraction = config["crop_pct"]
    return Preprocessing(
        resize=resize,  # type: ignore[arg-type]
        size=(math.floor(height / fraction), math.floor(width / fraction)),
        crop=(height, width),
        interpolation=interpolation,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        fill=tuple(round(255 * v) for v in config["mean"]) if mode == "border" else (0, 0, 0),
    )


def _known(timm: Any, argument: str) -> None:
    if not timm.is_model(argument):
        base = argument.split(".")[0]
        hint = did_you_mean(base, timm.list_models(), before=f"{FAMILY}:")
        raise UsageError(f"{FAMILY}:{argument}: timm knows no such model; {hint}expected {FORM}")
    if not timm.is_model_pretrained(argument):
        raise UsageError(
            f"{FAMILY}:{argument}: timm has no weights for this model; its features would be random"
        )
