"""Frequency distance: how far is an image's spectrum from its target's, with weight on what is furthest?"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from ...errors import UsageError
from ...pair_laws import symmetric_pairs, value_on_equal
from ...pairs import pair_measure
from ..cosine_transform import cosine_transform
from ..data_range import positive_range
from ..option_values import is_number, is_whole, true_or_false
from .half_plane import column_counts, power

Kind = Literal["focal", "l1"]
Transform = Literal["fourier", "cosine"]


@pair_measure(
    domain="images",
    best="min",
    lower=0.0,
    laws=[symmetric_pairs, value_on_equal(0.0)],
    exceptions={
        "gradient_is_right": "the focal weights are held fixed in the gradient, as published; with alpha=0 and for "
        "kind='l1' it is the value's own",
        "second_derivative_is_right_or_refused": "the focal weights are held fixed in the gradient, as published; with "
        "alpha=0 and for kind='l1' it is the value's own",
    },
    reference="Jiang et al. 2021, ICCV, arXiv:2012.12821; L1: Cho et al. 2021, ICCV, arXiv:2108.05054",
)
def frequency_distance(
    x: Tensor,
    y: Tensor,
    *,
    data_range: float = 1.0,
    kind: Kind = "focal",
    transform: Transform = "fourier",
    alpha: float = 1.0,
    patch_factor: int = 1,
    log_matrix: bool = False,
) -> Tensor:
    r"""Distance of two images' spectra: the focal frequency loss, or the plain L1 distance of the coefficients.

    With F the orthonormal two-dimensional transform and D = F(x) - F(y), for kind "focal"

    $$ d = \frac{1}{H W} \sum_{u, v} w_{uv} |D_{uv}|^2, \quad w_{uv} = \frac{|D_{uv}|^\alpha}{\max |D|^\alpha}, $$

    w held fixed in the gradient, so that coefficients far off pull hardest and near ones hardly; for kind "l1"

    $$ d = \frac{1}{2 H W} \sum_{u, v} |\mathrm{Re} D_{uv}| + |\mathrm{Im} D_{uv}| $$

    (the mean of |D| for the real cosine transform). The maximum is over one channel of one image, or of one patch of
    it. Values are means over channels and patches.

    Args:
        x: (B, C, H, W) images, in [0, data_range].
        y: (B, C, H, W) targets.
        data_range: the largest value minus the smallest; differences are taken of images divided by it.
        kind: "focal" or "l1".
        transform: "fourier", the published one, or "cosine": the type-II transform, which does not see the step
            between opposite edges as a frequency, with weights of the same form.
        alpha: how strongly the focal weights favour far coefficients; 0 gives the mean squared error (Parseval).
        patch_factor: the image is cut into patch_factor x patch_factor patches, each with its own spectrum.
        log_matrix: weights $\log(1 + |D|^\alpha)$ over their maximum, which favours less.

    Returns:
        (B,) from 0; lower is better. "focal" is at most the mean squared error; it grows with the square of the
        difference, "l1" linearly.

    Raises:
        UsageError: an unknown kind or transform, a negative alpha, a patch_factor that does not divide the sides,
            focal options with kind "l1", a data_range not above 0.

    Complexity: O(C H W log(H W)); one half-plane transform of the difference. "cosine": O(C H W (H + W)).

    FAQ:
        *Is this the published loss?* With the defaults its mean over a batch is the focal-frequency-loss package's
        (0.3.0), to rounding, for `alpha`, `patch_factor` and `log_matrix`. Its `batch_matrix` and `ave_spectrum` make a
        pair's value depend on the other pairs, so they are not offered here.

        *Why does a gradient check fail?* The gradient is $2 w D$ carried back, not that of $w |D|^2$ with w moving:
        published so, and declared as an exception to the laws. Use alpha=0 or kind "l1" for one that is exact. A
        coefficient without difference has no gradient, and equal images have value 0 and gradient 0, for every kind.

        *Must it grow with the damage?* The focal form need not: its weights are relative to the pair's largest error. A
        stronger distortion whose largest coefficient stands out more, or one tall peak such as the grid an upscaling
        network leaves, takes weight from all others, and the worse image may get the lower value. alpha=0 is the mean
        squared error; judge with that or with kind "l1".

        *Why does my L1 loss over `rfft2` differ?* A mean over the half plane counts the columns of frequency 0 and of
        the highest frequency as much as the others, which stand for two each. Here every coefficient of the whole plane
        counts once. Unnormalised transforms are larger by $\sqrt{H W}$.

        *Which one is GLaMa's, which one FreqINR's?* Their papers name a frequency term (arXiv:2205.07162) and an
        adaptive DCT frequency loss (arXiv:2408.13716), and no code with their exact weights was found to check
        against: neither is claimed here. The cosine transform with focal weights is the sibling of the published
        Fourier one.
    """
    _refuse(x, kind, transform, alpha, patch_factor, log_matrix)
    height, width = x.shape[-2] // patch_factor, x.shape[-1] // patch_factor
    difference = (x - y) / positive_range(data_range)
    if patch_factor > 1:
        cut = (*x.shape[:2], patch_factor, height, patch_factor, width)
        difference = difference.reshape(cut).transpose(-3, -2)
    if transform == "cosine":
        coefficients = cosine_transform(difference)
        parts = coefficients.abs() if kind == "l1" else coefficients.square()
        counts = parts.new_ones(width)
    else:
        spectrum = torch.fft.rfft2(difference, norm="ortho")
        parts = (spectrum.real.abs() + spectrum.imag.abs()) / 2 if kind == "l1" else power(spectrum)
        counts = column_counts(width, difference)
    if kind == "focal" and alpha > 0:
        parts = parts * _focal_weights(parts.detach(), alpha, log_matrix)
    return (parts.sum(-2) @ counts).flatten(1).mean(1) / (height * width)


def _focal_weights(squares: Tensor, alpha: float, log_matrix: bool) -> Tensor:
    largest = squares.amax((-2, -1), keepdim=True)
    tiny = torch.finfo(squares.dtype).tiny
    if log_matrix:
        # log(1 + e^z) with z the power's logarithm: the power itself leaves single precision for a large alpha
        some, most = (
            torch.logaddexp(alpha / 2 * each.log(), each.new_zeros(())) for each in (squares, largest)
        )
        weights = some / most.clamp_min(tiny)
    else:
        weights = (squares / largest.clamp_min(tiny)) ** (alpha / 2)
    return weights.clamp_max(1.0)


def _refuse(
    x: Tensor, kind: Kind, transform: Transform, alpha: float, patch_factor: int, log_matrix: bool
) -> None:
    if kind not in get_args(Kind):
        raise UsageError(f"kind: expected one of {', '.join(get_args(Kind))}, got {kind!r}")
    if transform not in get_args(Transform):
        raise UsageError(f"transform: expected one of {', '.join(get_args(Transform))}, got {transform!r}")
    true_or_false(log_matrix, "log_matrix")
    if not is_number(alpha) or not 0 <= alpha < math.inf:
        raise UsageError(f"alpha: expected a number from 0, got {alpha!r}")
    if kind == "l1" and (alpha != 1.0 or log_matrix):
        raise UsageError(
            "kind='l1' has no weights: alpha and log_matrix belong to kind='focal'; leave them out"
        )
    sides = x.shape[-2:]
    if not is_whole(patch_factor) or patch_factor < 1 or sides[0] % patch_factor or sides[1] % patch_factor:
        raise UsageError(
            f"patch_factor: expected a whole number that divides both sides of {sides[0]} x {sides[1]} images, "
            f"got {patch_factor!r}; crop the images or take another"
        )
