"""Do two images share a style: do the same features come together, wherever they are?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from ...errors import UsageError
from ...pair_laws import symmetric_pairs, value_on_equal
from ...pairs import pair_measure
from .feature_maps import FeatureMaps, maps_of, weights_of_layers

Scaling = Literal["chw", "hw"]


def _draw(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    x = torch.rand(n, 3, 24, 24, dtype=torch.float64, generator=generator)
    y = torch.rand(n, 3, 24, 24, dtype=torch.float64, generator=generator)
    return x, 0.7 * x + 0.3 * y


@pair_measure(
    domain="any",
    best="min",
    lower=0.0,
    laws=[symmetric_pairs, value_on_equal(0.0)],
    draw=_draw,
    reference="Gatys et al. 2015, arXiv:1508.06576; Johnson et al. 2016, arXiv:1603.08155",
)
def gram_distance(
    x: Tensor,
    y: Tensor,
    *,
    features: FeatureMaps | None = None,
    layer_weights: Sequence[float] | None = None,
    scaling: Scaling = "chw",
) -> Tensor:
    r"""Style loss: the squared distance of two images' Gram matrices of features, summed over layers.

    $$ d = \sum_l w_l \lVert G_l(x) - G_l(y) \rVert_F^2, \qquad G_l(x) = \frac{1}{C_l H_l W_l} \Phi \Phi^T $$

    with $\Phi$ the map of layer l as (C_l, H_l W_l). Scaling "hw" divides by $H_l W_l$ only, the mean over places.

    Args:
        x: (B, 3, H, W) images in [0, 1], the generated ones.
        y: (B, 3, H', W') images of the style; their size may differ.
        features: images -> a map (B, C, H, W) a layer, such as `assay.features.vgg_layers(["relu1_2", "relu2_2",
            "relu3_3", "relu4_3"])`. It has to be given.
        layer_weights: w, one a layer; 1 by default.
        scaling: "chw" (Johnson et al.) or "hw".

    Returns:
        (B,) at least 0; lower is better, 0 for equal images and for images whose features are rearranged. There is no
        map: a Gram matrix has no places.

    Raises:
        UsageError: no features, images that are not floating-point (B, C, H, W), another number of weights than
            layers, an unknown scaling.

    Complexity: two passes of the network and sum over layers of $C^2 H W$ multiply-adds; memory of the maps and C^2.

    FAQ:
        *Which value have other packages?* piq's StyleLoss does not scale, and takes the mean over the C^2 entries: its
        value is this one under "hw" times $(H W / C)^2$. Gatys et al.'s is a quarter of this under "chw", for images
        of one size.

        *Half precision?* Sums over tens of thousands of places overflow float16 and lose bfloat16's digits; features
        are scaled before the product, which is of float32 or wider.

        *A transposed or mirrored image?* Its Gram matrices are near, not equal: convolutions have an orientation.

        *Gradient at special points?* Equal images have value and gradient 0; black images are nothing special.
    """
    if scaling not in ("chw", "hw"):
        raise UsageError(f"gram_distance: scaling: expected chw or hw, got {scaling!r}")
    for name, member in (("x", x), ("y", y)):
        if member.ndim != 4 or not member.is_floating_point():
            raise UsageError(
                f"gram_distance: {name}: expected floating-point (B, C, H, W) images, got {member.dtype} "
                f"of shape {tuple(member.shape)}"
            )
    of_x, of_y = maps_of("gram_distance", features, x), maps_of("gram_distance", features, y)
    weights = weights_of_layers("gram_distance", layer_weights, len(of_x))
    distance = x.new_zeros(len(x))
    for a, b, weight in zip(of_x, of_y, weights, strict=True):
        distance = distance + weight * (_gram(a, scaling) - _gram(b, scaling)).square().sum((1, 2))
    return distance


def _gram(maps: Tensor, scaling: Scaling) -> Tensor:
    places = maps.shape[2] * maps.shape[3]
    flat = maps.flatten(2) * (places * (maps.shape[1] if scaling == "chw" else 1)) ** -0.5
    return torch.bmm(flat, flat.mT)
