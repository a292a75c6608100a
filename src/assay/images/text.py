"""CLIP score: does an image show what its text says?"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cosine_similarity

from ..pair_laws import ignores_length, symmetric_pairs, value_on_equal
from ..pairs import pair_measure


@pair_measure(
    domain="embeddings",
    best="max",
    lower=0.0,
    upper=100.0,
    laws=[symmetric_pairs, ignores_length, value_on_equal(100.0)],
    reference="Hessel et al. 2021, arXiv:2104.08718",
)
def clip_score(image: Tensor, text: Tensor) -> Tensor:
    r"""Cosine of an image's and its text's embeddings, floored at 0, times 100, for each pair.

    $$ s = 100 \max\Big(0, \frac{e_I \cdot e_T}{|e_I| |e_T|}\Big) $$

    Args:
        image: (B, d) embeddings of the images, of any length: `get_extractor("transformers:...")` or
            `get_extractor("open_clip:...")` gives them.
        text: (B, d) embeddings of the texts, by `get_text_encoder` of the same name.

    Returns:
        (B,) in [0, 100]; higher is better. `estimate` gives the mean with its interval; images that share a prompt
        belong to one cluster.

    Raises:
        UsageError: embeddings that are not floating-point (B, d) of one shape.

    FAQ:
        *Is this the published scale?* Hessel et al. multiply the floored cosine by 2.5 and put "A photo depicts"
        before each text: divide by 40, and add the words to the texts, for theirs. torchmetrics multiplies by 100 as
        here, yet floors the mean and not each pair: the two differ where some cosines are negative, which is rare.

        *Why are good images at 30 and not at 100?* Image and text embeddings lie in different cones; values compare
        within one model only.

        *As a loss?* A pair below 0 has no gradient. An embedding of length 0 scores 0.
    """
    return 100.0 * cosine_similarity(image, text, dim=1).clamp(0.0, 1.0)
