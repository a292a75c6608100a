"""FSIM: are edges and lines where the target has them, and as steep?"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from ...pair_laws import symmetric_pairs, value_on_equal
from ...pairs import pair_measure
from ...scale.each_pair import each_pair
from ...scale.first_derivative import differentiable_once
from ..colour import YIQ_THREE_DIGITS, grey_or_rgb, in_colours, luma
from ..data_range import positive_range
from ..edges import gradient_magnitude
from .phase_congruency import SHORTEST_WAVE, phase_congruency
from .shrink import at_least, both, factor_to_256, halves, shrunk
from .similarity import real_power, similarity, weighted_mean

# T1, T2, T3 = T4 and lambda: Zhang et al. 2011, section III; all but the first on the range 0 to 255
PHASE, STEEPNESS, COLOUR, COLOUR_EXPONENT = 0.85, 160.0, 200.0, 0.03

KINKS = {
    "gradient_is_right": "the sizes of 16 sines a pixel have a kink where a phase agrees exactly; the law's steps "
    "cross some of them, steps of 1e-8 do not"
}


def _terms(x: Tensor, y: Tensor, *, data_range: float, colour: bool) -> tuple[Tensor, Tensor]:
    """The local similarity and its weight, (B, 1, H', W') each."""
    colour = colour and x.shape[1] == 3
    factor = factor_to_256(x)
    if colour:
        seen = shrunk(both(in_colours(x, YIQ_THREE_DIGITS), in_colours(y, YIQ_THREE_DIGITS)), factor)
    else:
        seen = shrunk(both(luma(x), luma(y)), factor)
    bright, unit = seen[:, :1], (data_range / 255) ** 2
    phases = halves(phase_congruency(bright, data_range))
    local = similarity(*phases, PHASE)
    local = local * similarity(*halves(gradient_magnitude(bright, "scharr")), STEEPNESS * unit)
    if colour:
        pair = similarity(*halves(seen[:, 1:]), COLOUR * unit)
        local = local * real_power(pair[:, :1] * pair[:, 1:], COLOUR_EXPONENT)
    return local, torch.maximum(*phases)


def _value(x: Tensor, y: Tensor, *, data_range: float, colour: bool) -> Tensor:
    return weighted_mean(*_terms(x, y, data_range=data_range, colour=colour))


def _fits(x: Tensor) -> None:
    grey_or_rgb(x)
    at_least(
        x, 2 * SHORTEST_WAVE, f"phase congruency looks for waves of {SHORTEST_WAVE} pixels and needs two"
    )


def _fsim_map(x: Tensor, y: Tensor, *, data_range: float) -> Tensor:
    _fits(x)
    return _terms(x, y, data_range=positive_range(data_range), colour=False)[0][:, 0]


def _fsim_c_map(x: Tensor, y: Tensor, *, data_range: float) -> Tensor:
    _fits(x)
    return _terms(x, y, data_range=positive_range(data_range), colour=True)[0][:, 0]


@pair_measure(
    domain="images",
    best="max",
    lower=0.0,
    upper=1.0,
    laws=[symmetric_pairs, value_on_equal(1.0)],
    map=_fsim_map,
    exceptions=KINKS,
    reference="Zhang, Zhang, Mou and Zhang 2011, IEEE TIP 20(8)",
)
def fsim(x: Tensor, y: Tensor, *, data_range: float = 1.0) -> Tensor:
    r"""Feature similarity of the brightness, for each pair.

    $$ \mathrm{FSIM} = \frac{\sum_i S_{PC}(i)\,S_G(i)\,\max(PC_x, PC_y)(i)}{\sum_i \max(PC_x, PC_y)(i)}, \qquad
       S = \frac{2ab + T}{a^2 + b^2 + T} $$

    PC is Kovesi's phase congruency (log-Gabor filters of four scales from 6 pixels up and four orientations, noise
    threshold of two deviations), T = 0.85; G the gradient magnitude by Scharr's operators over 16, T = 160 on a range
    of 255. Before, F x F pixels are averaged, F the whole number nearest to the short side over 256.

    Args:
        x: (B, C, H, W) images, grey or RGB (brightness 0.299 R + 0.587 G + 0.114 B).
        y: (B, C, H, W) targets.
        data_range: the difference between the largest and the smallest value a pixel can have: 1 or 255.

    Returns:
        (B,) in [0, 1]; 1 for equal images, higher is better. `.map` gives S_PC S_G, (B, ceil(H / F), ceil(W / F)).

    Raises:
        UsageError: other than one or three channels, sides below 12 pixels, a data range that is not above zero.

    Complexity: O(B H W log(H W)) time, 33 real Fourier transforms an image, and the memory of a few pairs' filter
    responses.

    FAQ:
        *Why not piq's digits?* This follows the authors' program. piq adds 1e-7 (single precision) where they add 1e-4
        to an energy, takes the lower of the two middle values for the median, averages from another pixel on for F of
        3 and more, and rounds F = 2.5 to 2 instead of 3: up to 1e-4 apart
        for F of 1 and 2.
        *Constant images?* They have no phase congruency, and then the plain mean over places takes the weighted one's
        place: 1 for equal ones, below 1 where brightness differs, for the edge towards the zeros outside the image.
        The authors' program divides 0 by 0 there.
        *The gradient?* Finite everywhere; zero where the image is flat. There is no second one:
        the sizes of sines in the phase congruency have kinks at many pixels, and it refuses.
    """
    _fits(x)
    values = each_pair(partial(_value, data_range=positive_range(data_range), colour=False), x, y)
    return values if torch.compiler.is_compiling() else differentiable_once(values, "fsim")


@pair_measure(
    domain="images",
    best="max",
    lower=0.0,
    upper=1.0,
    laws=[symmetric_pairs, value_on_equal(1.0)],
    map=_fsim_c_map,
    exceptions=KINKS,
    reference="Zhang, Zhang, Mou and Zhang 2011, IEEE TIP 20(8)",
)
def fsim_c(x: Tensor, y: Tensor, *, data_range: float = 1.0) -> Tensor:
    r"""Feature similarity with colour (FSIMc), for each pair.

    $$ \mathrm{FSIM}_c = \frac{\sum_i S_{PC}\,S_G\,\mathrm{Re}\left[(S_I S_Q)^{0.03}\right] \max(PC_x, PC_y)}
                              {\sum_i \max(PC_x, PC_y)} $$

    as `fsim`, with the similarity of the colour differences I and Q of the YIQ space, T = 200 on a range of 255.

    Args:
        x: (B, C, H, W) images, RGB; grey ones have the value of `fsim`.
        y: (B, C, H, W) targets.
        data_range: the difference between the largest and the smallest value a pixel can have: 1 or 255.

    Returns:
        (B,) in [0, 1]; 1 for equal images, higher is better. `.map` gives the product of the similarities.

    Raises:
        UsageError: other than one or three channels, sides below 12 pixels, a data range that is not above zero.

    Complexity: as `fsim`.

    FAQ:
        *A negative product?* Opposite colours have a negative similarity, whose power is complex: the authors' program
        takes the real part, cos(0.03 pi) = 0.996 of the power of its size; piq takes all of it. piq's YIQ has four
        digits, the authors' three.
        *The gradient where the product is 0?* Zero: the power's slope is infinite there.
    """
    _fits(x)
    values = each_pair(partial(_value, data_range=positive_range(data_range), colour=True), x, y)
    return values if torch.compiler.is_compiling() else differentiable_once(values, "fsim_c")
