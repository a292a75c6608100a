"""Do two images have their edges in the same places, equally steep?"""

from __future__ import annotations

from .feature_similarity import fsim, fsim_c
from .gradient_similarity import gmsd, gradient_magnitude_similarity
from .haar_similarity import haarpsi
from .mean_deviation import mdsi
from .multi_scale_deviation import multi_scale_gmsd
from .saliency_similarity import vsi

__all__ = [
    "fsim",
    "fsim_c",
    "gmsd",
    "gradient_magnitude_similarity",
    "haarpsi",
    "mdsi",
    "multi_scale_gmsd",
    "vsi",
]
