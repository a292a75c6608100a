"""How far is an image from its target to a network's layers, and in another space than that of its pixels?"""

from __future__ import annotations

from .contrastive_restoration import contrastive_restoration
from .dists import dists, published_dists
from .efficientnet_lite0_distance import efficientnet_lite0_distance
from .encoders import haar, studio_luma, ycbcr
from .feature_distance import feature_distance
from .gram_distance import gram_distance
from .in_space import in_space
from .lpips import lpips, published_lpips

__all__ = [
    "contrastive_restoration",
    "dists",
    "efficientnet_lite0_distance",
    "feature_distance",
    "gram_distance",
    "haar",
    "in_space",
    "lpips",
    "published_dists",
    "published_lpips",
    "studio_luma",
    "ycbcr",
]
