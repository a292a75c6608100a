"""`transformers:NAME`: DINOv2 and ViT class tokens, CLIP and SigLIP embeddings, of models in Hugging Face's format."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from assay.errors import DataError, UsageError
from assay.features.extractor import Crop, Extractor
from assay.features.model_names import given_folder, license_of_folder, name_and_revision, need_argument
from assay.features.preprocessing import Interpolation, Preprocessing
from assay.features.towers import UNKNOWN_LICENSE, Frozen, first_line, importing, loading, tower_extractor

FAMILY = "transformers"
FORM = (
    "transformers:OWNER/NAME[@REVISION], such as transformers:facebook/dinov2-large, or transformers:./FOLDER"
)


def image_embeddings(model: nn.Module, x: Tensor) -> Tensor:
    """The projected image embeddings of a CLIP-like model, (B, d), not normalised."""
    return _embeddings(model.get_image_features(pixel_values=x))  # type: ignore[operator]


def class_token(model: nn.Module, x: Tensor) -> Tensor:
    """The class token after the last norm, (B, d)."""
    token: Tensor = model(pixel_values=x).last_hidden_state[:, 0]
    return token


@dataclass(frozen=True)
class Architecture:
    """How features are read off one kind of model.

    features: the function of the model and its normalised images.
    resample, square: what a preprocessing file that does not say so means by leaving out the kernel, and by a size
        that is one number: both sides, or the short one.
    arguments: of its constructor, beside the weights.
    """

    features: Callable[[nn.Module, Tensor], Tensor]
    resample: Interpolation
    square: bool
    arguments: Mapping[str, Any]


# by the model_type of config.json
ARCHITECTURES: Mapping[str, Architecture] = {
    "clip": Architecture(image_embeddings, "bicubic", False, {}),
    "siglip": Architecture(image_embeddings, "bicubic", True, {}),
    "dinov2": Architecture(class_token, "bicubic", False, {}),
    "dinov2_with_registers": Architecture(class_token, "bicubic", False, {}),
    # its pooler is not among most published weights
    "vit": Architecture(class_token, "bilinear", True, {"add_pooling_layer": False}),
}

PILLOW_KERNELS: Mapping[int, Interpolation] = {1: "lanczos", 2: "bilinear", 3: "bicubic"}
KNOWN_STEPS = {"do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb"}


@dataclass(frozen=True)
class Checkpoint:
    """A model in evaluation with its configuration; `where` and `revision` are what the package's loaders take."""

    name: str
    where: str
    revision: str | None
    model: nn.Module
    config: Any
    license: str


def transformers_model(
    argument: str | None,
    *,
    device: torch.device,
    crop: Crop | None = None,
    preprocessing: Preprocessing | None = None,
) -> Extractor:
    """`transformers:NAME`: features of a model in Hugging Face's format.

    | model_type | features |
    |---|---|
    | `dinov2`, `dinov2_with_registers` | the class token after the last norm (that of FD-DINOv2, Stein et al. 2023) |
    | `vit` | the class token after the last norm |
    | `clip`, `siglip` | the image embeddings, not normalised |

    NAME is `OWNER/NAME`, with `@REVISION` if wanted, or a folder that `save_pretrained` wrote (model and image
    processor). Weights are read as safetensors only and no code of a repository is ever run. HF_HUB_OFFLINE=1 keeps
    it from looking for a newer version.

    The preprocessing is that of preprocessor_config.json, resized by Pillow on bytes, as the package does without
    torchvision. `torch_module` resizes floats instead.

    preprocessing: another one, for a published protocol that departs from the model's own.

    Raises `MissingExtra` without transformers; `UsageError` for another kind of model, or an image processor with
    steps that are not done here; `DataError` where the files cannot be had or do not fit the model.
    """
    loaded = load_checkpoint(argument)
    architecture = ARCHITECTURES[loaded.config.model_type]
    if preprocessing is None:
        preprocessing = transformers_preprocessing(_processor_config(loaded), architecture, loaded.name)
    return tower_extractor(
        loaded.name,
        Frozen(loaded.model, architecture.features),
        preprocessing.cropped(crop),
        license=loaded.license,
        device=device,
        about=f"image|{_settings(loaded.config)}",
    )


def load_checkpoint(argument: str | None) -> Checkpoint:
    """The model that `transformers:ARGUMENT` names; see `transformers_model`."""
    argument = need_argument(argument, FAMILY, FORM)
    name = f"{FAMILY}:{argument}"
    with importing("transformers", "transformers", name):
        import transformers
    folder = given_folder(argument, FAMILY)
    where, revision = (str(folder), None) if folder is not None else name_and_revision(argument)
    config = _from_hub(
        name,
        lambda: transformers.AutoConfig.from_pretrained(where, revision=revision, trust_remote_code=False),
    )
    architecture = ARCHITECTURES.get(config.model_type)
    if architecture is None:
        raise UsageError(
            f"{name} is a {config.model_type} model; features are defined here for {', '.join(ARCHITECTURES)} "
            "(many others: timm:NAME; your own: python:package.module:name)"
        )

    def load() -> Any:
        with loading(), _quiet():
            return transformers.AutoModel.from_pretrained(
                where,
                revision=revision,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                **architecture.arguments,
            )

    model, report = _from_hub(name, load)
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise DataError(
            f"{name}: {len(missing)} weights of the model are not in its file ({', '.join(missing[:3])}, ...): "
            "its features would be random"
        )
    return Checkpoint(
        name, where, revision, model.eval(), config, license_of_folder(folder) or UNKNOWN_LICENSE
    )


