"""Do two images agree in local brightness, contrast and pattern?"""

from __future__ import annotations

from .ms_ssim import ms_ssim
from .ssim import ssim
from .ssim_conventions import MsSsimConvention, SsimConvention

__all__ = ["MsSsimConvention", "SsimConvention", "ms_ssim", "ssim"]
