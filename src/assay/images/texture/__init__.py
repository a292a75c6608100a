"""Is it made of the target's patches, wherever they lie?"""

from __future__ import annotations

from .contextual import contextual_distance
from .id_mrf import id_mrf
from .patch_nce import patch_nce
from .patch_nearest_neighbour import patch_nearest_neighbour
from .sampled_patches import random_places, sample_patches

__all__ = [
    "contextual_distance",
    "id_mrf",
    "patch_nce",
    "patch_nearest_neighbour",
    "random_places",
    "sample_patches",
]
