"""What does a number mean, and what is good?"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ...comparison import Comparison

# measure -> what it says, and how to read it; one sentence each
MEANINGS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "frechet_distance": (
            "How far the average and the spread of the generated features are from those of the real ones.",
            "0 is a perfect match. The scale depends on the features: compare it with the floor or with another "
            "candidate.",
        ),
        "kernel_distance": (
            "How far the generated features are from the real ones, all pairs compared, whatever shape they have.",
            "0 is a perfect match; luck alone can make it slightly negative. Compare it with the floor or another "
            "candidate.",
        ),
        "cmmd": (
            "How far the directions of CLIP embeddings of generated images are from those of real ones.",
            "0 is a perfect match; luck alone can make it slightly negative.",
        ),
        "precision": (
            "The share of generated samples that look like some real one.",
            "1 means that every generated sample could pass as real.",
        ),
        "recall": (
            "The share of real samples that the generator could have made.",
            "1 means that nothing real is missed; a low value means missing variety.",
        ),
        "density": (
            "How crowded with real samples the places are where generated ones fall.",
            "About 1 is as real samples themselves; more can mean that only typical ones are made.",
        ),
        "coverage": (
            "The share of real samples that have a generated one close by.",
            "1 means that all of the real variety is there; few samples alone lower it.",
        ),
        "authenticity": (
            "The share of generated samples that are not closer to a real one than real ones are to each other.",
            "About 0.5 to 1 is usual; a low value points at copies of the real set.",
        ),
        "vendi_score": (
            "How many clearly different samples the set amounts to.",
            "1 means that all are alike. Aim at the real set's own value, not beyond it.",
        ),
        "inception_score": (
            "How sure a classifier is of each image, and how many different classes it sees.",
            "1 is the worst; aim at the real set's own value. Real images are not looked at.",
        ),
        "memorization_informed_frechet_distance": (
            "The Fréchet distance, made worse where generated samples are suspiciously close to real ones.",
            "0 is a perfect match without copies; a value far above the Fréchet distance points at copies.",
        ),
        "data_copying": (
            "Whether generated samples are closer to the training set than held-out real ones are.",
            "About 0 is right; clearly negative means copying, clearly positive means not fitting the data.",
        ),
        "feature_likelihood_score": (
            "How unlikely real samples that the generator never saw are, seen from the generated ones.",
            "It weighs quality, variety and novelty together; compare candidates in one feature space.",
        ),
        "overfitting_gap": (
            "How much less likely unseen real samples are than training ones, seen from the generated set.",
            "About 0 is right; a clear gap means that the training set was memorised.",
        ),
        "energy_distance": (
            "How much farther generated samples are from real ones than samples are from their own kind.",
            "0 for equal distributions, by chance slightly below; every difference of two distributions counts.",
        ),
        "sinkhorn_divergence": (
            "What it costs to move the real samples onto the generated ones, with small differences blurred.",
            "Compare candidates at equal numbers of samples: fewer samples alone read higher.",
        ),
        "sliced_wasserstein": (
            "How far samples must move for one set to become the other, seen along many random lines.",
            "0 for equal sets, in units of the features squared; all candidates are seen along the same lines.",
        ),
        "cauchy_schwarz": (
            "How far from parallel the smoothed densities of both sets are.",
            "0 for equal distributions; it does not depend on the scale of the features.",
        ),
        "chamfer_distance": (
            "How far each sample of either set is from the nearest one of the other.",
            "0 where each set's samples are among the other's; denser sets read lower, so compare equal numbers.",
        ),
        "knn_entropy": (
            "How spread out a set is, by the distances to its nearest neighbours.",
            "Higher is more varied; compare with the real set's own value, at equal numbers of samples.",
        ),
    }
)

COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "value": "Value: the estimate for endless samples, freed of the error that few samples alone make.",
        "interval": "Interval: where the true value lies; another draw of samples would land about there. Where two "
        "overlap, look at their difference below before saying that one is better.",
        "raw": "Raw: the value as computed, before the correction for the number of samples.",
        "error": "Standard error: how much the value would vary over other draws of as many samples.",
        "multiple": "Times the floor: 1x is as good as real samples are; after \u201c>\u201d stands a lower bound.",
        "floor": "Floor: the same measure between two halves of the real set, the best anyone can reach with so many "
        "samples.",
        "aim": "Aim: the measure of the real set itself, the value to come close to.",
        "n": "n: how many samples of the candidate the number is of.",
    }
)


def meaning_of(measure: str, found: Comparison) -> tuple[str, str]:
    """(what it says, how to read it) of a measure by its full name; of one's own what its docstring says first."""
    known = MEANINGS.get(measure)
    if known is not None:
        return known
    described: Mapping[str, Any] = found.settings.get("descriptions") or {}
    return str(described.get(measure) or "A measure of one's own."), ""
