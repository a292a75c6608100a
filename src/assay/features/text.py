"""Texts -> embeddings, by the text tower of a contrastive image-text model."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from assay.devices import chosen_device
from assay.errors import DataError, UsageError
from assay.features.open_clip_models import FAMILY as OPEN_CLIP
from assay.features.open_clip_models import load_open_clip, text_embeddings
from assay.features.towers import first_line, weights_sha256
from assay.features.transformers_models import FAMILY as TRANSFORMERS
from assay.features.transformers_models import _embeddings, load_checkpoint

SIGLIP_LENGTH = 64  # these models were trained on texts padded to it


@dataclass(frozen=True)
class TextEncoder:
    """Texts -> embeddings, beside the `Extractor` of the same name.

    name: as it is asked for.
    fingerprint: changes whenever the embedding of a text may change.
    encode: texts -> (B, d) float32 on the CPU, without a gradient, not normalised.
    """

    name: str
    fingerprint: str
    encode: Callable[[Sequence[str]], Tensor]


def get_text_encoder(
    name: str, *, device: torch.device | str | None = None, batch_size: int = 64
) -> TextEncoder:
    """The text tower of `open_clip:MODEL/TAG`, or of a CLIP or SigLIP model `transformers:NAME`.

    A text longer than the model takes is cut off at its end, and a warning says how many were.

    device: where it runs; by default CUDA where there is one, else the CPU.
    batch_size: texts a pass.

    Raises `UsageError` for a name without a text tower; otherwise as `get_extractor` of the same name.
    """
    family, _, argument = name.partition(":")
    where = chosen_device(device)
    if family == OPEN_CLIP:
        return _open_clip(argument, where, batch_size)
    if family == TRANSFORMERS:
        return _transformers(argument, where, batch_size)
    raise UsageError(
        f"{name} has no text tower: expected {OPEN_CLIP}:MODEL/TAG, or {TRANSFORMERS}:NAME of a CLIP or SigLIP model"
    )


def _open_clip(argument: str, device: torch.device, batch_size: int) -> TextEncoder:
    loaded = load_open_clip(argument, tokenizer=True)
    model = loaded.model.float().requires_grad_(False).to(device)
    tokenizer = loaded.tokenizer
    length = getattr(tokenizer, "context_length", None)

    def tokens(texts: Sequence[str]) -> dict[str, Tensor]:
        return {"tokens": tokenizer(list(texts))}

    def too_long(text: str) -> bool:
        plain = getattr(tokenizer, "encode", None)  # those of Hugging Face do not say it
        return plain is not None and length is not None and len(plain(text)) + 2 > length

    def embed(given: dict[str, Tensor]) -> Tensor:
        return text_embeddings(model, given["tokens"])

    return _encoder(loaded.name, model, repr(type(tokenizer)), tokens, too_long, embed, device, batch_size)


def _transformers(argument: str, device: torch.device, batch_size: int) -> TextEncoder:
    loaded = load_checkpoint(argument)
    kind = loaded.config.model_type
    if kind not in ("clip", "siglip"):
        raise UsageError(
            f"{loaded.name} is a {kind} model, without a text tower; expected a CLIP or SigLIP model"
        )
    import transformers

    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            loaded.where, revision=loaded.revision, trust_remote_code=False
        )
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise DataError(f"{loaded.name}: its tokenizer cannot be loaded ({first_line(error)})") from error
    model = loaded.model.float().requires_grad_(False).to(device)
    length = loaded.config.text_config.max_position_embeddings
    length = min(length, SIGLIP_LENGTH) if kind == "siglip" else length

    def tokens(texts: Sequence[str]) -> dict[str, Tensor]:
        padding = "max_length" if kind == "siglip" else True
        found = tokenizer(
            list(texts), padding=padding, truncation=True, max_length=length, return_tensors="pt"
        )
        # SigLIP was trained to look at its padding
        kept = ("input_ids",) if kind == "siglip" else ("input_ids", "attention_mask")
        return {key: found[key] for key in kept}

    def too_long(text: str) -> bool:
        return bool(len(tokenizer(text, verbose=False)["input_ids"]) > length)

    def embed(given: dict[str, Tensor]) -> Tensor:
        return _embeddings(model.get_text_features(**given))  # type: ignore[operator]

    return _encoder(loaded.name, model, f"{kind}|{length}", tokens, too_long, embed, device, batch_size)


def _encoder(
    name: str,
    model: nn.Module,
    about: str,
    tokens: Callable[[Sequence[str]], dict[str, Tensor]],
    too_long: Callable[[str], bool],
    embed: Callable[[dict[str, Tensor]], Tensor],
    device: torch.device,
    batch_size: int,
) -> TextEncoder:
    def encode(texts: Sequence[str]) -> Tensor:
        if isinstance(texts, str):
            raise UsageError("texts: expected a list of strings, got one string; put it in a list")
        if not texts:
            raise UsageError("texts: expected at least one")
        for row, text in enumerate(texts):
            if not isinstance(text, str):
                raise UsageError(f"texts: item {row} is a {type(text).__name__}, expected a string")
        cut = sum(too_long(text) for text in texts)
        if cut:
            warnings.warn(
                f"{cut} of {len(texts)} texts are longer than {name} takes and are cut off at their end",
                stacklevel=2,
            )
        parts = []
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            for start in range(0, len(texts), batch_size):
                given = {
                    key: value.to(device) for key, value in tokens(texts[start : start + batch_size]).items()
                }
                parts.append(embed(given).float().cpu())
        return torch.cat(parts)

    identity = f"text|{about}|{weights_sha256(model)}"
    return TextEncoder(name, hashlib.sha256(identity.encode()).hexdigest(), encode)
