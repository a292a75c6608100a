"""How much of the target's information is left in the image?"""

from __future__ import annotations

from .iw_ssim import iw_ssim
from .vif import vif

__all__ = ["iw_ssim", "vif"]
