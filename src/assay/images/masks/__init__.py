"""How far is a mask from its target?"""

from __future__ import annotations

from .boundary import boundary_f
from .equity import EquityScaled, equity_scaled
from .hybrid import segmentation_hybrid
from .mask_sets import generalised_energy_distance, mask_set_divergence
from .overlap import dice, focal_tversky, iou, tversky
from .skeletons import cldice, skeleton_recall, tubed_skeleton
from .soft_skeleton import soft_cldice, soft_skeleton
from .topology import betti_error, betti_numbers

__all__ = [
    "EquityScaled",
    "betti_error",
    "betti_numbers",
    "boundary_f",
    "cldice",
    "dice",
    "equity_scaled",
    "focal_tversky",
    "generalised_energy_distance",
    "iou",
    "mask_set_divergence",
    "segmentation_hybrid",
    "skeleton_recall",
    "soft_cldice",
    "soft_skeleton",
    "tubed_skeleton",
    "tversky",
]
