"""CLIP-IQA against the softmax over both texts, and the embeddings of prompt pairs."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from assay.errors import UsageError
from assay.images.one_image import PROMPT_PAIRS, clip_iqa, prompt_embeddings
from assay.pair_laws import draw_pair_inputs, laws_of_pairs


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("scale", [100.0, 5.0])
def test_equals_the_softmax_over_each_pair(count, scale):
    """The arithmetic of torchmetrics 1.x: logits of unit vectors, (B, K, 2), softmax over the last axis, its first."""
    image, good, bad = drawn(5, 16), drawn(count, 16, seed=1), drawn(count, 16, seed=2)
    texts = functional.normalize(torch.stack([good, bad], 1).flatten(0, 1), dim=1)
    logits = scale * functional.normalize(image, dim=1) @ texts.T
    expected = logits.view(5, count, 2).softmax(-1)[..., 0].mean(1)
    found = clip_iqa(image, positive=good, negative=bad, logit_scale=scale)
    assert torch.allclose(found, expected, rtol=1e-9)


def test_it_keeps_the_laws_of_pair_measures():
    bound = clip_iqa.with_options(
        positive=drawn(2, 24, seed=1).float(), negative=drawn(2, 24, seed=2).float(), logit_scale=5.0
    )
    inputs = draw_pair_inputs(bound, n=8, size=24, seed=0)
    for law in laws_of_pairs(bound):
        law(bound, inputs)


def test_as_close_to_both_is_a_half():
    text = drawn(1, 8)
    assert clip_iqa(drawn(3, 8, seed=1), positive=text, negative=2 * text).tolist() == [0.5] * 3
    assert clip_iqa(torch.zeros(1, 8), positive=text, negative=-text).tolist() == [0.5]


class Counts:
    """An encoder: how often a text has each letter."""

    def encode(self, texts):
        assert isinstance(texts, list)
        return torch.tensor([[t.lower().count(chr(97 + k)) for k in range(26)] for t in texts]).float()


def test_prompt_embeddings_are_pairs_in_order():
    encoder = Counts()
    good, bad = prompt_embeddings(encoder)
    assert torch.equal(good, encoder.encode(["Good photo."]))
    assert torch.equal(bad, encoder.encode(["Bad photo."]))
    good, bad = prompt_embeddings(encoder, ["sharpness", ("fine", "coarse")])
    assert torch.equal(good, encoder.encode(["Sharp photo.", "fine"]))
    assert torch.equal(bad, encoder.encode(["Blurry photo.", "coarse"]))
    good, bad = prompt_embeddings(encoder, list(PROMPT_PAIRS))
    assert good.shape == bad.shape == (16, 26)
    assert float(clip_iqa(good[:1], positive=good[:1], negative=bad[:1])) > 0.99


def test_bad_input():
    image, text = drawn(3, 8), drawn(2, 8)
    with pytest.raises(UsageError, match="pass the embeddings of the texts"):
        clip_iqa(image)
    with pytest.raises(UsageError, match=r"negative: expected the shape \(K, 8\)"):
        clip_iqa(image, positive=text, negative=text[:, :5])
    with pytest.raises(UsageError, match="positive has 2 texts and negative 1"):
        clip_iqa(image, positive=text, negative=text[:1])
    with pytest.raises(UsageError, match="logit_scale: expected a number above zero"):
        clip_iqa(image, positive=text, negative=text, logit_scale=0)
    with pytest.raises(UsageError, match="prompts: expected one of quality"):
        prompt_embeddings(Counts(), ["beauty"])
    with pytest.raises(UsageError, match="got one string"):
        prompt_embeddings(Counts(), "quality")
    with pytest.raises(UsageError, match="at least one"):
        prompt_embeddings(Counts(), [])
    for wrong in (None, 3, {"quality"}):
        with pytest.raises(UsageError, match="prompts: expected a list"):
            prompt_embeddings(Counts(), wrong)
    for pair in (("good",), ("good", 1), None, 7):
        with pytest.raises(UsageError, match="prompts: expected one of quality"):
            prompt_embeddings(Counts(), [pair])
    with pytest.raises(UsageError, match="logit_scale: expected a number above zero"):
        clip_iqa(image, positive=text, negative=text, logit_scale=True)
    for wrong in ([1.0, 2.0], text.numpy(), text > 0):
        with pytest.raises(UsageError, match=r"positive: expected a floating-point tensor \(K, d\)"):
            clip_iqa(image, positive=wrong, negative=text)
