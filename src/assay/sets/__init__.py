"""How far apart are two sets, and how varied is one? The real side comes first, the generated one second.

Measures of a third, held-out set tell memorising from generalising: there the first set is what was trained on.
"""

from __future__ import annotations

from .bounded_frechet import BoundedFrechetObjective, bounded_frechet_objective
from .cauchy_schwarz import cauchy_schwarz
from .chamfer import chamfer_distance, chamfer_distances
from .cmmd import cmmd
from .conditional_cauchy_schwarz import cauchy_schwarz_mutual_information, conditional_cauchy_schwarz
from .conditional_transport import conditional_transport
from .data_copying import DataCopyingTest, data_copying, data_copying_test
from .diversity import vendi_score
from .energy import energy_distance
from .feature_likelihood import feature_likelihood_divergence, feature_likelihood_score, overfitting_gap
from .frechet import frechet_distance
from .inception import Predictions, inception_score
from .kernel import kernel_distance, median_bandwidth
from .knn_entropy import knn_entropy
from .memorization import memorization_distance, memorization_informed_frechet_distance
from .monge_gap import monge_gap, monge_gap_per_sample
from .mutual_information import (
    info_nce_bound,
    interpolated_bound,
    mi_bounds,
    nwj_bound,
    separable_info_nce_bound,
)
from .neighbours import authenticity, coverage, density, prdc, precision, realism, recall
from .protocols import OverParts, inception_score_splits, kid_subsets
from .sinkhorn import sinkhorn_divergence
from .sinkhorn_batched import sinkhorn_divergences
from .sinkhorn_plan import SinkhornPotentials, sinkhorn_potentials
from .sliced_wasserstein import projection_error, sliced_wasserstein

__all__ = [
    "BoundedFrechetObjective",
    "DataCopyingTest",
    "OverParts",
    "Predictions",
    "SinkhornPotentials",
    "authenticity",
    "bounded_frechet_objective",
    "cauchy_schwarz",
    "cauchy_schwarz_mutual_information",
    "chamfer_distance",
    "chamfer_distances",
    "cmmd",
    "conditional_cauchy_schwarz",
    "conditional_transport",
    "coverage",
    "data_copying",
    "data_copying_test",
    "density",
    "energy_distance",
    "feature_likelihood_divergence",
    "feature_likelihood_score",
    "frechet_distance",
    "inception_score",
    "inception_score_splits",
    "info_nce_bound",
    "interpolated_bound",
    "kernel_distance",
    "kid_subsets",
    "knn_entropy",
    "median_bandwidth",
    "memorization_distance",
    "memorization_informed_frechet_distance",
    "mi_bounds",
    "monge_gap",
    "monge_gap_per_sample",
    "nwj_bound",
    "overfitting_gap",
    "prdc",
    "precision",
    "projection_error",
    "realism",
    "recall",
    "separable_info_nce_bound",
    "sinkhorn_divergence",
    "sinkhorn_divergences",
    "sinkhorn_potentials",
    "sliced_wasserstein",
    "vendi_score",
]
