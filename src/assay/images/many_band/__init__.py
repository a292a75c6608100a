"""How far is an image of many bands, fused or sharpened, from its target?"""

from __future__ import annotations

from .detail import scc
from .local_quality import uqi
from .relative_error import ergas
from .spectrum import spectral_angle

__all__ = ["ergas", "scc", "spectral_angle", "uqi"]
