"""Which pixels? Maps of an image's influence on a measure, Grad-CAM, and how maps are judged."""

from __future__ import annotations

from .deletion import Deletion, deletion, points_at
from .grad_cam import grad_cam, guided_grad_cam
from .integrated_gradients import IntegratedGradients, PixelMaps, integrated_gradients, pixel_maps
from .maps_for_rows import MapPicture, maps_for
from .pictures import legend_png, overlay_png
from .pooled_map import PooledMaps, pooled_layer, pooled_maps, seen_box
from .sample_influence import FrozenInfluence, sample_influence

__all__ = [
    "Deletion",
    "FrozenInfluence",
    "IntegratedGradients",
    "MapPicture",
    "PixelMaps",
    "PooledMaps",
    "deletion",
    "grad_cam",
    "guided_grad_cam",
    "integrated_gradients",
    "legend_png",
    "maps_for",
    "overlay_png",
    "pixel_maps",
    "points_at",
    "pooled_layer",
    "pooled_maps",
    "sample_influence",
    "seen_box",
]
