"""Measures: functions of weighted samples that give a value, an interval, an explanation and a training signal."""

from __future__ import annotations

from . import embeddings, images, scale, sets, statistics
from .batch_objective import BatchObjective, batch_objective
from .compare import compare
from .comparison import Comparison
from .conditional import conditional_distance
from .conditional_objective import conditional_objective
from .embeddings import info_nce, supcon
from .errors import DataError, MissingExtra, UsageError
from .estimate import Estimate, difference
from .explain import explain
from .explanation import Explanation
from .images import clip_score, ms_ssim, psnr, ssim
from .joint import Joint, joint
from .measure import measure
from .note import Note
from .pairs import PairMeasure, pair_measure
from .per_class import per_class
from .scale.kernels import Kernel, polynomial, rbf
from .score import score
from .scoring.scores import Scores
from .set_measure import Measure
from .sets import (
    authenticity,
    cmmd,
    coverage,
    data_copying,
    density,
    energy_distance,
    feature_likelihood_score,
    frechet_distance,
    inception_score,
    kernel_distance,
    median_bandwidth,
    memorization_informed_frechet_distance,
    overfitting_gap,
    prdc,
    realism,
    sinkhorn_divergence,
    sliced_wasserstein,
    vendi_score,
)
from .several_objectives import several_objectives
from .statistics import Moments, Neighbours, Samples
from .total import Total, total
from .version import __version__

__all__ = [
    "BatchObjective",
    "Comparison",
    "DataError",
    "Estimate",
    "Explanation",
    "Joint",
    "Kernel",
    "Measure",
    "MissingExtra",
    "Moments",
    "Neighbours",
    "Note",
    "PairMeasure",
    "Samples",
    "Scores",
    "Total",
    "UsageError",
    "__version__",
    "authenticity",
    "batch_objective",
    "clip_score",
    "cmmd",
    "compare",
    "conditional_distance",
    "conditional_objective",
    "coverage",
    "data_copying",
    "density",
    "difference",
    "embeddings",
    "energy_distance",
    "explain",
    "feature_likelihood_score",
    "frechet_distance",
    "images",
    "inception_score",
    "info_nce",
    "joint",
    "kernel_distance",
    "measure",
    "median_bandwidth",
    "memorization_informed_frechet_distance",
    "ms_ssim",
    "overfitting_gap",
    "pair_measure",
    "per_class",
    "polynomial",
    "prdc",
    "psnr",
    "rbf",
    "realism",
    "scale",
    "score",
    "sets",
    "several_objectives",
    "sinkhorn_divergence",
    "sliced_wasserstein",
    "ssim",
    "statistics",
    "supcon",
    "total",
    "vendi_score",
]
