"""Contextual distance: are the reference's patches there, wherever they lie?"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch import Tensor

from ...errors import UsageError
from ...pairs import pair_measure
from .patches import check_maps, patch_directions, patch_vectors
from .similarity import best_match_cost, check_bandwidth, relative_distances


def _draw(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    generated = torch.randn(n, 6, 5, 4, dtype=torch.float64, generator=generator)
    return generated, torch.randn(n, 6, 4, 6, dtype=torch.float64, generator=generator)


@pair_measure(
    domain="any",
    best="min",
    lower=0.0,
    draw=_draw,
    reference="Mechrez et al. 2018, arXiv:1803.02077",
)
def contextual_distance(
    generated: Tensor,
    reference: Tensor,
    *,
    bandwidth: float = 0.5,
    distance: Literal["cosine", "squared"] = "cosine",
    size: int = 1,
) -> Tensor:
    r"""Minus the logarithm of how well every patch of the reference is the one best match of some generated patch.

    With the distances $d_{ij}$ between generated patch i and reference patch j,

    $$ \tilde d_{ij} = \frac{d_{ij}}{\min_k d_{ik} + 10^{-5}}, \quad
       c_{ij} = \frac{e^{(1 - \tilde d_{ij}) / h}}{\sum_k e^{(1 - \tilde d_{ik}) / h}}, \quad
       D = -\log \frac{1}{m} \sum_{j=1}^{m} \max_i c_{ij} $$

    Args:
        generated: (B, C, H, W) feature maps, of any network's layer, or images.
        reference: (B, C, H', W') of the same layer; its places may be more or fewer.
        bandwidth: h, above zero; a smaller one asks for a clearer winner.
        distance: "cosine": (1 - cosine) / 2 of patches seen from the mean of the reference's; "squared": |x - y|^2.
        size: of a patch, along each axis: 1 takes the features of one place, as published.

    Returns:
        (B,) in [0, log m] for m reference patches; lower is better. Near 0 where every generated patch has one clear
        match and every reference patch is somebody's; log m where nothing can be told apart (constant maps).

    Raises:
        UsageError: members that are not feature maps of the same channels, a size that does not fit, a bandwidth that
            is not above zero, another distance.

    Complexity: O(n m C) time forward and about three times that backward, O((n + m) C) memory: similarities are
        formed a strip at a time, and formed again for the gradient. Second derivatives are not available.

    FAQ:
        *Why is it so forgiving of shifts?* It never asks where a patch lies. That is what it is for: targets that are
        not aligned. Add a distance that looks at places where they are.

        *Does it equal the authors' code?* Yes, for one image at a time: theirs centres by the mean over the whole
        batch, here every pair stands alone.

        *Which layers?* The authors' single-image program takes VGG-19's conv3_2 and conv4_2 against the style and
        conv4_2 against the content, and adds the values.

        *A patch that equals the mean?* Has no direction. It counts as the origin, at 1/4 from every direction and at
        0 from another such patch; its gradient is 0. The formula would give 0/0.

        *Maps of 256 x 256?* No matrix of pairs is kept, but all are visited: 2^32 of them. Sample places
        (`sample_patches`) or pool first.
    """
    check_maps("contextual_distance", generated, reference, size)
    check_bandwidth("contextual_distance", bandwidth)
    if distance == "cosine":
        x, y = patch_directions(generated, reference, size, "places")
        scale = 0.25  # of unit vectors, |x - y|^2 = 2 - 2 cosine
    elif distance == "squared":
        # distances do not change, their rounding does
        mean = reference.detach().mean((2, 3), keepdim=True)
        x, y = patch_vectors(generated - mean, size), patch_vectors(reference - mean, size)
        scale = 1.0
    else:
        raise UsageError(f'contextual_distance: distance: expected "cosine" or "squared", got {distance!r}')
    cost = best_match_cost(x, y, partial(relative_distances, scale=scale, bandwidth=float(bandwidth)))
    return cost.clamp_min(0.0)  # rounding of a logarithm
