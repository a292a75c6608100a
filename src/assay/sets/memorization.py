"""Memorization-informed Fréchet distance: a distance that copying the training set does not win."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..laws import rotation_invariant
from ..measure import measure
from ..scale.nearest import nearest
from ..statistics import Moments, Samples
from .frechet import frechet_distance

OFFSET = 1e-14  # added to s in the competition's definition, so that copies read huge and not infinite


@measure(
    statistic=Samples,
    best="min",
    lower=0.0,
    laws=[rotation_invariant],
    enough=lambda d: 2 * d,
    halves=False,
    exceptions={"compiled_agrees": "the nearest real sample is looked up by value"},
    reference="Bai et al. 2021, arXiv:2106.03062",
)
def memorization_informed_frechet_distance(x: Samples, y: Samples, *, threshold: float = 0.1) -> Tensor:
    r"""Fréchet distance, divided by the memorization distance where that is below a threshold (MiFID).

    $$ \mathrm{MiFD} = \frac{\mathrm{FD}(x, y)}{s} \text{ if } s < \tau, \text{ else } \mathrm{FD}(x, y), \qquad
       s = \frac{1}{W_y} \sum_j w_j \min_i \big( 1 - |\cos(y_j, x_i)| \big) $$

    Args:
        x: real (training) side, (n, d) features or `Samples`.
        y: generated side, (m, d) features or `Samples`.
        threshold: tau; below it the generated samples count as memorized. It depends on the features: 0.1 is the
            competition's for Inception features.

    Returns:
        A scalar in [0, inf); lower is better. Exact copies have s = 0 and are divided by 1e-14, the competition's
        offset: the value is then huge, and says only that.

    Raises:
        UsageError: fewer than two samples on a side.

    Its estimate is not corrected for bias (random halves would part copies from their originals), and its influences
    take the nearest real samples as they are.

    Complexity: `frechet_distance` plus O(n m d) time, O((n + m) d) memory. The value jumps where s crosses the
    threshold; the gradient is that of the side it is on.
    """
    distance = frechet_distance.function(Moments.of(x.features, x.counts), Moments.of(y.features, y.counts))
    memorized = memorization_distance(x, y)
    informed = distance.clamp_min(0) / (memorized + OFFSET)
    return torch.where(memorized < threshold, informed, distance)


def memorization_distance(x: Samples, y: Samples) -> Tensor:
    """Mean over y of  min_i 1 - |cos(y_j, x_i)|, in [0, 1], differentiable through the nearest samples."""
    pointing = (x.counts.detach() > 0) & (x.features.detach() != 0).any(
        1
    )  # a zero vector has no angle to anything
    real, made = normalize(x.features[pointing], dim=1), normalize(y.features, dim=1)
    if not len(real):
        return torch.ones((), dtype=torch.float64, device=made.device)
    with (
        torch.no_grad()
    ):  # a line's two directions: the largest |cos| is the nearest of the unit vectors and their opposites
        both = torch.cat([real, -real])
        winner = nearest(made, both, 1).index[:, 0]
        sign = torch.where(winner < len(real), 1.0, -1.0).to(made.dtype)
    chosen = real[winner % len(real)] * sign[:, None]
    zero = (y.features.detach() == 0).all(1)
    gaps = 0.5 * (made.to(torch.float64) - chosen.to(torch.float64)).square().sum(1)
    return (y.counts @ torch.where(zero, 1.0, gaps)) / y.weight
