"""How far apart are two images' colours, as hue, saturation and value?"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from ...pair_laws import map_means_value, symmetric_pairs, value_on_equal
from ...pairs import pair_measure
from ...scale.each_pair import each_pair
from ..colour import hsv_cone
from ..data_range import positive_range


def _hsv_map(x: Tensor, y: Tensor, *, data_range: float) -> Tensor:
    return ((hsv_cone(x) - hsv_cone(y)) / positive_range(data_range)).square().mean(1)


def _draw(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Pairs of images whose channels differ by at least 0.1 in every pixel: the cone bends where two are equal."""
    order = torch.rand(2, n, 3, 24, 24, generator=generator).argsort(2).to(torch.float64)
    x, y = 0.35 * order + 0.25 * torch.rand(order.shape, dtype=torch.float64, generator=generator)
    return x, y


@pair_measure(
    domain="images",
    best="min",
    lower=0.0,
    upper=4 / 3,
    laws=[symmetric_pairs, value_on_equal(0.0), map_means_value],
    map=_hsv_map,
    draw=_draw,
    reference="after Liu et al. 2023, arXiv:2301.00553",
)
def hsv_distance(x: Tensor, y: Tensor, *, data_range: float = 1.0) -> Tensor:
    r"""Mean squared difference of two RGB images as points of the HSV cone, for each pair.

    $$ \frac{1}{3HW} \sum_{i,j} \left\| h(x_{ij}) - h(y_{ij}) \right\|^2, \qquad
       h = (S V \cos H,\ S V \sin H,\ V) $$

    with hue H as an angle, saturation S and value V of the image divided by its range. In the cone a hue of 359 degrees
    is next to one of 1 degree, and the hue of a grey or black pixel, which is arbitrary, has no weight.

    Args:
        x: (B, 3, H, W) images, red, green, blue.
        y: (B, 3, H, W) targets.
        data_range: the difference between the largest and the smallest value a pixel can have: 1 or 255.

    Returns:
        (B,) in [0, 4/3]; 0 for equal images; 4/3 for red against cyan; lower is better. The gradient is finite
        everywhere; at a grey pixel, where the hue has none, that of S V cos H and S V sin H is 0.
        `hsv_distance.map` gives (B, H, W).

    Raises:
        UsageError: other than three channels; a data range that is not above zero.

    Complexity: O(B H W) time and, beyond images and gradients, the memory of one pair.

    FAQ:
        *Is this the published loss?* No, the form of it that can train. The paper's repository converts 8-bit copies
        with OpenCV outside of the graph, so that its loss has no gradient, and takes the squared difference of H, S
        and V, in which 359 and 1 degree are far apart; it weighs pixels at edges ten times. Here the conversion is
        differentiable and the hue is a circle; weigh `hsv_distance.map` with your edges for the rest.

        *Beside an L1 term?* Yes, as there: by itself it sees less of the dark pixels than L1 does.
    """
    return each_pair(partial(_hsv_of_pairs, data_range=data_range), x, y)


def _hsv_of_pairs(x: Tensor, y: Tensor, data_range: float) -> Tensor:
    return _hsv_map(x, y, data_range=data_range).mean((1, 2))
