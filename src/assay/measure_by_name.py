"""Which measures does a name mean, and how is a measure printed?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from .checks import nearest_name, plain_name
from .errors import UsageError
from .joint import Joint
from .pairs import PairMeasure
from .set_measure import Measure
from .sets import (
    authenticity,
    cauchy_schwarz,
    chamfer_distance,
    cmmd,
    coverage,
    data_copying,
    density,
    energy_distance,
    feature_likelihood_score,
    frechet_distance,
    inception_score,
    kernel_distance,
    knn_entropy,
    memorization_informed_frechet_distance,
    overfitting_gap,
    prdc,
    precision,
    recall,
    sinkhorn_divergence,
    sliced_wasserstein,
    vendi_score,
)

SHORT: Mapping[str, Measure | Joint] = MappingProxyType(
    {
        "fd": frechet_distance,
        "kd": kernel_distance,
        "prdc": prdc,
        "precision": precision,
        "recall": recall,
        "density": density,
        "coverage": coverage,
        "authenticity": authenticity,
        "vendi": vendi_score,
        "is": inception_score,
        "mifd": memorization_informed_frechet_distance,
        "cmmd": cmmd,
        "ct": data_copying,
        "fls": feature_likelihood_score,
        "gap": overfitting_gap,
        "ed": energy_distance,
        "sinkhorn": sinkhorn_divergence,
        "sw": sliced_wasserstein,
        "cs": cauchy_schwarz,
        "chamfer": chamfer_distance,
        "entropy": knn_entropy,
    }
)


# as papers and other packages call them, plain -> the name here
ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "fid": "frechet_distance",
        "frechetinceptiondistance": "frechet_distance",
        "kid": "kernel_distance",
        "kernelinceptiondistance": "kernel_distance",
        "mmd": "kernel_distance",
        "l1": "mean_absolute_error",
        "mae": "mean_absolute_error",
        "l2": "mean_squared_error",
        "mse": "mean_squared_error",
        "rmse": "mean_squared_error",
        "tv": "total_variation",
        "peaksignalnoiseratio": "psnr",
        "peaksignaltonoiseratio": "psnr",
        "structuralsimilarity": "ssim",
        "structuralsimilarityindexmeasure": "ssim",
        "ssimloss": "ssim",
        "multiscalestructuralsimilarity": "ms_ssim",
        "multiscalestructuralsimilarityindexmeasure": "ms_ssim",
        "multiscalessim": "ms_ssim",
        "multiscalessimloss": "ms_ssim",
        "mssimloss": "ms_ssim",
        "informationweightedssim": "iw_ssim",
        "visualinformationfidelity": "vif",
        "vifp": "vif",
        "msgmsd": "multi_scale_gmsd",
        "multiscalegmsdloss": "multi_scale_gmsd",
        "learnedperceptualimagepatchsimilarity": "lpips",
        "deepimagestructureandtexturesimilarity": "dists",
        "styleloss": "gram_distance",
        "contentloss": "feature_distance",
        "contextualloss": "contextual_distance",
        "focalfrequencyloss": "frequency_distance",
        "universalimagequalityindex": "uqi",
        "uiqi": "uqi",
        "spectralanglemapper": "spectral_angle",
        "sam": "spectral_angle",
        "errorrelativeglobaldimensionlesssynthesis": "ergas",
        "spatialcorrelationcoefficient": "scc",
        "clipimagequalityassessment": "clip_iqa",
        "dicescore": "dice",
        "diceloss": "dice",
        "jaccard": "iou",
        "jaccardindex": "iou",
        "meaniou": "iou",
    }
)

DEFAULT_MEASURES = ("fd", "kd", "prdc")
HELD_OUT_MEASURES = ("authenticity", "ct", "fls", "gap")  # what tells memorising from generalising


def measures_by_name(wanted: str | Measure | Joint | Sequence[str | Measure | Joint]) -> list[Measure]:
    """The measures that names mean, in their order, each once; a joint is its members.

    | name | measure |
    |---|---|
    | `fd` | `frechet_distance` |
    | `kd` | `kernel_distance` |
    | `precision`, `recall`, `density`, `coverage` | themselves, with 5 neighbours |
    | `prdc` | those four |
    | `authenticity` | itself |
    | `vendi` | `vendi_score` |
    | `is` | `inception_score` |
    | `mifd` | `memorization_informed_frechet_distance` |
    | `cmmd` | itself; of unit-length CLIP embeddings |
    | `ct` | `data_copying`; needs a held-out set |
    | `fls` | `feature_likelihood_score`; needs a held-out set |
    | `gap` | `overfitting_gap`; needs a held-out set |
    | `ed` | `energy_distance` |
    | `sinkhorn` | `sinkhorn_divergence` |
    | `sw` | `sliced_wasserstein` |
    | `cs` | `cauchy_schwarz` |
    | `chamfer` | `chamfer_distance` |
    | `entropy` | `knn_entropy`, with 3 neighbours |

    Args:
        wanted: short or full names, or measures themselves (with options, or of your own).

    Raises:
        UsageError: an unknown name, with the nearest known one; nothing wanted; two measures of one name; a measure
            of more than three sets.
    """
    entries = [wanted] if isinstance(wanted, (str, Measure, Joint)) else list(wanted)
    found: dict[str, Measure] = {}
    for entry in entries:
        for measure in _members(entry):
            name = printed_name(measure)
            same = found.setdefault(name, measure)
            if same.function is not measure.function or same.options != measure.options:
                raise UsageError(f"measures: two different measures are called {name!r}; rename one of them")
            if len(measure.sides) > 3:
                raise UsageError(
                    f"measures: {name} takes {len(measure.sides)} sets; compare has a real, a generated and a held-out "
                    "one"
                )
    if not found:
        raise UsageError(f"measures: none given; known are {', '.join(SHORT)}")
    return list(found.values())


def printed_name(measure: Measure) -> str:
    """The short name where there is one, with the options that are not the definition's own.

    ``precision.with_options(nearest_k=3)`` prints as ``precision(nearest_k=3)``.
    """
    name = next(
        (s for s, m in SHORT.items() if isinstance(m, Measure) and m.function is measure.function),
        measure.name,
    )
    usual: Mapping[str, Any] = getattr(measure.function, "__kwdefaults__", None) or {}
    changed = [
        f"{k}={_shown(v)}" for k, v in measure.options.items() if v is not usual.get(k) and v != usual.get(k)
    ]
    return f"{name}({', '.join(changed)})" if changed else name


def measure_key(measure: Measure) -> str:
    """One measure with its options, as a text."""
    return f"{measure.name}|{sorted(measure.options.items(), key=str)}"


def usual_name(name: str) -> str:
    """What a measure is called here that papers or other packages call `name`; the name itself where none is known.

    ``usual_name("StructuralSimilarityIndexMeasure")`` is `ssim`.
    """
    return ELSEWHERE.get(plain_name(name), name)


def fewest_samples(measure: Measure) -> int:
    """How many samples a set must have at least for an estimate of the measure, which looks at halves of it."""
    k = measure.options.get("nearest_k")
    return 2 * (k + 1) if isinstance(k, int) else 4


def _members(entry: str | Measure | Joint) -> Sequence[Measure]:
    if isinstance(entry, str):
        full = {m.name: m for m in SHORT.values()}
        known: Measure | Joint | None = SHORT.get(entry) or full.get(entry)
        if known is None:
            near = nearest_name(usual_name(entry), [*SHORT, *full])
            raise UsageError(
                f"measures: unknown measure {entry!r}{_of_pairs(entry) or near}; known are {', '.join(SHORT)}"
            )
        entry = known
    if isinstance(entry, Joint):
        return entry.measures
    if isinstance(entry, Measure):
        return (entry,)
    raise UsageError(f"measures: expected names or measures, got {type(entry).__name__}")


def _of_pairs(name: str) -> str:
    """Says where a measure of images and their targets is to be had, '' where the name is of none."""
    from . import images

    pairs = {
        plain_name(known): measure
        for known in images.__all__
        if isinstance(measure := getattr(images, known), PairMeasure)
    }
    found = pairs.get(plain_name(usual_name(name)))
    if found is None:
        return ""
    how = f"assay.images.{found.name}({', '.join(found.members)})"
    if found.domain == "images" and len(found.members) < 3:
        how += f" or the command assay score --measures {found.name}"
    return f": {found.name} gives each image a value and compares no sets; use {how}"


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
