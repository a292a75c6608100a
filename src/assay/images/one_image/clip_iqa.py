"""CLIP-IQA: is an image closer to "Good photo." than to "Bad photo."?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from ...errors import UsageError
from ...pair_laws import ignores_length
from ...pairs import pair_measure
from ..option_values import is_number

# the pairs of the paper's abstract and concrete qualities, by the names that torchmetrics gives them, rightly spelt
PROMPT_PAIRS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "quality": ("Good photo.", "Bad photo."),
        "brightness": ("Bright photo.", "Dark photo."),
        "noisiness": ("Clean photo.", "Noisy photo."),
        "colourfulness": ("Colorful photo.", "Dull photo."),
        "sharpness": ("Sharp photo.", "Blurry photo."),
        "contrast": ("High contrast photo.", "Low contrast photo."),
        "complexity": ("Complex photo.", "Simple photo."),
        "natural": ("Natural photo.", "Synthetic photo."),
        "happy": ("Happy photo.", "Sad photo."),
        "scary": ("Scary photo.", "Peaceful photo."),
        "new": ("New photo.", "Old photo."),
        "warm": ("Warm photo.", "Cold photo."),
        "real": ("Real photo.", "Abstract photo."),
        "beautiful": ("Beautiful photo.", "Ugly photo."),
        "lonely": ("Lonely photo.", "Sociable photo."),
        "relaxing": ("Relaxing photo.", "Stressful photo."),
    }
)


class EncodesTexts(Protocol):
    """What `assay.features.text.get_text_encoder` gives."""

    def encode(self, texts: Sequence[str], /) -> Tensor:
        """(n, d)."""


@pair_measure(
    domain="embeddings",
    best="max",
    lower=0.0,
    upper=1.0,
    laws=[ignores_length],
    reference="Wang, Chan and Loy 2023, Exploring CLIP for Assessing the Look and Feel of Images, AAAI, "
    "arXiv:2207.12396",
)
def clip_iqa(
    image: Tensor,
    *,
    positive: Tensor | None = None,
    negative: Tensor | None = None,
    logit_scale: float = 100.0,
) -> Tensor:
    r"""How sure a contrastive image-text model is that the image is a good photo rather than a bad one.

    $$ p = \frac{1}{K} \sum_{k=1}^{K} \frac{e^{a \cos(e_I, e_k^+)}}{e^{a \cos(e_I, e_k^+)} + e^{a \cos(e_I, e_k^-)}} $$

    Args:
        image: (B, d) embeddings of the images: `get_extractor("transformers:...")` or `get_extractor("open_clip:...")`.
        positive: (K, d) embeddings of the texts of good images, by `get_text_encoder` of the same name;
            `prompt_embeddings(encoder)` makes both.
        negative: (K, d) those of their antonyms.
        logit_scale: a, above zero: the model's learnt one, which is 100 for OpenAI's CLIP models.

    Returns:
        (B,) in [0, 1], the mean over the K pairs; higher is better, 0.5 where the image is as close to both texts.

    Raises:
        UsageError: no texts, embeddings of another width or number, a scale that is not above zero.

    FAQ:
        *Which texts?* "Good photo." and "Bad photo." for quality, K = 1; `PROMPT_PAIRS` holds the others by name.
        Call it a name at a time for a value each: the mean of several is a score of your own.

        *Is this the published score?* Of the embeddings given, yes, and torchmetrics'. The paper's model is CLIP's
        ResNet-50 without the position embeddings, so that images keep their size; a model that resizes its images to
        224 x 224 sees less of noise and blur.

        *SigLIP?* Its scale differs (`model.logit_scale.exp()`); its bias cancels.
    """
    if positive is None or negative is None:
        raise UsageError(
            "clip_iqa: positive and negative: pass the embeddings of the texts; "
            "positive, negative = prompt_embeddings(get_text_encoder(NAME)) makes them"
        )
    for name, texts in (("positive", positive), ("negative", negative)):
        if not isinstance(texts, Tensor) or not texts.is_floating_point():
            shown = texts.dtype if isinstance(texts, Tensor) else type(texts).__name__
            raise UsageError(f"clip_iqa: {name}: expected a floating-point tensor (K, d), got {shown}")
        if texts.ndim != 2 or texts.shape[1] != image.shape[1] or not len(texts):
            raise UsageError(
                f"clip_iqa: {name}: expected the shape (K, {image.shape[1]}), as wide as the images' embeddings, got "
                f"{tuple(texts.shape)}; use the two towers of one model"
            )
    if len(positive) != len(negative):
        raise UsageError(
            f"clip_iqa: positive has {len(positive)} texts and negative {len(negative)}; expected one antonym a text"
        )
    if not is_number(logit_scale) or not 0 < logit_scale < float("inf"):
        raise UsageError(f"clip_iqa: logit_scale: expected a number above zero, got {logit_scale!r}")
    good, bad = (
        cosine_similarity(image[:, None], texts.to(image)[None], dim=2) for texts in (positive, negative)
    )
    return torch.sigmoid(logit_scale * (good - bad)).mean(1)


def prompt_embeddings(
    encoder: EncodesTexts, prompts: Sequence[str | tuple[str, str]] = ("quality",)
) -> tuple[Tensor, Tensor]:
    """The embeddings of prompt pairs, positive and negative, (K, d) each: options of `clip_iqa`.

    Args:
        encoder: `assay.features.text.get_text_encoder(NAME)`.
        prompts: names in `PROMPT_PAIRS`, or your own (good, bad) pairs.

    Raises:
        UsageError: no prompts, or an unknown name.
    """
    if isinstance(prompts, str):
        raise UsageError(f"prompts: expected a list of names or pairs, got one string; write [{prompts!r}]")
    if not isinstance(prompts, Sequence):
        raise UsageError(f"prompts: expected a list of names or pairs, got {type(prompts).__name__}")
    pairs: list[tuple[str, str]] = []
    for each in prompts:
        pair = PROMPT_PAIRS.get(each) if isinstance(each, str) else each
        if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not all(isinstance(t, str) for t in pair):
            raise UsageError(
                f"prompts: expected one of {', '.join(PROMPT_PAIRS)}, or a pair (good, bad) of texts, got {each!r}"
            )
        pairs.append((pair[0], pair[1]))
    if not pairs:
        raise UsageError("prompts: expected at least one")
    found = encoder.encode([text for pair in pairs for text in pair])
    return found[0::2], found[1::2]
