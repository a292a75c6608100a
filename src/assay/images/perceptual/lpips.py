"""How similar are two images to people, as far as a network's layers and weights fitted to their judgements tell?"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from ...errors import UsageError
from ...pair_laws import symmetric_pairs, value_on_equal
from ...pairs import PairMeasure, pair_measure
from ..data_range import of_unit_range
from .feature_maps import FeatureMaps, at_image_size, maps_of, one_shape, unit_channels

if TYPE_CHECKING:
    from ...features.perceptual_heads import Backbone


def _layers(
    x: Tensor,
    y: Tensor,
    features: FeatureMaps | None,
    heads: Sequence[Tensor] | None,
    data_range: float,
) -> list[Tensor]:
    """A map (B, H', W') a layer."""
    x, y = of_unit_range(x, data_range), of_unit_range(y, data_range)
    of_x, of_y = maps_of("lpips", features, x), maps_of("lpips", features, y)
    if heads is None:
        raise UsageError(
            "lpips: heads: give the channel weights of each layer, lpips_heads(backbone) of assay.features; "
            "published_lpips(backbone) has both"
        )
    if [each.shape[1] for each in of_x] != [len(head) for head in heads]:
        raise UsageError(
            f"lpips: heads: for layers of {[len(head) for head in heads]} channels, but the features have "
            f"{[each.shape[1] for each in of_x]}; take both of one backbone"
        )
    found = []
    for k, (a, b, head) in enumerate(zip(of_x, of_y, heads, strict=True)):
        one_shape("lpips", k, a, b)
        squares = (unit_channels(a) - unit_channels(b)).square()
        weights = head.to(squares.device, squares.dtype)
        found.append((weights @ squares.flatten(2)).view(len(x), *squares.shape[2:]))
    return found


def _map(
    x: Tensor,
    y: Tensor,
    *,
    features: FeatureMaps | None = None,
    heads: Sequence[Tensor] | None = None,
    data_range: float = 1.0,
) -> Tensor:
    layers = _layers(x, y, features, heads, data_range)
    return sum((at_image_size(each, x) for each in layers[1:]), at_image_size(layers[0], x))


@pair_measure(
    domain="images",
    best="min",
    lower=0.0,
    laws=[symmetric_pairs, value_on_equal(0.0)],
    map=_map,
    reference="Zhang et al. 2018, arXiv:1801.03924",
)
def lpips(
    x: Tensor,
    y: Tensor,
    *,
    features: FeatureMaps | None = None,
    heads: Sequence[Tensor] | None = None,
    data_range: float = 1.0,
) -> Tensor:
    r"""Learned perceptual image patch similarity (version 0.1): squared distances of directions of features, with
    weights fitted to human judgements.

    $$ d = \sum_l \frac{1}{H_l W_l} \sum_{h, w} \sum_c w_{lc}
       \Big( \frac{\phi_l(x)_{chw}}{|\phi_l(x)_{hw}|} - \frac{\phi_l(y)_{chw}}{|\phi_l(y)_{hw}|} \Big)^2 $$

    with $|\cdot|$ the length over channels, plus $10^{-10}$.

    Args:
        x: (B, 3, H, W) images in [0, data_range], the restored or generated ones.
        y: (B, 3, H, W) their targets.
        features: images -> a map (B, C, H', W') a layer: `alexnet_layers()`, `vgg_layers()` or `squeezenet_layers()`
            of `assay.features`.
        heads: w, a tensor (C,) a layer: `lpips_heads(backbone)` of `assay.features`. `published_lpips` binds both.
        data_range: the highest value of a pixel; the network sees images / data_range.

    Returns:
        (B,) at least 0; lower is better, 0 for equal images. `map` gives (B, H, W): each layer's weighted squares,
        interpolated bilinearly to the images' size and summed (the reference's `spatial=True`).

    Raises:
        UsageError: no features or heads, heads of other layers, a data range that is not above zero, images
            smaller than the backbone takes (31 x 31 for AlexNet, 16 x 16 for VGG, 17 x 17 for SqueezeNet) or of other
            than three channels.

    Complexity: two passes of the backbone, and its maps of both members in memory.

    FAQ:
        *Images in [0, 1] or [-1, 1]?* Here [0, data_range]; give (x + 1) / 2 for the others. The reference takes
        [-1, 1], or [0, 1] with `normalize=True`; its constants are ImageNet's mean and deviation, written for that
        range.

        *Do other packages agree?* `lpips` 0.1.4 to rounding. torchmetrics 1.9 adds 1e-8 inside the root instead of
        1e-10 outside, which shows only where all channels are nearly 0. piq has VGG's weights only, and divides alike.

        *alex, vgg or squeeze?* The authors recommend alex as a measure (it agrees best with people and is fastest)
        and used vgg for optimisation. Values of different backbones do not compare.

        *Gradient at special points?* Equal images have value and gradient 0. A place where every channel is 0 (after
        a ReLU, on flat regions) counts as the zero vector with a finite gradient; the reference's is NaN there.
    """
    layers = _layers(x, y, features, heads, data_range)
    return sum((each.mean((1, 2)) for each in layers[1:]), layers[0].mean((1, 2)))


def published_lpips(
    backbone: Backbone = "alex",
    *,
    weights: str | os.PathLike[str] | None = None,
    heads: str | os.PathLike[str] | None = None,
) -> PairMeasure:
    """`lpips` with a published backbone and its heads.

    Args:
        backbone: alex, vgg or squeeze.
        weights: a file of torchvision's weights of the backbone in place of the fetched ones.
        heads: a file in place of the one that the package `lpips` carries.

    Returns:
        The measure, its options `features` and `heads` bound.

    Raises:
        UsageError: an unknown backbone, weights that are not here (with the steps to take).
        MissingExtra: heads from the package, where it is not installed (`assay[perceptual]`).
        DataError: a file of something else.
    """
    from ...features.alexnet import alexnet_layers
    from ...features.perceptual_heads import lpips_heads
    from ...features.squeezenet import squeezenet_layers
    from ...features.vgg_layers import vgg_layers

    layers: dict[str, Callable[[], FeatureMaps]] = {
        "alex": lambda: alexnet_layers(weights=weights),
        "vgg": lambda: vgg_layers(weights=weights),
        "squeeze": lambda: squeezenet_layers(weights=weights),
    }
    found = lpips_heads(backbone, file=heads)
    return lpips.with_options(features=layers[backbone](), heads=found)
