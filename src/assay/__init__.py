"""Measures: functions of weighted samples that give a value, an interval, an explanation and a training signal."""

from __future__ import annotations

from . import scale, sets, statistics
from .compare import compare
from .comparison import Comparison
from .errors import DataError, MissingExtra, UsageError
from .estimate import Estimate, difference
from .joint import Joint, joint
from .measure import Measure, measure
from .per_class import per_class
from .scale.kernels import Kernel, polynomial, rbf
from .sets import (
    authenticity,
    coverage,
    density,
    frechet_distance,
    inception_score,
    kernel_distance,
    median_bandwidth,
    memorization_informed_frechet_distance,
    prdc,
    realism,
    vendi_score,
)
from .statistics import Moments, Neighbours, Samples
from .version import __version__

__all__ = [
    "Comparison",
    "DataError",
    "Estimate",
    "Joint",
    "Kernel",
    "Measure",
    "MissingExtra",
    "Moments",
    "Neighbours",
    "Samples",
    "UsageError",
    "__version__",
    "authenticity",
    "compare",
    "coverage",
    "density",
    "difference",
    "frechet_distance",
    "inception_score",
    "joint",
    "kernel_distance",
    "measure",
    "median_bandwidth",
    "memorization_informed_frechet_distance",
    "per_class",
    "polynomial",
    "prdc",
    "rbf",
    "realism",
    "scale",
    "sets",
    "statistics",
    "vendi_score",
]
