"""How far is a depth map from the measured depths?"""

from __future__ import annotations

from .errors import abs_rel, delta_accuracy, depth_rmse
from .scale_invariant import silog

__all__ = ["abs_rel", "delta_accuracy", "depth_rmse", "silog"]
