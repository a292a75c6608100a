"""Patch-wise contrast: does a place of the output know its own place in the input from the others?"""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import UsageError
from ...pairs import pair_measure
from ...scale.row_strips import row_log_sums
from .patches import unit_vectors


def _draw(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    first = torch.randn(n, 12, 8, dtype=torch.float64, generator=generator)
    return first, first + torch.randn(n, 12, 8, dtype=torch.float64, generator=generator)


@pair_measure(
    domain="any",
    best="min",
    lower=0.0,
    draw=_draw,
    reference="Park et al. 2020, Contrastive Learning for Unpaired Image-to-Image Translation, ECCV, arXiv:2007.15651",
)
def patch_nce(
    queries: Tensor,
    keys: Tensor,
    *,
    temperature: float = 0.07,
    normalise: bool = True,
    detach_keys: bool = False,
) -> Tensor:
    r"""How surprised a softmax over one image's places is by the right one, the mean over the places.

    $$ \ell = \frac{1}{S} \sum_{s=1}^{S} -\log
       \frac{e^{q_s \cdot k_s / t}}{\sum_{r=1}^{S} e^{q_s \cdot k_r / t}} $$

    with q and k of length 1. The negatives of a place are the other places of the same image.

    Args:
        queries: (B, S, d) features of S places of the translated images, after the projection head.
        keys: (B, S, d) features of the same places of the inputs: `sample_patches` takes both at the same places.
        temperature: t, above zero.
        normalise: False takes the features as they are.
        detach_keys: whether the keys get no gradient, as in the authors' training code.

    Returns:
        (B,) of at least 0, lower is better; log S where all features are equal, at chance.

    Raises:
        UsageError: features that are not two (B, S, d) of one shape, a temperature that is not above zero.

    Complexity: O(B S^2 d) time, O(B S d) memory: no matrix of similarities is kept. Second derivatives are not
        available.

    FAQ:
        *Several layers?* The published loss is the mean of the layers' values, at the same places of each.

        *Negatives from other images?* `assay.embeddings.info_nce(queries.flatten(0, 1), keys.flatten(0, 1),
        temperature=0.07, symmetric=False)` holds each place against all of the batch's.

        *The authors' code leaves the diagonal out of the negatives and adds it back as the positive.* That is this
        sum: every place occurs once. What it puts in the diagonal's stead, exp(-10 / t), is 0 in float32.

        *A feature of zeros?* Has no direction: its similarities are 0, and so is its gradient.
    """
    if queries.ndim != 3 or not queries.is_floating_point():
        raise UsageError(
            f"patch_nce: queries: expected floating-point features (B, S, d), got {queries.dtype} of the shape "
            f"{tuple(queries.shape)}"
        )
    if keys.shape != queries.shape or not keys.is_floating_point():
        raise UsageError(
            f"patch_nce: keys: expected the queries' shape {tuple(queries.shape)}, got {keys.dtype} of the shape "
            f"{tuple(keys.shape)}; take both with sample_patches at the same places"
        )
    if not isinstance(temperature, (int, float)) or not 0 < temperature < float("inf"):
        raise UsageError(f"patch_nce: temperature: expected a number above zero, got {temperature!r}")
    if detach_keys:
        keys = keys.detach()
    if normalise:
        queries, keys = unit_vectors(queries), unit_vectors(keys)
    queries = queries / temperature
    value = (row_log_sums(queries, keys) - (queries * keys).sum(-1)).mean(1)
    return value.clamp_min(0.0)  # rounding of two sums
