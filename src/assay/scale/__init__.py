"""Exact at any size: all pairs by tiles, several processes as one."""

from __future__ import annotations

from .cached import CachedObjective, cached_backward
from .gather import gather
from .kernels import Kernel, cosine, linear, polynomial, rbf, squared_distance
from .nearest import Nearest, nearest, pairs_within
from .processes import all_reduce
from .progress import reporting
from .tiles import bilinear, row_logsumexp, row_sum

__all__ = [
    "CachedObjective",
    "Kernel",
    "Nearest",
    "all_reduce",
    "bilinear",
    "cached_backward",
    "cosine",
    "gather",
    "linear",
    "nearest",
    "pairs_within",
    "polynomial",
    "rbf",
    "reporting",
    "row_logsumexp",
    "row_sum",
    "squared_distance",
]
