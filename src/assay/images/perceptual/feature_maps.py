"""What every perceptual measure does with the maps of layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ...errors import UsageError

# images (B, 3, H, W) in [0, 1] -> a feature map (B, C, H', W') a layer
FeatureMaps = Callable[[Tensor], tuple[Tensor, ...]]

# what LPIPS adds to a length before it divides by it
EPSILON = 1e-10


def maps_of(measure: str, features: FeatureMaps | None, x: Tensor) -> tuple[Tensor, ...]:
    """The layers' maps of one member, in its precision where theirs is narrower.

    Raises:
        UsageError: no function, or one that gives something else than (B, C, H', W') maps.
    """
    if features is None:
        raise UsageError(
            f"{measure}: features: give a function from images (B, 3, H, W) in [0, 1] to a tuple of feature maps: "
            "vgg_layers() or efficientnet_lite_layers() of assay.features, or layers_of(network, names) of your own; "
            f"{measure}.with_options(features=...) binds it"
        )
    found: Any = features(x)
    maps = (found,) if isinstance(found, Tensor) else tuple(found)
    for k, each in enumerate(maps):
        if not isinstance(each, Tensor) or each.ndim != 4 or len(each) != len(x):
            got = tuple(each.shape) if isinstance(each, Tensor) else type(each).__name__
            raise UsageError(f"{measure}: features: layer {k} gives {got}, expected ({len(x)}, C, H', W')")
    if not maps:
        raise UsageError(f"{measure}: features: gives no feature maps, expected one a layer")
    return tuple(each.to(torch.promote_types(each.dtype, x.dtype)) for each in maps)


def weights_of_layers(measure: str, given: Sequence[float] | None, layers: int) -> Sequence[float]:
    """One weight a layer, 1 by default.

    Raises:
        UsageError: another number of them, or one that is negative or not finite.
    """
    if given is None:
        return (1.0,) * layers
    if len(given) != layers or not all(0 <= weight < math.inf for weight in given):
        raise UsageError(
            f"{measure}: layer_weights: expected {layers} weights of at least 0, one a layer, got {list(given)}"
        )
    return given


def one_shape(measure: str, layer: int, a: Tensor, b: Tensor) -> None:
    """Refuse maps of two members that cannot be subtracted."""
    if a.shape != b.shape:
        raise UsageError(
            f"{measure}: features: layer {layer} gives {tuple(a.shape)} and {tuple(b.shape)} for images of one size"
        )


def unit_channels(f: Tensor) -> Tensor:
    """Each place's vector of channels at length 1; zero vectors stay zero, with the gradient of 1 times f."""
    squares = f.square().sum(1, keepdim=True)
    # the root's slope at 0 is infinite, and times a zero NaN
    return f / (torch.where(squares > 0, squares, 1.0).sqrt() + EPSILON)


def at_image_size(places: Tensor, x: Tensor) -> Tensor:
    """(B, H', W') of a layer, interpolated bilinearly to the size of the image."""
    size = (x.shape[2], x.shape[3])
    return functional.interpolate(places[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
