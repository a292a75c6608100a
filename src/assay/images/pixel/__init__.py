"""How far apart are the values of two images' pixels? And how uneven is one image?"""

from __future__ import annotations

from .confidence import confidence_weighted_l1
from .correlation import pearson
from .differences import charbonnier, mean_absolute_error, mean_squared_error
from .hue import hsv_distance
from .masked import masked_reconstruction
from .peak_signal import psnr
from .variation import total_variation

__all__ = [
    "charbonnier",
    "confidence_weighted_l1",
    "hsv_distance",
    "masked_reconstruction",
    "mean_absolute_error",
    "mean_squared_error",
    "pearson",
    "psnr",
    "total_variation",
]
