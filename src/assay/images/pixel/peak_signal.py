"""Peak signal-to-noise ratio: how much louder is the range of an image than its error?"""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import UsageError
from ...pair_laws import symmetric_pairs, value_on_equal
from ...pairs import pair_measure
from ..data_range import positive_range


@pair_measure(
    domain="images",
    best="max",
    lower=0.0,
    laws=[symmetric_pairs, value_on_equal(100.0)],
    reference="Huynh-Thu and Ghanbari 2008, Electronics Letters 44(13)",
)
def psnr(x: Tensor, y: Tensor, *, data_range: float = 1.0, ceiling: float = 100.0) -> Tensor:
    r"""Peak signal-to-noise ratio in decibels, for each pair.

    $$ \mathrm{PSNR}(x, y) = \min\left(10 \log_{10} \frac{R^2}{\mathrm{MSE}(x, y)},\ \mathrm{ceiling}\right), \qquad
       \mathrm{MSE}(x, y) = \frac{1}{CHW} \sum_{c,i,j} (x_{cij} - y_{cij})^2 $$

    with R the data range. The mean squared error is of all channels of a pair.

    Args:
        x: (B, C, H, W) images, any number of channels.
        y: (B, C, H, W) targets.
        data_range: R, the difference between the largest and the smallest value a pixel can have: 1 or 255.
        ceiling: the value of equal images, and the largest there is, in dB: a mean squared error below
            R^2 10^(-ceiling / 10) counts as that. `math.inf` is the bare definition.

    Returns:
        (B,) in [0, ceiling] for images within the range; higher is better. At the ceiling the gradient is 0.

    Raises:
        UsageError: a data range or a ceiling that is not above zero.

    Complexity: O(B C H W) time and memory.

    FAQ:
        *Why is equal not infinite?* Because one equal pair then makes the mean of a whole test set infinite, and with
        ceiling=math.inf `.estimate()` refuses such a set. Packages differ: scikit-image, torchmetrics, kornia,
        TensorFlow, BasicSR and sewar give infinity; piq adds 1e-8 to the error of every pair, which makes 80 dB of
        equal images and takes 0.04 dB off a pair at 60 dB; many research scripts give 100. The ceiling touches no
        pair below it. Two 8-bit images of N values that differ in one value by one step are 48.13 + 10 log10 N dB
        apart, 101 for 256 x 256 x 3: at 100 dB they are equal by any use of the word. Say the ceiling where a mean
        contains equal pairs: it moves that mean.

        *Mean over images, or over pixels?* `.estimate()` is the mean of the pairs' values, as super-resolution and
        restoration papers report. kornia and torchmetrics' default take one MSE over the batch, which is never larger
        and by Jensen's inequality usually smaller: a batch of 20 dB and 40 dB has the mean 30 and the pooled value 23.

        *My paper's value is higher.* Super-resolution papers compare the luma channel of ITU-R BT.601 and leave out a
        border as wide as the factor. Convert and crop first.
    """
    span = positive_range(data_range)
    if isinstance(ceiling, bool) or not isinstance(ceiling, (int, float)) or not ceiling > 0:
        raise UsageError(f"ceiling: expected the largest value in dB, above 0, or math.inf, got {ceiling!r}")
    error = ((x - y) / span).square().mean((1, 2, 3))
    finite = error > 10.0 ** (-ceiling / 10)
    return torch.where(finite, -10 * torch.where(finite, error, 1.0).log10(), float(ceiling))
