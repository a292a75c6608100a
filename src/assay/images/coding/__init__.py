"""What does a codec cost, and what does it give?"""

from __future__ import annotations

from .bits_per_pixel import bits_per_pixel, likelihood_bits_per_pixel
from .bjontegaard import bd_psnr, bd_rate
from .rate_distortion import OperatingPoint, RateDistortion

__all__ = [
    "OperatingPoint",
    "RateDistortion",
    "bd_psnr",
    "bd_rate",
    "bits_per_pixel",
    "likelihood_bits_per_pixel",
]
