"""Is a pixel predicted by its neighbours in the same way?"""

from __future__ import annotations

from .linear_prediction import linear_prediction_distance

__all__ = ["linear_prediction_distance"]
