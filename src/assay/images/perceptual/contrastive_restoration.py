"""Is a restored image near its target and far from what it was restored from?"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...pairs import pair_measure
from .feature_maps import FeatureMaps, maps_of, one_shape, weights_of_layers

# added to the distance from the degraded image, as in the dehazing work
EPSILON = 1e-7


def _draw(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    x, y, z = torch.rand(3, n, 3, 24, 24, dtype=torch.float64, generator=generator)
    return 0.7 * y + 0.3 * x, y, z


@pair_measure(
    domain="images",
    best="min",
    lower=0.0,
    draw=_draw,
    exceptions={
        "second_derivative_is_right_or_refused": "the absolute value's slope jumps where features agree, at some place "
        "within any step; the second derivative is that between the jumps"
    },
    reference="Wu et al. 2021, arXiv:2104.09367; Wu et al. 2021, arXiv:2111.13924",
)
def contrastive_restoration(
    x: Tensor,
    target: Tensor,
    degraded: Tensor,
    *,
    features: FeatureMaps | None = None,
    layer_weights: Sequence[float] | None = None,
) -> Tensor:
    r"""Contrastive regularisation: how near features are to the target's, relative to the degraded image's.

    $$ d = \sum_l w_l \frac{D_l(x, target)}{D_l(x, degraded) + 10^{-7}}, \qquad
       D_l(a, b) = \frac{1}{C_l H_l W_l} \lVert \phi_l(a) - \phi_l(b) \rVert_1 $$

    Args:
        x: (B, 3, H, W) restored images in [0, 1].
        target: (B, 3, H, W) what they should be: the positive.
        degraded: (B, 3, H, W) what they were restored from, the negative: hazy, blurred, or a low-resolution image
            enlarged to H x W.
        features: images -> a map (B, C, H', W') a layer. It has to be given.
        layer_weights: w, one a layer; by default 1 over the number of layers. The dehazing work takes 1/32, 1/16, 1/8,
            1/4 and 1 for `vgg_layers(["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"], depth=19)`.

    Returns:
        (B,) at least 0; lower is better, 0 for an image equal to its target, 1 (with weights that sum to 1) as far
        from the target as from the degraded image. Where x equals the degraded image the denominator is 1e-7.

    Raises:
        UsageError: no features, another number of weights than layers, images that the network does not take.

    Complexity: three passes of the network, and the maps of all three members in memory.

    FAQ:
        *At the start of training x is nearly the degraded image?* Then values and gradients are huge, up to 1e7 times
        the distance. The published uses add this with a small weight (0.1) to a pixel loss, or start from a trained
        network.

        *A batch?* The dehazing code divides the batch's mean distances; here, as in the super-resolution code, each
        pair has its own ratio. They agree for a batch of one.

        *Several positives and negatives?* Mean ratios are what the super-resolution work takes: average this over
        positives; of several negatives it averages the distances, which is not the mean of ratios.

        *Features' scale?* Cancels in the ratio.

        *Gradient at special points?* The absolute value's slope at 0 counts as 0: equal to its target, an image has
        value and gradient 0.
    """
    members = [maps_of("contrastive_restoration", features, m) for m in (x, target, degraded)]
    count = len(members[0])
    weights = weights_of_layers("contrastive_restoration", layer_weights, count)
    share = 1 / count if layer_weights is None else 1.0
    value = x.new_zeros(len(x))
    for k, (a, positive, negative) in enumerate(zip(*members, strict=True)):
        one_shape("contrastive_restoration", k, a, positive)
        one_shape("contrastive_restoration", k, a, negative)
        near, far = (_mean_distance(a, other) for other in (positive, negative))
        value = value + share * weights[k] * near / (far + EPSILON)
    return value


def _mean_distance(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).abs().mean((1, 2, 3))
