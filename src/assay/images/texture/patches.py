"""Feature maps as sets of patch vectors."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from ...errors import UsageError

Centring = Literal["places", "channels"]


def check_maps(measure: str, generated: Tensor, reference: Tensor, size: int) -> None:
    """Refuse what are not two batches of feature maps of the same channels, at least a patch large.

    Raises:
        UsageError: naming the argument.
    """
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise UsageError(f"{measure}: size: expected a whole number of at least 1, got {size!r}")
    for name, maps in (("generated", generated), ("reference", reference)):
        if maps.ndim != 4 or not maps.is_floating_point():
            raise UsageError(
                f"{measure}: {name}: expected floating-point feature maps (B, C, H, W), got {maps.dtype} of the shape "
                f"{tuple(maps.shape)}"
            )
        if min(maps.shape[2:]) < size:
            raise UsageError(
                f"{measure}: {name}: maps of {maps.shape[2]} x {maps.shape[3]} hold no patch of {size} x {size}; "
                "pass a smaller size"
            )
    if generated.shape[1] != reference.shape[1]:
        raise UsageError(
            f"{measure}: generated has {generated.shape[1]} channels and reference {reference.shape[1]}: take both "
            "from the same layer of one network"
        )


def patch_vectors(maps: Tensor, size: int) -> Tensor:
    """Every size x size patch that fits, row after row: (B, C, H, W) -> (B, n, C size^2)."""
    return (maps.flatten(2) if size == 1 else functional.unfold(maps, size)).mT


def patch_directions(
    generated: Tensor, reference: Tensor, size: int, centring: Centring
) -> tuple[Tensor, Tensor]:
    """Patches as vectors of length 1, both seen from the reference's mean; (B, n, d) and (B, m, d).

    A patch that is nothing but the mean (but for rounding) has no direction: its vector is 0, and so is its gradient.

    Args:
        generated: (B, C, H, W).
        reference: (B, C, H', W').
        size: of a patch.
        centring: "places": what is subtracted is the mean over the reference's places, a number a channel;
            "channels": the mean over the reference's channels, a number a place, which needs one size of both.

    Raises:
        UsageError: another centring, or sizes that differ where they must not.
    """
    if centring == "places":
        mean = reference.mean((2, 3), keepdim=True)
    elif centring != "channels":
        raise UsageError(f'centring: expected "places" or "channels", got {centring!r}')
    elif generated.shape != reference.shape:
        raise UsageError(
            f'centring="channels" subtracts place by place: generated {tuple(generated.shape)} and reference '
            f'{tuple(reference.shape)} must be of one size; use "places"'
        )
    else:
        mean = reference.mean(1, keepdim=True)
    return _directions(generated, mean, size), _directions(reference, mean, size)


def _directions(maps: Tensor, mean: Tensor, size: int) -> Tensor:
    vectors = patch_vectors(maps - mean, size)
    # what rounding of the mean and of the difference can leave of a patch that equals the mean
    doubt = 16 * torch.finfo(maps.dtype).eps
    sizes = patch_vectors((maps.detach().abs() + mean.detach().abs()).amax(1, keepdim=True), size)
    return unit_vectors(vectors, doubt * sizes.amax(-1, keepdim=True))


def unit_vectors(vectors: Tensor, least: Tensor | float = 0.0) -> Tensor:
    """Vectors along the last axis at length 1; 0, with no gradient, where no entry is larger than `least`."""
    largest = vectors.detach().abs().amax(-1, keepdim=True)
    there = largest > least
    # a direction has no scale, but squares of small features, and cubes in their gradient, leave float32
    scaled = vectors / torch.where(there, largest, 1.0)
    squared = scaled.square().sum(-1, keepdim=True)
    return scaled * torch.where(there, torch.where(there, squared, 1.0).rsqrt(), 0.0)
