"""Nearest patches: what fills the hole should be found outside of it."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from ...errors import UsageError
from ...pairs import pair_measure
from ...scale.row_strips import nearest_rows
from .patches import check_maps, patch_vectors

Candidates = Literal["outside", "all"]


def _draw(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    generated = torch.randn(n, 3, 9, 8, dtype=torch.float64, generator=generator)
    hole = torch.zeros(n, 1, 9, 8, dtype=torch.bool)
    hole[:, :, 3:6, 2:5] = True
    return generated, torch.randn(n, 3, 9, 8, dtype=torch.float64, generator=generator), hole


def _map(
    generated: Tensor, reference: Tensor, hole: Tensor, *, size: int = 3, candidates: Candidates = "outside"
) -> Tensor:
    return _distances(generated, reference, hole, size, candidates)[0]


@pair_measure(
    domain="any",
    best="min",
    lower=0.0,
    map=_map,
    draw=_draw,
    reference="Yang et al. 2017, High-Resolution Image Inpainting using Multi-Scale Neural Patch Synthesis, CVPR, "
    "arXiv:1611.09969",
)
def patch_nearest_neighbour(
    generated: Tensor, reference: Tensor, hole: Tensor, *, size: int = 3, candidates: Candidates = "outside"
) -> Tensor:
    r"""Mean squared distance from the patches in the hole to the nearest patch of the reference outside it.

    $$ E = \frac{1}{|R|} \sum_{i \in R} \min_{j \notin R} \| P_i(\text{generated}) - P_j(\text{reference}) \|^2 $$

    where R are the patches that touch the hole.

    Args:
        generated: (B, C, H, W) feature maps, or images.
        reference: of the same channels; for inpainting the generated maps themselves, or those of the image around
            the hole.
        hole: (B, 1, H, W) of truth values, or numbers, of which those above 0.5 are hole.
        size: s of the patches P, s x s x C numbers each.
        candidates: "outside": the reference's patches that do not touch the hole (it is then of the generated's size);
            "all": all of them, of a reference of any size (an exemplar).

    Returns:
        (B,) of at least 0, the square of the features' unit; lower is better, 0 where every patch of the hole exists
        outside of it. `patch_nearest_neighbour.map` gives the distance of each patch, 0 for those outside.
        Without a hole 0; with no patch outside, infinity, with a gradient of 0.

    Raises:
        UsageError: members that are not feature maps of the same channels, a hole of another size, a size that does
            not fit.

    Complexity: O(n m C s^2) time, O((n + m) C s^2) memory for n and m patches: no matrix of distances is kept.

    FAQ:
        *Which gradient?* That of the distances to the patches found: which patch is nearest is held fixed, and where
        no other is as near that is the derivative. It moves both patches; pass `reference.detach()` to move the
        generated one only.

        *Does it equal the authors' code?* It is the paper's energy. Their code finds patches by normalised
        cross-correlation instead (as it may for features of alike length), divides a place's gradient by the number
        of patches over it, and skips the value.

        *And the whole energy?* Add the content term and `total_variation` with your own factors.
    """
    distances, inside, found = _distances(generated, reference, hole, size, candidates)
    count = inside.sum((1, 2))
    value = distances.sum((1, 2)) / count.clamp_min(1).to(distances.dtype)
    return torch.where(found, value, torch.inf)


def _distances(
    generated: Tensor, reference: Tensor, hole: Tensor, size: int, candidates: Candidates
) -> tuple[Tensor, Tensor, Tensor]:
    """(B, H', W') squared distances of the patches in the hole, which those are, and (B,) whether any is outside."""
    check_maps("patch_nearest_neighbour", generated, reference, size)
    if candidates not in ("outside", "all"):
        raise UsageError(
            f'patch_nearest_neighbour: candidates: expected "outside" or "all", got {candidates!r}'
        )
    if hole.shape != (len(generated), 1, *generated.shape[2:]):
        raise UsageError(
            f"patch_nearest_neighbour: hole: expected the shape {(len(generated), 1, *generated.shape[2:])} of the "
            f"generated maps with one channel, got {tuple(hole.shape)}"
        )
    if candidates == "outside" and reference.shape != generated.shape:
        raise UsageError(
            f"patch_nearest_neighbour: reference: {tuple(reference.shape)} is not of the size of generated, "
            f'{tuple(generated.shape)}, so the hole has no place in it; pass candidates="all" for an exemplar'
        )
    holes = (hole > 0.5 if hole.is_floating_point() else hole > 0).to(generated.dtype)
    inside = functional.max_pool2d(holes, size, stride=1)[:, 0] > 0
    x, y = patch_vectors(generated, size), patch_vectors(reference, size)
    allowed = ~inside.flatten(1) if candidates == "outside" else None
    index = nearest_rows(x, y, allowed)
    apart = (x - y.gather(1, index[..., None].expand_as(x))).square().sum(-1)
    found = inside.new_ones(len(x)) if allowed is None else allowed.any(1)
    return apart.view(inside.shape) * inside, inside, found
