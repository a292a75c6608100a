"""How far apart are two sets, and how varied is one? The real side comes first, the generated one second.

Measures of a third, held-out set tell memorising from generalising: there the first set is what was trained on.
"""

from __future__ import annotations

from .cmmd import cmmd
from .data_copying import DataCopyingTest, data_copying, data_copying_test
from .diversity import vendi_score
from .feature_likelihood import feature_likelihood_divergence, feature_likelihood_score, overfitting_gap
from .frechet import frechet_distance
from .inception import Predictions, inception_score
from .kernel import kernel_distance, median_bandwidth
from .memorization import memorization_distance, memorization_informed_frechet_distance
from .neighbours import authenticity, coverage, density, prdc, precision, realism, recall
from .protocols import OverParts, inception_score_splits, kid_subsets

__all__ = [
    "DataCopyingTest",
    "OverParts",
    "Predictions",
    "authenticity",
    "cmmd",
    "coverage",
    "data_copying",
    "data_copying_test",
    "density",
    "feature_likelihood_divergence",
    "feature_likelihood_score",
    "frechet_distance",
    "inception_score",
    "inception_score_splits",
    "kernel_distance",
    "kid_subsets",
    "median_bandwidth",
    "memorization_distance",
    "memorization_informed_frechet_distance",
    "overfitting_gap",
    "prdc",
    "precision",
    "realism",
    "recall",
    "vendi_score",
]
