"""How far apart are two images to a network's layers?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from ...errors import UsageError
from ...pair_laws import symmetric_pairs, value_on_equal
from ...pairs import pair_measure
from .feature_maps import FeatureMaps, at_image_size, maps_of, one_shape, unit_channels, weights_of_layers

Norm = Literal["l2", "l1"]


def _layers(
    x: Tensor, y: Tensor, features: FeatureMaps | None, weights: Sequence[float] | None, norm: str, unit: bool
) -> list[Tensor]:
    """A map (B, H', W') a layer, weighted: the mean over channels of what differs."""
    if norm not in ("l2", "l1"):
        raise UsageError(f"feature_distance: norm: expected l2 or l1, got {norm!r}")
    of_x, of_y = maps_of("feature_distance", features, x), maps_of("feature_distance", features, y)
    found = []
    for k, (a, b, weight) in enumerate(
        zip(of_x, of_y, weights_of_layers("feature_distance", weights, len(of_x)), strict=True)
    ):
        one_shape("feature_distance", k, a, b)
        difference = unit_channels(a) - unit_channels(b) if unit else a - b
        found.append(weight * (difference.square() if norm == "l2" else difference.abs()).mean(1))
    return found


def _map(
    x: Tensor,
    y: Tensor,
    *,
    features: FeatureMaps | None = None,
    layer_weights: Sequence[float] | None = None,
    norm: Norm = "l2",
    unit: bool = False,
) -> Tensor:
    layers = _layers(x, y, features, layer_weights, norm, unit)
    return sum((at_image_size(each, x) for each in layers[1:]), at_image_size(layers[0], x))


@pair_measure(
    domain="images",
    best="min",
    lower=0.0,
    laws=[symmetric_pairs, value_on_equal(0.0)],
    map=_map,
    reference="Johnson et al. 2016, arXiv:1603.08155; Dosovitskiy and Brox 2016, arXiv:1602.02644",
)
def feature_distance(
    x: Tensor,
    y: Tensor,
    *,
    features: FeatureMaps | None = None,
    layer_weights: Sequence[float] | None = None,
    norm: Norm = "l2",
    unit: bool = False,
) -> Tensor:
    r"""Perceptual (content) loss: the mean squared difference of two images' feature maps, summed over layers.

    $$ d = \sum_l w_l \frac{1}{C_l H_l W_l} \lVert \phi_l(x) - \phi_l(y) \rVert_2^2 $$

    with $\phi_l$ the map of layer l, (C_l, H_l, W_l); norm "l1" has the sum of absolute differences in its place.

    Args:
        x: (B, 3, H, W) images in [0, 1], the restored or generated ones.
        y: (B, 3, H, W) their targets.
        features: images -> a map (B, C, H', W') a layer, such as `assay.features.vgg_layers(["relu3_3"])`,
            `efficientnet_lite_layers()`, or `layers_of(network, names)` of any network. It has to be given.
        layer_weights: w, one a layer; 1 by default.
        norm: "l2" or "l1".
        unit: divide each place's vector of channels by its length (plus 1e-10) first, as LPIPS does: then the layers
            weigh about alike, and contrast counts less.

    Returns:
        (B,) at least 0; lower is better, 0 for equal images. `map` gives (B, H, W): each layer's mean over channels,
        interpolated to the images' size and summed.

    Raises:
        UsageError: no features, another number of weights than layers, an unknown norm, images that the network does
            not take.

    Complexity: two passes of the network and three over its maps; memory of the maps of both members, and with a
    gradient what the network keeps of the members that ask for one.

    FAQ:
        *Which value have other packages?* piq's ContentLoss averages over places and sums over channels: its value is
        this one with `layer_weights` times the layer's channels. With `features=lambda x: (x,)` this is the mean
        squared error.

        *As a loss?* The network is frozen; only the images receive a gradient, and a target that asks for none costs
        none. Features alone leave patterns that the network does not see: published uses add a pixel and an
        adversarial term.

        *Gradient at special points?* Equal images have value 0 and, under l2, gradient 0; under l1 that of the sign
        function, 0 at 0. With `unit`, a place where all channels are 0 counts as the zero vector.

        *Values changed with the input's range?* The commonest mistake: networks are trained on one normalisation.
        The ready ones take [0, 1] and normalise themselves; do not normalise before.
    """
    layers = _layers(x, y, features, layer_weights, norm, unit)
    return sum((each.mean((1, 2)) for each in layers[1:]), layers[0].mean((1, 2)))
