"""Structural similarity: do two images agree in local brightness, contrast and pattern?"""

from __future__ import annotations

from torch import Tensor

from ...pair_laws import map_means_value, symmetric_pairs, value_on_equal
from ...pairs import pair_measure
from ..data_range import positive_range
from .local_similarity import local_terms, mean_similarity
from .ssim_conventions import SsimConvention, as_compared, window_of


def _ssim_map(x: Tensor, y: Tensor, *, data_range: float, convention: SsimConvention) -> Tensor:
    window = window_of(convention, *x.shape[-2:])
    luminance, contrast = local_terms(
        as_compared(x, window), as_compared(y, window), window, positive_range(data_range)
    )
    return (luminance * contrast).mean(1)


@pair_measure(
    domain="images",
    best="max",
    lower=-1.0,
    upper=1.0,
    laws=[symmetric_pairs, value_on_equal(1.0), map_means_value],
    map=_ssim_map,
    reference="Wang, Bovik, Sheikh and Simoncelli 2004, IEEE TIP 13(4)",
)
def ssim(x: Tensor, y: Tensor, *, data_range: float = 1.0, convention: SsimConvention = "wang2004") -> Tensor:
    r"""Structural similarity, the mean over windows and channels, for each pair.

    $$ \mathrm{SSIM} = \operatorname{mean}
       \frac{(2 \mu_x \mu_y + C_1)(2 \sigma_{xy} + C_2)}{(\mu_x^2 + \mu_y^2 + C_1)(\sigma_x^2 + \sigma_y^2 + C_2)},
       \qquad C_1 = (0.01 R)^2,\ C_2 = (0.03 R)^2 $$

    with means, variances and covariances under a window around each pixel and R the data range.

    Args:
        x: (B, C, H, W) images, any number of channels, in [0, R].
        y: (B, C, H, W) targets.
        data_range: R, the difference between the largest and the smallest value a pixel can have: 1 or 255.
        convention: whose window and border.

            - "wang2004", the default: a Gaussian of 11 x 11 pixels and deviation 1.5 wherever it fits into the image
              (pytorch-msssim, TensorFlow, scikit-image with gaussian_weights and without use_sample_covariance);
            - "torchmetrics": the same window around every pixel of the image, mirrored at the border (kornia, too);
            - "piq": "wang2004" after shrinking by the whole number nearest to the short side over 256, as the original
              advises;
            - "skimage": uniform, 7 x 7, sample covariances (scikit-image's defaults).

    Returns:
        (B,) in [-1, 1]; 1 for equal images; higher is better. `ssim.map` gives (B, H', W') before the mean over
        windows.

    Raises:
        UsageError: images smaller than the window, a data range that is not above zero, an unknown convention.

    Complexity: O(B C H W) time and, beyond images and gradients, the memory of a few channels. The gradient is computed
    beside the value; with create_graph=True it is computed anew, with the memory of the whole batch's local maps.

    FAQ:
        *In which colour space?* Each channel by itself, then the mean. The original measures brightness only: give it
        one channel for that.

        *Flat images?* Two constant images differ by their luminance term alone: nothing is divided by zero, and the
        gradient is finite.

        *Why do packages differ in the third digit?* By the border: a tenth of the windows of a small image lie there.
    """
    window = window_of(convention, *x.shape[-2:])
    known = positive_range(data_range)
    return mean_similarity(
        as_compared(x, window), as_compared(y, window), window, known, luminance=True
    ).mean(1)
