"""`open_clip:MODEL/TAG`: image and text embeddings of the contrastive models of the open_clip package."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor, nn

from assay.errors import DataError, UsageError
from assay.features.did_you_mean import did_you_mean
from assay.features.extractor import Crop, Extractor
from assay.features.model_names import given_folder, license_of_folder, need_argument
from assay.features.preprocessing import Interpolation, Preprocessing
from assay.features.towers import UNKNOWN_LICENSE, Frozen, first_line, importing, loading, tower_extractor

FAMILY = "open_clip"
FORM = "open_clip:MODEL/TAG, such as open_clip:ViT-B-32/laion2b_s34b_b79k, or open_clip:./FOLDER"


@dataclass(frozen=True)
class OpenClip:
    """A loaded model, in evaluation, and its tokenizer: texts -> (B, L) token numbers, cut to the model's length."""

    name: str
    model: nn.Module
    preprocessing: Preprocessing
    tokenizer: Callable[[Sequence[str]], Tensor]
    license: str


def open_clip_model(argument: str | None, *, device: torch.device, crop: Crop | None = None) -> Extractor:
    """`open_clip:MODEL/TAG`: the image embeddings (not normalised) of a contrastive image-text model.

    MODEL and TAG are those of `open_clip.list_pretrained()`; a TAG that ends in `.safetensors` is a file of weights;
    `open_clip:hf-hub:OWNER/NAME` is a repository, `open_clip:./FOLDER` a folder with open_clip_config.json and
    weights as .safetensors.

    The preprocessing is the model's own: size, resize mode, interpolation, mean and deviation; resized by Pillow on
    bytes, as open_clip does. `torch_module` resizes floats instead. `get_text_encoder` of the same name gives the
    text embeddings.

    Raises `MissingExtra` without open_clip; `UsageError` for an unknown MODEL or TAG (with the known ones), and for
    a MODEL whose activation is not the one that TAG was trained with; `DataError` where weights cannot be had.
    """
    loaded = load_open_clip(argument, tokenizer=False)
    return tower_extractor(
        loaded.name,
        Frozen(loaded.model, image_embeddings),
        loaded.preprocessing.cropped(crop),
        license=loaded.license,
        device=device,
        about="image",
    )


def image_embeddings(model: nn.Module, x: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B, d), not normalised."""
    embeddings: Tensor = model.encode_image(x)  # type: ignore[operator]
    return embeddings


def text_embeddings(model: nn.Module, tokens: Tensor) -> Tensor:
    """(B, L) token numbers -> (B, d), not normalised."""
    embeddings: Tensor = model.encode_text(tokens)  # type: ignore[operator]
    return embeddings


def load_open_clip(argument: str | None, *, tokenizer: bool) -> OpenClip:
    """The model that `open_clip:ARGUMENT` names; see `open_clip_model`."""
    argument = need_argument(argument, FAMILY, FORM)
    name = f"{FAMILY}:{argument}"
    with importing("open_clip_torch", "open_clip", name):
        import open_clip
    folder = given_folder(argument, FAMILY)
    if folder is not None:
        source, tag = f"local-dir:{folder}", None
        if not list(folder.glob("*.safetensors")):
            raise DataError(f"{name}: the folder has no .safetensors file; pickled weights are not read")
    elif argument.startswith("hf-hub:"):
        source, tag = argument, None
    else:
        source, tag = _model_and_tag(open_clip, argument)
    try:
        with loading():
            model = open_clip.create_model(source, pretrained=tag, require_pretrained=True)
            tokens = open_clip.get_tokenizer(source) if tokenizer else _no_tokenizer
    except Exception as error:  # whatever the package and its downloads raise
        raise DataError(
            f"{name} cannot be loaded ({first_line(error)}); without a network, load it once where there is one "
            "and copy the Hugging Face cache (HF_HOME), or give a folder: open_clip:./FOLDER"
        ) from error
    config = model.visual.preprocess_cfg
    return OpenClip(
        name=name,
        model=model.eval(),
        preprocessing=open_clip_preprocessing(config, name),
        tokenizer=tokens,
        license=license_of_folder(folder) or UNKNOWN_LICENSE,
    )


def open_clip_preprocessing(config: dict[str, Any], name: str = FAMILY) -> Preprocessing:
    """open_clip's evaluation transform, from its preprocessing configuration.

    Raises `UsageError` for a configuration it does not know.
    """
    size = config["size"]
    height, width = (size, size) if isinstance(size, int) else size
    mode: Any = config.get("resize_mode") or "shortest"
    interpolation: Any = config.get("interpolation") or "bicubic"
    if mode not in ("shortest", "longest", "squash") or interpolation not in get_args(Interpolation):
        raise UsageError(f"{name} resizes as {interpolation}, {mode}, which is not supported here")
    fill = int(config.get("fill_color") or 0)
    return Preprocessing(
        resize=mode,
        size=(height, width),
        crop=None if mode == "squash" else (height, width),
        interpolation=interpolation,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        fill=(fill, fill, fill),
    )


def _model_and_tag(open_clip: Any, argument: str) -> tuple[str, str]:
    model, slash, tag = argument.partition("/")
    known = open_clip.list_models()
    if model not in known:
        hint = did_you_mean(model, known)
        raise UsageError(f"{FAMILY}:{argument}: open_clip knows no model {model!r}; {hint}expected {FORM}")
    tags = open_clip.list_pretrained_tags_by_model(model)
    if tag.endswith(".safetensors"):
        if not Path(tag).is_file():
            raise DataError(f"{FAMILY}:{argument}: there is no file {tag}")
        return model, tag
    if not slash or tag not in tags:
        has = ", ".join(tags) or "none, so give a .safetensors file"
        raise UsageError(
            f"{FAMILY}:{argument}: expected {FAMILY}:{model}/TAG; the tags of {model} are: {has}"
        )
    trained = bool((open_clip.get_pretrained_cfg(model, tag) or {}).get("quick_gelu", False))
    built = bool((open_clip.get_model_config(model) or {}).get("quick_gelu", False))
    if trained != built:
        other = f"{model}-quickgelu" if trained else model.removesuffix("-quickgelu")
        raise UsageError(
            f"{FAMILY}:{argument}: these weights were trained with another activation (QuickGELU: {trained}); "
            f"use {FAMILY}:{other}/{tag}"
        )
    return model, tag


def _no_tokenizer(texts: Sequence[str]) -> Tensor:
    raise AssertionError("loaded without a tokenizer")
