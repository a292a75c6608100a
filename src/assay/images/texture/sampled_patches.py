"""Features of a few places, the same in every image and layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...errors import UsageError


def random_places(
    size: tuple[int, int], count: int = 256, *, generator: torch.Generator | None = None
) -> Tensor:
    """The centres of `count` different cells of an H x W grid, as fractions of the height and width, (S, 2).

    Args:
        size: (H, W) of the smallest feature map: places are then different in the larger ones too.
        count: S; where the grid has fewer cells, all of them.
        generator: for the draw.

    Raises:
        UsageError: a size or count below 1.
    """
    height, width = size
    if min(height, width, count) < 1:
        raise UsageError(f"random_places: expected a size and a count of at least 1, got {size} and {count}")
    cells = torch.randperm(height * width, generator=generator)[:count]
    rows, columns = cells // width, cells % width
    return torch.stack([(rows + 0.5) / height, (columns + 0.5) / width], 1)


def sample_patches(feature_maps: Sequence[Tensor] | Tensor, places: Tensor) -> list[Tensor]:
    """The features at some places of every map, (B, S, C) each.

    Args:
        feature_maps: a list of (B, C, H, W), one a layer, of any sizes.
        places: (S, 2) fractions of the height and width, in [0, 1); pass the same for both images.

    Raises:
        UsageError: maps that are not (B, C, H, W), or places that are not (S, 2).
    """
    if places.ndim != 2 or places.shape[1] != 2 or not places.is_floating_point():
        raise UsageError(
            f"places: expected fractions (S, 2), got {places.dtype} of the shape {tuple(places.shape)}; "
            "random_places draws them"
        )
    if isinstance(feature_maps, Tensor):
        raise UsageError("feature_maps: expected a sequence of maps, got one tensor; put it in a list")
    out = []
    for layer, maps in enumerate(feature_maps):
        if maps.ndim != 4:
            raise UsageError(
                f"feature_maps: layer {layer} has the shape {tuple(maps.shape)}, expected (B, C, H, W)"
            )
        sizes = torch.tensor(maps.shape[2:], device=places.device)
        cells = (places * sizes).long().clamp_min(0).minimum(sizes - 1).to(maps.device)
        out.append(maps[:, :, cells[:, 0], cells[:, 1]].mT)
    return out
