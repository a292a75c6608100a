"""How alike are the structure and the texture of two images, as far as a network's layers tell?"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...errors import UsageError
from ...pair_laws import symmetric_pairs, value_on_equal
from ...pairs import PairMeasure, pair_measure
from ..data_range import of_unit_range
from .feature_maps import FeatureMaps, maps_of, one_shape

if TYPE_CHECKING:
    from ...features.perceptual_heads import DistsHeads

# both of the reference's constants
CONSTANT = 1e-6


@pair_measure(
    domain="images",
    best="min",
    lower=0.0,
    upper=2.0,
    laws=[symmetric_pairs, value_on_equal(0.0)],
    reference="Ding et al. 2020, arXiv:2004.07728",
)
def dists(
    x: Tensor,
    y: Tensor,
    *,
    features: FeatureMaps | None = None,
    heads: DistsHeads | None = None,
    data_range: float = 1.0,
) -> Tensor:
    r"""Deep image structure and texture similarity: SSIM's two ratios of whole feature maps, as a distance.

    $$ d = \sum_l \sum_c \alpha_{lc} (1 - t_{lc}) + \beta_{lc} (1 - s_{lc}), \qquad
       t = \frac{2 \mu_x \mu_y + c}{\mu_x^2 + \mu_y^2 + c}, \quad
       s = \frac{2 \sigma_{xy} + c}{\sigma_x^2 + \sigma_y^2 + c}, \quad c = 10^{-6} $$

    with $\mu$, $\sigma^2$ and $\sigma_{xy}$ the mean, variance and covariance over all places of a channel. Layer 0 is
    the image itself; all $\alpha$ and $\beta$ sum to 1.

    Args:
        x: (B, 3, H, W) images in [0, data_range], the restored or generated ones.
        y: (B, 3, H, W) their targets.
        features: images -> the maps of the layers after the image: `vgg_layers(pooling="l2")` of `assay.features`.
        heads: alpha and beta, a tensor (C,) a layer: `dists_heads()` of `assay.features`. `published_dists` binds both.
        data_range: the highest value of a pixel; image and network are taken of images / data_range.

    Returns:
        (B,) in [0, 2]; lower is better, 0 for equal images. Above 1 only if channels are negatively correlated. There
        is no map: means and variances are of whole channels.

    Raises:
        UsageError: no features or heads, heads of other layers, a data range that is not above zero, images
            that the network does not take.

    Complexity: two passes of the network, and its maps of both members in memory.

    FAQ:
        *Size?* The authors' protocol shrinks images so that the shorter side is 256 first; piq does so inside, the
        authors' own package and this function do not: resize before, where values are to compare with published ones.

        *As a loss?* It forgives a texture that is resampled, which per-place measures punish.

        *Gradient at special points?* Equal images have value and gradient 0. Constant channels have variance 0: the
        constant c keeps both ratios smooth. The pooling's root is of squares plus 1e-12.

        *Why is 1 - t not formed as written?* $(\mu_x - \mu_y)^2 / (\mu_x^2 + \mu_y^2 + c)$, and likewise for s, is the
        same without subtracting nearly equal numbers: small distances keep their digits, and none is negative.
    """
    x, y = of_unit_range(x, data_range), of_unit_range(y, data_range)
    of_x, of_y = ((m, *maps_of("dists", features, m)) for m in (x, y))
    if heads is None:
        raise UsageError(
            "dists: heads: give the weights alpha and beta of each layer, dists_heads() of assay.features; "
            "published_dists() has both"
        )
    channels = [each.shape[1] for each in of_x]
    for name, of_layers in (("alpha", heads.alpha), ("beta", heads.beta)):
        if channels != [len(each) for each in of_layers]:
            raise UsageError(
                f"dists: heads: {name} is for layers of {[len(each) for each in of_layers]} channels, but the image "
                f"and the features have {channels}"
            )
    distance = x.new_zeros(len(x))
    for k, (a, b, alpha, beta) in enumerate(zip(of_x, of_y, heads.alpha, heads.beta, strict=True)):
        one_shape("dists", k, a, b)
        texture, structure = _unlike(a.flatten(2), b.flatten(2))
        distance = distance + texture @ alpha.to(texture) + structure @ beta.to(structure)
    return distance


def _unlike(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """1 - t and 1 - s of (B, C, n), each (B, C)."""
    (variance_a, mean_a), (variance_b, mean_b) = (torch.var_mean(each, 2, correction=0) for each in (a, b))
    apart = mean_a - mean_b
    texture = apart.square() / (mean_a.square() + mean_b.square() + CONSTANT)
    # the variance of a - b is that of a, that of b, minus twice their covariance
    structure = torch.var(a - b, 2, correction=0) / (variance_a + variance_b + CONSTANT)
    return texture, structure


def published_dists(
    *, weights: str | os.PathLike[str] | None = None, heads: str | os.PathLike[str] | None = None
) -> PairMeasure:
    """`dists` with VGG-16 and its published weights.

    Args:
        weights: a file of torchvision's weights of VGG-16 in place of the fetched ones.
        heads: a file in place of the one that the package `DISTS_pytorch` carries.

    Returns:
        The measure, its options `features` and `heads` bound.

    Raises:
        UsageError: weights that are not here (with the steps to take).
        MissingExtra: heads from the package, where it is not installed (`assay[perceptual]`).
        DataError: a file of something else.
    """
    from ...features.perceptual_heads import dists_heads
    from ...features.vgg_layers import vgg_layers

    found = dists_heads(file=heads)
    return dists.with_options(features=vgg_layers(pooling="l2", weights=weights), heads=found)