def transformers_preprocessing(
    config: Mapping[str, Any], architecture: Architecture, name: str = FAMILY
) -> Preprocessing:
    """What an image processor's configuration asks for.

    Raises `UsageError` for steps that are not done here, and a crop larger than what is resized to.
    """
    other = [step for step in config if step.startswith("do_") and config[step] and step not in KNOWN_STEPS]
    if other:
        raise UsageError(
            f"{name}: its image processor also asks for {', '.join(other)}, which is not done here"
        )
    if not config.get("do_resize", True):
        raise UsageError(f"{name}: its image processor does not resize; expected do_resize")
    size = config.get("size", {})
    resize, target = _target(
        {"size": size} if isinstance(size, int) else dict(size), architecture.square, name
    )
    crop = None
    if config.get("do_center_crop", not architecture.square):
        wanted = config.get("crop_size", target[0])
        crop = (wanted, wanted) if isinstance(wanted, int) else (wanted["height"], wanted["width"])
    elif resize == "shortest":
        raise UsageError(f"{name}: its images come to different sizes (shortest_edge without do_center_crop)")
    if crop is not None and (crop[0] > target[0] or crop[1] > target[1]):
        raise UsageError(f"{name}: its image processor crops {crop} from images resized to {target}")
    kernel = config.get("resample")
    interpolation = architecture.resample if kernel is None else PILLOW_KERNELS.get(int(kernel))
    if interpolation is None:
        raise UsageError(
            f"{name}: resamples with Pillow's filter {kernel}; expected one of {dict(PILLOW_KERNELS)}"
        )
    factor = float(config.get("rescale_factor", 1 / 255)) if config.get("do_rescale", True) else 1.0
    normalised = config.get("do_normalize", True)
    mean = [float(v) for v in config["image_mean"]] if normalised else [0.0] * 3
    std = [float(v) for v in config["image_std"]] if normalised else [1.0] * 3
    # (v * factor - mean) / std in units of v / 255
    unit = 1 / (255 * factor)
    unit = 1.0 if abs(unit - 1) < 1e-6 else unit
    return Preprocessing(
        resize="squash" if resize == "squash" else "shortest",
        size=target,
        crop=crop,
        interpolation=interpolation,
        mean=(mean[0] * unit, mean[1] * unit, mean[2] * unit),
        std=(std[0] * unit, std[1] * unit, std[2] * unit),
        offset="floor",
    )


def _target(size: dict[str, int], square: bool, name: str) -> tuple[str, tuple[int, int]]:
    if set(size) == {"height", "width"}:
        return "squash", (size["height"], size["width"])
    if set(size) == {"shortest_edge"}:
        return "shortest", (size["shortest_edge"], size["shortest_edge"])
    if set(size) == {"size"}:
        return "squash" if square else "shortest", (size["size"], size["size"])
    raise UsageError(
        f"{name}: its image processor's size is {size}; expected height and width, or shortest_edge"
    )


def _processor_config(loaded: Checkpoint) -> Mapping[str, Any]:
    from transformers.image_processing_utils import ImageProcessingMixin

    found, _ = _from_hub(
        loaded.name,
        lambda: ImageProcessingMixin.get_image_processor_dict(loaded.where, revision=loaded.revision),
    )
    config: dict[str, Any] = {key: value for key, value in found.items() if value is not None}
    return config


def _from_hub(name: str, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except (OSError, ValueError, ImportError, KeyError) as error:
        repository = name.partition(":")[2].partition("@")[0]
        raise DataError(
            f"{name} cannot be loaded ({first_line(error)}); expected config.json, preprocessor_config.json and "
            f"weights as .safetensors; without a network, run `hf download {repository}` where there is one and copy "
            "the Hugging Face cache (HF_HOME), or give a folder: transformers:./FOLDER"
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The package draws a bar for every model it loads, and lists weights that the architecture leaves out."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _settings(config: Any) -> str:
    """What decides the features beside the weights, whatever the version that wrote the file."""
    bookkeeping = ("_name_or_path", "transformers_version", "architectures", "dtype", "torch_dtype")
    kept = {key: value for key, value in config.to_diff_dict().items() if key not in bookkeeping}
    return repr(sorted(kept.items(), key=lambda item: item[0]))


def _embeddings(output: Any) -> Tensor:
    embeddings: Tensor = output if isinstance(output, Tensor) else output.pooler_output
    return embeddings
