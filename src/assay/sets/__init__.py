"""How far apart are two sets, and how varied is one? The real side comes first, the generated one second."""

from __future__ import annotations

from .diversity import vendi_score
from .frechet import frechet_distance
from .inception import Predictions, inception_score
from .kernel import kernel_distance, median_bandwidth
from .memorization import memorization_distance, memorization_informed_frechet_distance
from .neighbours import authenticity, coverage, density, prdc, precision, realism, recall

__all__ = [
    "Predictions",
    "authenticity",
    "coverage",
    "density",
    "frechet_distance",
    "inception_score",
    "kernel_distance",
    "median_bandwidth",
    "memorization_distance",
    "memorization_informed_frechet_distance",
    "prdc",
    "precision",
    "realism",
    "recall",
    "vendi_score",
]
