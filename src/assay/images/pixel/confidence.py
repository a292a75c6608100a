"""How far is the filled hole from what was there, where the surroundings say what belongs there?"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...errors import UsageError
from ...pair_laws import map_means_value
from ...pairs import pair_measure
from ..option_values import is_number
from .differences import draw_apart
from .masked import over_masked_area


def hole_confidence(mask: Tensor, *, window: int = 65, deviation: float = 40.0, passes: int = 7) -> Tensor:
    """How much the known pixels say about each pixel of a hole: M_k = (g * (1 - m + M_(k-1))) m, M_0 = 0.

    Args:
        mask: (B, C, H, W) floating point, 1 in the hole.
        window: taps of the Gaussian g, odd.
        deviation: of g, in pixels.
        passes: k at the end.

    Returns:
        (B, C, H, W) in [0, 1], 0 outside of the hole.

    Raises:
        UsageError: an even window, or numbers that are not above zero.
    """
    for name, value in (("window", window), ("passes", passes)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UsageError(f"{name}: expected a whole number above 0, got {value!r}")
    if window % 2 == 0:
        raise UsageError(f"window: expected an odd number of taps, got {window}; use {window + 1}")
    if not (is_number(deviation) and 0 < deviation < math.inf):
        raise UsageError(f"deviation: expected a number of pixels above 0, got {deviation!r}")
    down, across = (_blur(size, window, deviation, mask) for size in mask.shape[-2:])
    known = 1 - mask
    confidence = torch.zeros_like(mask)
    for _ in range(passes):
        confidence = (down @ (known + confidence) @ across.mT) * mask
    return confidence


def _blur(size: int, window: int, deviation: float, like: Tensor) -> Tensor:
    """The Gaussian along an axis as a matrix (size, size), mirrored at both ends as often as it takes.

    Whole, where a band would do: no axis of a picture makes its two products a burden, and a step that compiles has
    one matrix to trace instead of many blocks.
    """
    offsets = torch.arange(window, device=like.device) - window // 2
    taps = torch.exp(-offsets.to(like.dtype).square() / (2 * deviation**2))
    places = torch.arange(size, device=like.device)[:, None] + offsets
    period = max(1, 2 * (size - 1))
    folded = places.remainder(period)
    folded = torch.minimum(folded, period - folded).clamp_max(size - 1)
    rows = torch.zeros(size, size, dtype=like.dtype, device=like.device)
    return rows.scatter_add(1, folded, (taps / taps.sum()).expand(size, window))


def _errors(x: Tensor, y: Tensor, mask: Tensor, *, window: int, deviation: float, passes: int) -> Tensor:
    confidence = hole_confidence(mask, window=window, deviation=deviation, passes=passes)
    return over_masked_area((x - y).abs() * confidence, mask)


def _confidence_map(
    x: Tensor, y: Tensor, mask: Tensor, *, window: int, deviation: float, passes: int
) -> Tensor:
    return _errors(x, y, mask, window=window, deviation=deviation, passes=passes).mean(1)


def _draw(n: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    x, y = draw_apart(n, generator)
    return x, y, (torch.rand(n, 1, 24, 24, dtype=torch.float64, generator=generator) < 0.7).to(torch.float64)


@pair_measure(
    domain="images",
    best="min",
    lower=0.0,
    laws=[map_means_value],
    map=_confidence_map,
    draw=_draw,
    reference="Wang et al. 2018, arXiv:1810.08771",
)
def confidence_weighted_l1(
    x: Tensor, y: Tensor, mask: Tensor, *, window: int = 65, deviation: float = 40.0, passes: int = 7
) -> Tensor:
    r"""Absolute error within a hole, weighted by how much its surroundings say about each pixel, for each pair.

    $$ \frac{\sum_{c,i,j} M_{ij}\, |x_{cij} - y_{cij}|}{C \sum_{i,j} m_{ij}}, \qquad
       M = M^{(K)}, \quad M^{(k)} = \left( g * (1 - m + M^{(k-1)}) \right) m, \quad M^{(0)} = 0 $$

    with m the hole and g a Gaussian. The confidence M falls from the hole's border, where the known image leaves little
    choice, to its middle, where many fillings are right.

    Args:
        x: (B, C, H, W) images, any number of channels.
        y: (B, C, H, W) targets.
        mask: (B, 1, H, W) or (B, C, H, W), true or 1 in the hole.
        window: taps of g, odd; beyond the image's border the mask is mirrored.
        deviation: of g, in pixels.
        passes: K, how often confidence is passed on inwards.

    Returns:
        (B,) at least 0; 0 for equal images; lower is better. An empty mask, and one without a known pixel, give 0
        with gradient 0. Pixels outside of the hole have the gradient 0. `confidence_weighted_l1.map` gives (B, H, W),
        scaled by the hole's area so that its mean is the value.

    Raises:
        UsageError: an even window, or numbers that are not above zero.

    Complexity: O(B H W (H + W) passes) for the confidence, as matrix products, O(B C H W) for the rest.

    FAQ:
        *The published Gaussian?* The paper says 64 x 64 with deviation 40. Its PyTorch code takes 65 taps, as here, but
        its kernel is all but flat: equal taps to within 0.03%, as with a deviation near 1390. `deviation=1e4`
        is that code to three digits.

        *Train with it alone?* The code does not: the known part is held by an L1 of its own, and textures by `id_mrf`.
    """
    return _errors(x, y, mask, window=window, deviation=deviation, passes=passes).mean((1, 2, 3))
